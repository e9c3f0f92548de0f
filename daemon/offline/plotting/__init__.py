"""Curves, drawn for a terminal and for a page in a file."""
