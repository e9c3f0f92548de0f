"""Whom a channel may tell, whatever a release names: those that its settings list."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from daemon.errors import InvalidInput


def is_allowed(named: str | None, patterns: Iterable[str]) -> bool:
    """Whether what a release names is one of them, in any case of its letters; nothing is none."""
    return named is not None and any(fnmatchcase(named.lower(), one.lower()) for one in patterns)


def not_allowed(named: str | None, *, path: str, where: str) -> InvalidInput:
    """What is said of one that is not; ``where``: the key of the sink's settings."""
    return InvalidInput(f"{named or 'none'} may not be told", path=path, fix=f"name it in the sink's {where}")
