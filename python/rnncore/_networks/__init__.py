"""The public classes, and how one is loaded from a file."""
