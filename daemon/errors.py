"""Our exceptions. Adapters translate what libraries raise into these at their edge, with ``raise ... from``.

::

    VerdictdError
    ├── InvalidInput            somebody gave us something wrong: says where, what, and how to mend it
    │   └── InvalidEvent        ... in a deployment event: it goes to the dead letters with the reason
    │       └── NoRelease       ... which is as it should be, and announces nothing that could be watched
    ├── TransientError          trying again can help
    │   ├── Unavailable         not reachable, connection lost
    │   │   ├── Failing         it is reached, and answers 5xx
    │   │   ├── Unreadable      its answer cannot be read
    │   │   └── Partial         its answer is not whole, by its own word
    │   ├── TimedOut            no answer in time
    │   ├── Throttled           429: carries retry_after_seconds
    │   ├── Conflict            the object changed between our read and our write (409, 422 of a value test)
    │   └── Defect              a part that was plugged in broke its word, or itself: says whose it is
    └── PermanentError          trying again cannot help
        ├── NotFound            the object, route or release is not there
        │   └── CameToNothing   ... an announcement has waited for its canary, and waits no more: says why
        ├── Forbidden           401, 403
        ├── Refused             the server understood and says no (400, 422 of a schema)
        │   ├── Redirected      it sends us elsewhere (3xx), where we do not go
        │   └── WebPage         it answers with a page for people: a login, or another server than is meant
        ├── Elsewhere           the release is another verdictd's: of a newer version, or of another process
        └── Blocked             acting would do harm: the baseline has no ready endpoints

Retryable or fatal is a class, never a string or a flag.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from config.errors import Fault, first_of

_LONGEST_TEXT = 1_000
_LONGEST_SENTENCES = 4_000


class VerdictdError(Exception):
    """Base of all errors that are ours."""


class InvalidInput(VerdictdError):
    """Input that cannot be used: one fault, or all that a document has (``of``).

    Args:
        message: what is wrong, and with which value.
        path: where, as ``$.canary.subset`` or ``policies.default.alpha``; ``$`` is the whole document.
        fix: what to write instead.
    """

    def __init__(self, message: str, *, path: str = "$", fix: str = "") -> None:
        super().__init__(message)
        self.faults: tuple[Fault, ...] = (Fault(path=_short(path), message=_short(message), fix=_short(fix)),)

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> Self:
        """All faults of a document, at least one; those beyond the first 30 are counted."""
        error = cls(faults[0].message)
        error.faults = tuple(
            Fault(path=_short(one.path), message=_short(one.message), fix=_short(one.fix), stands_for=one.stands_for)
            for one in first_of(faults)
        )
        return error

    @property
    def message(self) -> str:
        """What is wrong."""
        return self.faults[0].message

    @property
    def path(self) -> str:
        """Where."""
        return self.faults[0].path

    @property
    def fix(self) -> str:
        """What to write instead; empty where there is nothing to say."""
        return self.faults[0].fix

    def __str__(self) -> str:
        """``path: message; fix`` of each fault, with `` | `` between them; what is too long for a line is counted."""
        return " | ".join(_lines(self.faults))


def _lines(faults: Sequence[Fault]) -> Iterator[str]:
    room = _LONGEST_SENTENCES
    for number, fault in enumerate(faults):
        line = str(fault)
        room -= len(line)
        if number and room < 0:
            yield f"and {sum(one.stands_for for one in faults[number:])} more"
            return
        yield line


def _short(text: str) -> str:
    """What strangers write gets into these texts; nobody is answered with a megabyte of it."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


class InvalidEvent(InvalidInput):
    """A deployment event that cannot be understood."""


class NoRelease(InvalidEvent):
    """An event that is as it should be, and announces nothing that could be watched: of another type, or without arms."""


class TransientError(VerdictdError):
    """Trying again can help."""


class Unavailable(TransientError):
    """Not reachable, or the connection was lost."""


class Failing(Unavailable):
    """It is reached, and its answer is that it fails (5xx)."""


class Unreadable(Unavailable):
    """Its answer cannot be read."""


class Partial(Unavailable):
    """Its answer is not whole, by its own word."""


class TimedOut(TransientError):
    """No answer in time."""


class Throttled(TransientError):
    """The server asks us to slow down (429)."""

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Conflict(TransientError):
    """The object changed between our read and our write: read it again and decide anew."""


class Defect(TransientError):
    """A part that was plugged in raised what is no error of ours. Its cause is what it raised; the next call may go well."""


class NotAllowed(InvalidInput):
    """Whoever asks may not do this; the fix says what would let it."""


class PermanentError(VerdictdError):
    """Trying again cannot help."""


class NotFound(PermanentError):
    """The object, route or release is not there."""


class CameToNothing(NotFound):
    """An announcement has waited for its canary, and waits no more. Times are in seconds since 1970.

    Args:
        message: which one.
        why: it did.
        since: when it was announced.
        at: when it came to nothing.
    """

    def __init__(self, message: str, *, why: str, since: float, at: float) -> None:
        super().__init__(f"{message}: {why}")
        self.why = why
        self.since = since
        self.at = at


class Forbidden(PermanentError):
    """We may not do this (401, 403)."""


class Unauthenticated(Forbidden):
    """Nobody knows us (401): credentials that have run out are mostly renewed a moment later."""


class Refused(PermanentError):
    """The server understood and says no."""


class Redirected(Refused):
    """It sends us elsewhere (3xx), where we do not go."""


class WebPage(Refused):
    """It answers with a page for people: a login, or another server than is meant."""


class Elsewhere(PermanentError):
    """The release is another verdictd's: a newer version keeps it, or another process watches it. It is left alone here."""


class Blocked(PermanentError):
    """Acting would do harm, for example revert to a baseline that has no ready endpoints."""


def first_to_retry(errors: Iterable[VerdictdError]) -> VerdictdError:
    """Of one or more the one to tell: what can be tried again before what cannot."""
    return min(errors, key=lambda error: not isinstance(error, TransientError))
