"""The files that a browser draws releases with: for the page that the daemon serves, and for pages that are written to a file.

There is nothing to build: each file is read as it lies here.
"""

from collections.abc import Mapping
from importlib import resources
from typing import Final

TYPES: Final[Mapping[str, str]] = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""What a file of the page is, by the end of its name; what has another end is none."""


def type_of(name: str) -> str:
    """The media type of a file of this name; empty for what is no file of the page."""
    return next((kind for suffix, kind in TYPES.items() if name.endswith(suffix)), "")


def bodies() -> dict[str, bytes]:
    """All files of the page, by name."""
    folder = resources.files(__name__)
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file() and type_of(one.name)}
