"""What nats-py raises, as our errors.

One place, because the library has three roots of errors (asyncio's, its own, JetStream's) and puts "not now" and "never"
side by side under each: here it is decided once which of them another try can cure.
"""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import nats.errors
import nats.js.errors

from daemon.aio.tasks import cancellations
from daemon.errors import Conflict, Forbidden, InvalidInput, NotFound, Refused, TimedOut, Unavailable, VerdictdError

# JetStream's numbers for "the sequence you expected is not the last one".
WRONG_LAST_SEQUENCE = frozenset({10071, 10164})
# Its number for whatever keeps it from storing a message; that there is no room by the stream's own limits is only in the words.
NOT_STORED = 10077
_NO_ROOM = "maximum "
_MAKE_ROOM: Final = (
    "the stream is full and refuses what is new: raise its limits (nats stream edit), "
    "or, if it was set by hand to refuse, have it let go of its oldest (nats stream edit --discard old)"
)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise our errors for the library's; ``doing`` begins the message, as in ``writing the checkpoint``.

    A cancellation that the library has lost is raised again. It waits with ``asyncio.wait_for``, which before Python 3.12
    returns the result and forgets the cancellation when both come in the same turn: a loop around it would never end.
    """
    before = cancellations()
    try:
        yield
    except (nats.errors.Error, OSError, TimeoutError) as error:
        if cancellations() > before:
            raise asyncio.CancelledError from error
        raise translate(error, doing) from error
    except Exception as error:
        # What the body itself has made of the library's error, which came in the place of the cancellation.
        if cancellations() > before:
            raise asyncio.CancelledError from error
        raise
    if cancellations() > before:
        raise asyncio.CancelledError


def translate(error: Exception, doing: str) -> VerdictdError:
    """Our error for one of the library's."""
    text = f"{doing}: {str(error) or type(error).__name__}"
    match error:
        # Without a code nobody was there to say one.
        case (
            nats.js.errors.NoStreamResponseError()
            | nats.errors.NoRespondersError()
            | nats.js.errors.ServiceUnavailableError(code=None)
        ):
            return Unavailable(f"{doing}: JetStream does not answer (no stream for it, or the server is just starting)")
        case nats.js.errors.APIError():
            return _of_api(error, text)
        case TimeoutError():
            return TimedOut(f"{doing}: no answer from NATS in time")
        case nats.errors.AuthorizationError() | nats.errors.InvalidUserCredentialsError():
            return Forbidden(text)
        case nats.errors.MaxPayloadError() | nats.errors.BadSubjectError() | nats.errors.BadHeaderError():
            return Refused(text)
        case _:  # a right denied as well: it may be given at any moment, and what could not be written is then still to be written
            return Unavailable(text)


def _of_api(error: nats.js.errors.APIError, text: str) -> VerdictdError:
    if isinstance(error, nats.js.errors.NotFoundError):
        return NotFound(text)
    if error.err_code in WRONG_LAST_SEQUENCE:
        return Conflict(text)
    if error.err_code == NOT_STORED and _NO_ROOM in (error.description or ""):
        return Unavailable(f"{text}; {_MAKE_ROOM}")
    # 500 and 503 are leaders being elected, disks being full, JetStream still recovering: all of them can pass.
    if error.code is not None and 400 <= error.code < 500:
        return Refused(text)
    return Unavailable(text)


def is_final(error: Exception) -> bool:
    """Whether what a first connect met cannot be mended by trying again: we are not let in, or do not know who it is."""
    return _is_denial(error) or isinstance(error, ssl.SSLCertVerificationError)


def not_connected(error: Exception | None, *, where: str, seconds: float) -> VerdictdError:
    """Why a first connect to ``where`` has come to nothing in ``seconds``; ``error`` is what was met last."""
    if error is not None and _is_denial(error):
        return Forbidden(
            f"NATS at {where} does not let us in ({error}); check nats.token_file, nats.credentials_file or the user in nats.url"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return InvalidInput(
            f"the certificate of NATS at {where} is not trusted: {error.verify_message}",
            path="nats.ca_file",
            fix="name the PEM bundle of the CA that signed it",
        )
    return Unavailable(f"NATS at {where} did not answer within {seconds:g} s" + (f" ({error})" if error is not None else ""))


def _is_denial(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, nats.errors.AuthorizationError) or "authorization" in text or "authentication" in text
