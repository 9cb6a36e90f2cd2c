"""Fits over a grid of options, subjects, folds and seeds, and the table of what they found."""
