"""Fitting: the options, the loop over epochs, checkpoints, and the history."""
