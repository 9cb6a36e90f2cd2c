"""``python -m rnncore demo``, and its data."""
