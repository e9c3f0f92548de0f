"""Rows that packages beside ours bring: an entry point each, in the group of what it adds (a mesh, a source, a sink).

A broken one is refused at once, since what is missing in silence would be missed at 3 a.m.
"""

from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Protocol, TypeVar

from config.errors import ConfigError, Fault


class Named(Protocol):
    """What has a name that is its own."""

    @property
    def name(self) -> str:
        """Unique among the rows of its kind."""
        ...


R = TypeVar("R", bound=Named)


def with_installed(ours: Iterable[R], *, group: str, row: type[R], what: str) -> Mapping[str, R]:
    """Rows by their names: ours, then those of other packages in the order of their entry points' names.

    ``what`` is what such a row is, with an article.

    Raises:
        ConfigError: an entry point cannot be loaded, gives no ``row``, or one whose name is taken.
    """
    found = {one.name: one for one in ours}
    wrong: list[Fault] = []
    for point in sorted(metadata.entry_points(group=group), key=lambda point: point.name):
        loaded = _loaded(point, row)
        if isinstance(loaded, Fault):
            wrong.append(loaded)
        elif loaded.name in found:
            wrong.append(_refused(point, f"is {what} {loaded.name}, which there is already"))
        else:
            found[loaded.name] = loaded
    if wrong:
        raise ConfigError(tuple(wrong), source="installed packages")
    return found


def _loaded(point: metadata.EntryPoint, row: type[R]) -> R | Fault:
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody else's module may raise anything, and must not choose our exit code
        return _refused(point, f"cannot be loaded: {type(error).__name__}: {error}")
    return loaded if isinstance(loaded, row) else _refused(point, f"is no {row.__name__} but a {type(loaded).__name__}")


def _refused(point: metadata.EntryPoint, message: str) -> Fault:
    whose = point.dist.name if point.dist is not None else "a package"
    return Fault(path=f"{point.group}.{point.name}", message=f"{point.value} {message}", fix=f"mend or remove {whose}")
