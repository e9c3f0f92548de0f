"""What others plug in: rows that packages beside ours bring, and what becomes of a defect in them.

A row is an entry point in the group of what it adds (a mesh, an owner, a source, a sink). A broken one is refused at once, since
what is missing in silence would be missed at 3 a.m. Whatever a part raises later that is no error of ours is told with whose it
is, and neither ends the process nor passes for a cancellation (``defects_of``).
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import Protocol, TypeVar

from config.errors import ConfigError, Fault
from daemon.aio.tasks import contained
from daemon.errors import Defect, VerdictdError

OURS = "verdictd"


class Named(Protocol):
    """What has a name that is its own."""

    @property
    def name(self) -> str:
        """Unique among the rows of its kind."""
        ...


R = TypeVar("R", bound=Named)


class Rows(Mapping[str, R]):
    """Rows by their names, and which package each is of."""

    def __init__(self, rows: Mapping[str, R], *, packages: Mapping[str, str]) -> None:
        self._rows = rows
        self._packages = packages

    def __getitem__(self, name: str) -> R:
        """The row of this name."""
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        """The names, ours first."""
        return iter(self._rows)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._rows)

    def package(self, name: str) -> str:
        """The package that brings the row of this name."""
        return self._packages.get(name, OURS)


def with_installed(ours: Iterable[R], *, group: str, row: type[R], what: str) -> Rows[R]:
    """Rows by their names: ours, then those of other packages in the order of their entry points' names.

    ``what`` is what such a row is, with an article.

    Raises:
        ConfigError: an entry point cannot be loaded, gives no ``row``, or one whose name is taken.
    """
    found = {one.name: one for one in ours}
    packages: dict[str, str] = {}
    wrong: list[Fault] = []
    for point in sorted(metadata.entry_points(group=group), key=lambda point: (point.name, _package(point))):
        loaded = _loaded(point, row)
        if isinstance(loaded, Fault):
            wrong.append(loaded)
        elif loaded.name in found:
            wrong.append(_refused(point, f"is {what} {loaded.name}, and so is one of {packages.get(loaded.name, OURS)}"))
        else:
            found[loaded.name], packages[loaded.name] = loaded, _package(point)
    if wrong:
        raise ConfigError(tuple(wrong), source="installed packages")
    return Rows(found, packages=packages)


@contextmanager
def defects_of(whose: str, *, ours: tuple[type[Exception], ...] = (VerdictdError,)) -> Iterator[None]:
    """Call somebody else's code in the body, that of ``whose``; it may raise what is ``ours``.

    Raises:
        Defect: in the place of anything else, an exit and a cancellation that nobody asked for included.
    """
    try:
        with contained():
            yield
    except ours:
        raise
    except Exception as error:
        raise Defect(f"a defect of {whose}: {_said(error)}") from error


def _said(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_said, error.exceptions))
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _loaded(point: metadata.EntryPoint, row: type[R]) -> R | Fault:
    try:
        with defects_of(point.value):
            loaded = point.load()
    except VerdictdError as error:
        return _refused(point, f"cannot be loaded: {_said(error.__cause__ or error)}")
    return loaded if isinstance(loaded, row) else _refused(point, f"is no {row.__name__} but a {type(loaded).__name__}")


def _package(point: metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "a package"


def _refused(point: metadata.EntryPoint, message: str) -> Fault:
    whose = _package(point)
    return Fault(path=f"{point.group}.{point.name}", message=f"{point.value} of {whose} {message}", fix=f"mend or remove {whose}")
