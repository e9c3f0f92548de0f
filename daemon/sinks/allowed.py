"""Whom a channel may tell, whatever a release names: those that its settings list."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import TypeVar

from daemon.errors import InvalidInput

T = TypeVar("T")


def allowed(there: T | None, named: Callable[[T], str | None], patterns: Iterable[str], *, path: str, where: str) -> T:
    """What a release names to be told, where that is one of them, in any case of its letters.

    Args:
        there: what it says of it; null is none of them.
        named: which it is.
        patterns: those that may be told.
        path: where the release says it.
        where: the key of the sink's settings.

    Raises:
        InvalidInput: it is none of them.
    """
    said = None if there is None else named(there)
    if there is None or said is None or not any(fnmatchcase(said.lower(), one.lower()) for one in patterns):
        raise InvalidInput(f"{said or 'none'} may not be told", path=path, fix=f"name it in the sink's {where}")
    return there
