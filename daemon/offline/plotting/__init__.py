"""Curves for people: dots in a terminal, SVG in a page. No library and no knowledge of what is drawn."""
