"""The public classes, which list what a network can do, and ``rnncore.load``."""
