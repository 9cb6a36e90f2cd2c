"""What `rnncore.export` writes, and how."""
