"""JSON from outside, decoded in one place, so that every way in which it can be wrong has been thought of once.

The library raises errors of four families (its own, of Unicode, of recursion, of values), and what it has not looked at yet
(``msgspec.Raw``) raises them later, when somebody does. Here each of them becomes an ``InvalidEvent`` with the path to its place.
"""

import base64
import binascii
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from config import walking
from config.errors import Fault, placed
from daemon.errors import InvalidEvent, InvalidInput, NoRelease

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_LONGEST_LIST = 2_000


class Gathering:
    """Faults of parts that can be read each by itself: what is raised in its ``with`` is kept, and the next part is looked at.

    ::

        faults = Gathering()
        with faults:
            time = read_time(...)
        with faults:
            data = read_data(...)
        faults.refuse()
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.faults: list[Fault] = [*faults]
        self._no_release: list[Fault] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> bool:
        if not isinstance(error, InvalidInput):
            return False
        self.faults += error.faults
        if isinstance(error, NoRelease):
            self._no_release += error.faults
        return True

    @property
    def only_announces_nothing(self) -> bool:
        """Whether all that is wrong so far is that the event announces no release."""
        return bool(self.faults) and len(self.faults) == len(self._no_release)

    def tells_of(self, path: str) -> bool:
        """Whether something there, or what it stands in, is a fault already."""
        return any(path == one.path or path.startswith((f"{one.path}.", f"{one.path}[")) for one in self.faults)

    def refuse(self) -> None:
        """Raise ``InvalidEvent`` with every fault, if there is one; ``NoRelease`` where that is all that is wrong."""
        if self.faults:
            raise (NoRelease if self.only_announces_nothing else InvalidEvent).of(self.faults)


@contextmanager
def netted(what: str) -> Iterator[None]:
    """The last net around reading ``what``: an exception that nobody foresaw is a defect of ours, and rejects this message only.

    It has to be here, and not further out: an event that ends the daemon comes again at every start. Raises ``InvalidEvent``.
    """
    try:
        yield
    except InvalidEvent:
        raise
    except Exception as error:
        name = type(error).__name__
        log.exception("%s could not be read, through a defect of verdictd", what, extra={"error": name})
        raise InvalidEvent(
            f"could not be read, through a defect of verdictd ({name})", fix="report it with this message"
        ) from error


def decode(body: bytes | msgspec.Raw, *, path: str, fix: str, like: type | None = None) -> Any:
    """Decode JSON into plain values. ``path`` is where it stands in the message.

    ``like`` is a model of what it should be: it knows the place of a number that is too large, which plain values do not.

    Raises:
        InvalidEvent: with the path to the fault.
    """
    try:
        return decode_as(Any, body, path=path, fix=fix)
    except InvalidEvent as error:
        if like is not None and isinstance(error.__cause__, msgspec.ValidationError):
            _place_the_number(like, body, path=path, fix=fix)
        raise


def _place_the_number(like: type, body: bytes | msgspec.Raw, *, path: str, fix: str) -> None:
    try:
        decode_as(like, body, path=path, fix=fix)
    except InvalidEvent as error:
        if "out of range" in error.message:
            raise


def decode_as(model: type[_T] | Any, body: bytes | msgspec.Raw, *, path: str, fix: str, what: str = "JSON") -> _T:
    """Decode JSON into ``model``; ``what`` is what it is said not to be. Raises ``InvalidEvent``."""
    try:
        return msgspec.json.decode(body, type=model)
    except UnicodeDecodeError as error:
        raise InvalidEvent(f"not {what}: not UTF-8 (the byte {error.object[error.start]:02x})", path=path, fix=fix) from error
    except RecursionError as error:
        raise InvalidEvent(f"not {what}: nested too deep", path=path, fix=fix) from error
    except msgspec.ValidationError as error:
        message, where = placed(error, path=path)
        if where == path and what != "JSON":
            message = f"not {what}: {message}"
        raise InvalidEvent(message, path=where, fix=fix) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidEvent(f"not {what}: {error}", path=path, fix=fix) from error


def checked(document: object, model: type[_T], *, path: str) -> _T:
    """Plain values as ``model``. Raises ``InvalidEvent`` with every fault."""
    if faults := walking.faults(document, model, path=path):
        raise InvalidEvent.of(faults)
    return msgspec.convert(document, model)


def listed(words: Mapping[str, object]) -> str:
    """What a document says, in one line."""
    said = (f"{name} {value if isinstance(value, str) else msgspec.json.encode(value).decode()}" for name, value in words.items())
    return ", ".join(said)[:_LONGEST_LIST] or "nothing"


def decode_base64(text: str, *, path: str, fix: str) -> bytes:
    """Decode Base64 (RFC 4648, padded). Raises ``InvalidEvent``."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: letters beyond ASCII
        raise InvalidEvent(f"not Base64: {error}", path=path, fix=fix) from error
