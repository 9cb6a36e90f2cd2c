"""Inspection of a network: gradients by time step, states and gates, figures."""
