"""One exchange over HTTP that comes to nothing: how far it had come, which of our errors that is, and none of what was shown in it.

Whoever answers may say again what it was sent, in its words, in a header that is none, or where a number should be.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from daemon.aio.credentials import Credentials, conceal, concealed
from daemon.errors import TimedOut, Unavailable, VerdictdError

_EXCERPT = 200


class Exchange:
    """How far it has come, for the account of why it failed.

    Args:
        where: host and port.
        credentials: what is shown.
        timeout_seconds: for all of it.

    Attributes:
        secrets: what must not be told, once it is known.
        reading_credentials: what is to be shown is being read.
        waiting_for_room: there is an answer, and no room yet to read it.
    """

    def __init__(self, where: str, *, credentials: Credentials, timeout_seconds: float) -> None:
        self._where = where
        self._credentials = credentials
        self._timeout_seconds = timeout_seconds
        self.secrets: tuple[str, ...] = ()
        self.reading_credentials = False
        self.waiting_for_room = False

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Have the exchange in the body. Raises ``VerdictdError``, whatever it fails by."""
        try:
            yield
        except VerdictdError as error:
            conceal(error, self.secrets)
            raise
        except TimeoutError as error:
            raise TimedOut(self._too_late()) from error
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            words = concealed(in_words(error, self._credentials), self.secrets)
            raise Unavailable(f"{self._where}: {' '.join(words.split())[:_EXCERPT]}") from error

    def _too_late(self) -> str:
        what, fix = f"{self._where} did not answer", ""
        if self.reading_credentials:
            what = f"the files with the credentials for {self._where} could not be read"
        elif self.waiting_for_room:
            what, fix = f"no room to read {self._where}", "; raise limits.unparsed_bytes"
        return f"{what} within {self._timeout_seconds:g} s{fix}"


def in_words(error: Exception, credentials: Credentials) -> str:
    """Why there is no answer, and what to do where certificates are the reason. Without the address, which may hold a secret."""
    inner = _of_tls(error)
    setting = credentials.setting
    if isinstance(inner, ssl.SSLCertVerificationError):
        fix = f"; name its authority in {setting}.ca_file" if setting else ""
        return f"its certificate is not trusted: {inner.verify_message}{fix}"
    if inner is not None and "CERTIFICATE" in (inner.reason or ""):
        return f"it does not take our certificate ({inner.reason}); {_certificate_fix(credentials)}"
    if isinstance(error, aiohttp.ClientResponseError):
        return error.message
    return str(error) or type(error).__name__


def _of_tls(error: BaseException) -> ssl.SSLError | None:
    """The fault of TLS in an error of the client's: it is wrapped, in different ways at different steps."""
    # The client's own error for a certificate is one of TLS by name, and lacks what such have.
    for one in (getattr(error, "certificate_error", None), error.__cause__, error.__context__, error):
        if isinstance(one, ssl.SSLError):
            return one
    return None


def _certificate_fix(credentials: Credentials) -> str:
    if credentials.client_certificate_file is None:
        return f"it was shown none: name one in {credentials.setting}.client_certificate_file"
    return f"it was shown the one in {credentials.client_certificate_file}"
