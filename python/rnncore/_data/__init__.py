"""Sequences and targets: from what a caller passes to what the compiled core takes, and back."""
