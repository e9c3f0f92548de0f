"""verdictd: everything that touches the world."""

__version__ = "0.2.0"
