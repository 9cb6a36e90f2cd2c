"""Checks of arguments: errors that name the argument, what was expected and what was given."""
