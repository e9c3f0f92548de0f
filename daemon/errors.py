"""Our exceptions. Adapters translate what libraries raise into these at their edge, with ``raise ... from``.

::

    VerdictdError
    ├── InvalidInput            somebody gave us something wrong: says where, what, and how to mend it
    │   └── InvalidEvent        ... in a deployment event: it goes to the dead letters with the reason
    ├── TransientError          trying again can help
    │   ├── Unavailable         not reachable, 5xx, connection lost
    │   ├── TimedOut            no answer in time
    │   ├── Throttled           429: carries retry_after_seconds
    │   └── Conflict            the object changed between our read and our write (409, 422 of a value test)
    └── PermanentError          trying again cannot help
        ├── NotFound            the object, route or release is not there
        ├── Forbidden           401, 403
        ├── Refused             the server understood and says no (400, 422 of a schema)
        └── Blocked             acting would do harm: the baseline has no ready endpoints

Retryable or fatal is a class, never a string or a flag.
"""

_LONGEST_TEXT = 1_000


class VerdictdError(Exception):
    """Base of all errors that are ours."""


class InvalidInput(VerdictdError):
    """Input that cannot be used.

    Args:
        message: what is wrong, and with which value.
        path: where, as ``$.canary.subset`` or ``policies.default.alpha``; ``$`` is the whole document.
        fix: what to write instead.
    """

    def __init__(self, message: str, *, path: str = "$", fix: str = "") -> None:
        super().__init__(message)
        self.message = _short(message)
        self.path = _short(path)
        self.fix = _short(fix)

    def __str__(self) -> str:
        """``path: message; fix``."""
        return f"{self.path}: {self.message}" + (f"; {self.fix}" if self.fix else "")


def _short(text: str) -> str:
    """What strangers write gets into these texts; nobody is answered with a megabyte of it."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


class InvalidEvent(InvalidInput):
    """A deployment event that cannot be understood."""


class TransientError(VerdictdError):
    """Trying again can help."""


class Unavailable(TransientError):
    """Not reachable, answered 5xx, or the connection was lost."""


class TimedOut(TransientError):
    """No answer in time."""


class Throttled(TransientError):
    """The server asks us to slow down (429)."""

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Conflict(TransientError):
    """The object changed between our read and our write: read it again and decide anew."""


class PermanentError(VerdictdError):
    """Trying again cannot help."""


class NotFound(PermanentError):
    """The object, route or release is not there."""


class Forbidden(PermanentError):
    """We may not do this (401, 403)."""


class Refused(PermanentError):
    """The server understood and says no."""


class Blocked(PermanentError):
    """Acting would do harm, for example revert to a baseline that has no ready endpoints."""
