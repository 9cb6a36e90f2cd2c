"""Pieces of HTML that notebooks show: tables and small curves."""
