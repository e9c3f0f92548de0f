"""The one way out over HTTP. Whoever answers is not believed in how much it sends, nor for how long, nor where to ask next.

An answer is read as it comes: unpacked and handed to a ``Reader`` in pieces, each of them beside the event loop, so that no
answer, however it is packed, holds up a revert or fills the memory. Redirects are refused, since headers and questions would
follow them to wherever the answer says; cookies are not kept, and proxies of the environment not used.
"""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from config import files, urls
from daemon.aio.parsing import GZIP, PIECE_BYTES, ParserPool, Reader, Unpacking
from daemon.aio.threads import OwnThread
from daemon.errors import Forbidden, InvalidInput, NotFound, Refused, Throttled, TimedOut, Unavailable, VerdictdError

_WIRE_BYTES = 64 * 1024
"""Read ahead of one answer, at most twice as much."""
_SMALL_BYTES = 128 * 1024
"""An answer that is not worth the way to another thread: a ms."""
_EXCERPT = 200
_TOKEN_BYTES = 64 * 1024

R = TypeVar("R", bound=Reader)


class HttpClient:
    """Requests to servers named in the settings. Close it in the event loop that it was used in.

    Args:
        setting: where the addresses stand in the settings, for refusals: ``telemetry.prometheus.url``.
        connections: open at the same time.
        timeout_seconds: for one request, from the first byte sent to the last one parsed.
        max_answer_bytes: of one answer, unpacked.
        ceiling_setting: where that stands in the settings, if it does.
        pool: for ``read``; ``whole`` needs none.
        ca_file: PEM bundle to trust in place of the system's.
        headers: sent with every request.
        token_file: file with a bearer token, read for every request because mounted tokens are renewed.
        keep_seconds: how long an idle connection is kept.

    Raises:
        InvalidInput: ``ca_file`` cannot be read.
    """

    def __init__(
        self,
        *,
        setting: str,
        connections: int,
        timeout_seconds: float,
        max_answer_bytes: int,
        ceiling_setting: str | None = None,
        pool: ParserPool | None = None,
        ca_file: str | None = None,
        headers: Mapping[str, str] | None = None,
        token_file: str | None = None,
        keep_seconds: float = 15.0,
    ) -> None:
        self._setting = setting
        self._connections = connections
        self._timeout_seconds = timeout_seconds
        self._max_answer_bytes = max_answer_bytes
        self._ceiling_fix = "" if ceiling_setting is None else f"; raise {ceiling_setting}"
        self._pool = pool
        self._trust = _trust(ca_file)
        self._headers = dict(headers or {})
        self._token_file = token_file
        self._token_reading = OwnThread("token file")
        self._keep_seconds = keep_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Nothing is to be done: connections are opened when they are needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def deadline(self) -> float:
        """When a request, or several in a row, that began now would have taken too long: in the event loop's time."""
        return asyncio.get_running_loop().time() + self._timeout_seconds

    async def read(self, url: URL, reader: Callable[[], R], *, form: Mapping[str, str] | None = None, by: float | None = None) -> R:
        """Have an answer read while it comes, at the latest ``by`` (see ``deadline``).

        Args:
            url: where.
            reader: makes what reads the answer, once it begins.
            form: sent with a POST; a GET when there is none.
            by: end of the time for it.

        Raises:
            VerdictdError: there is no answer, or none that can be used; or what the reader raises.
        """
        pool = self._pool
        assert pool is not None, "a client that reads was made without a pool"
        async with self._answer(url, form=form, by=by, headers={"Accept-Encoding": "gzip"}) as (response, step):
            step.waiting_for_room = True
            async with pool.place():
                step.waiting_for_room = False
                into = reader()
                unpacked = Unpacking(response.headers.get("Content-Encoding", ""), into, ceiling=self._ceiling(url))
                async for batch, last in _batches(response.content):
                    small = last and len(batch) <= _SMALL_BYTES and not unpacked.packed
                    while await pool.run(partial(unpacked.step, batch, last=last), small=small):
                        batch = b""  # noqa: PLW2901 - it has been handed over
                return into

    async def whole(self, url: URL) -> bytes:
        """The answer to a GET, in one. For what is short, or must not wait for room. Raises ``VerdictdError``."""
        async with self._answer(url, form=None, by=None, headers={"Accept-Encoding": "identity"}) as (response, _):
            if encoding := response.headers.get("Content-Encoding"):
                raise Refused(f"{_where(url)} answered in the encoding {encoding[:40]!r}, which was not asked for")
            body, ceiling = bytearray(), self._ceiling(url)
            while chunk := await response.content.readany():
                ceiling(len(body) + len(chunk))
                body += chunk
            return bytes(body)

    @asynccontextmanager
    async def _answer(
        self, url: URL, *, form: Mapping[str, str] | None, by: float | None, headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, "_Step"]]:
        """An answer with status 200, its body still to come."""
        where, step = _where(url), _Step()
        method = "GET" if form is None else "POST"
        try:
            async with asyncio.timeout_at(self.deadline() if by is None else by):
                step.reading_token = True
                asked = {**self._headers, **headers, **await self._authorization()}
                step.reading_token = False
                async with self._opened().request(method, url, data=form, headers=asked, allow_redirects=False) as response:
                    try:
                        await self._check(response, where)
                        yield response, step
                    except BaseException:
                        response.close()  # whatever is still to come of it
                        raise
        except TimeoutError as error:
            if step.reading_token:
                raise TimedOut(f"the token file {self._token_file} could not be read within {self._timeout_seconds:g} s") from error
            if step.waiting_for_room:
                raise TimedOut(
                    f"no room to read {where} within {self._timeout_seconds:g} s; raise limits.unparsed_bytes"
                ) from error
            raise TimedOut(f"{where} did not answer within {self._timeout_seconds:g} s") from error
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise Unavailable(f"{where}: {str(error) or type(error).__name__}") from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._trust, keepalive_timeout=self._keep_seconds),
                # One time limit over the whole exchange, asyncio's, and not aiohttp's several.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=_WIRE_BYTES,
            )
        return self._session

    async def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            content = await self._token_reading.run(files.read_bytes, Path(self._token_file), limit_bytes=_TOKEN_BYTES)
            token = content.decode().strip()
        except files.Unreadable as error:
            raise Unavailable(f"{self._token_file} {error.message}") from error
        except UnicodeDecodeError as error:
            raise Refused(f"{self._token_file} holds no text, where a token should be") from error
        if not token.isascii() or not token.isprintable():
            raise Refused(f"{self._token_file} holds no token of one line and ASCII letters")
        return {"Authorization": f"Bearer {token}"}

    def _ceiling(self, url: URL) -> Callable[[int], None]:
        most, fix = self._max_answer_bytes, self._ceiling_fix

        def check(size_bytes: int) -> None:
            if size_bytes > most:
                raise Refused(f"{_where(url)} answered with more than {most} bytes{fix}")

        return check

    async def _check(self, response: aiohttp.ClientResponse, where: str) -> None:
        """Raise what a status other than 200 means."""
        if response.status != 200:
            raise await self._refusal(response, where)

    async def _refusal(self, response: aiohttp.ClientResponse, where: str) -> VerdictdError:
        if 300 <= response.status < 400:
            fix = f"redirects are not followed: put the final address into {self._setting}"
            return Refused(f"{where} answered {response.status} and sends us to {_target(response)}; {fix}")
        excerpt = _excerpt(await response.content.readany(), response.headers.get("Content-Encoding", ""))
        message = f"{where} answered {response.status}" + (f": {excerpt}" if excerpt else "")
        match response.status:
            case 401 | 403:
                return Forbidden(message)
            case 404:
                return NotFound(message)
            case 429:
                seconds = response.headers.get("Retry-After", "")
                return Throttled(message, retry_after_seconds=float(seconds) if seconds.isdecimal() else 1.0)
            case status if status >= 500:
                return Unavailable(message)
            case _:
                return Refused(message)


class _Step:
    """How far a request has come, for the account of why it took too long."""

    reading_token = False
    waiting_for_room = False


def base_url(text: str, *, path: str) -> URL:
    """A base URL from the settings; raises ``InvalidInput`` for anything that is none."""
    try:
        return urls.base_url(text)
    except urls.Unusable as error:
        raise InvalidInput(error.message, path=path, fix=error.fix) from error


async def _batches(content: aiohttp.StreamReader) -> AsyncIterator[tuple[bytes, bool]]:
    """What comes, in batches of some size, so that a thread is not asked for every drop; the last one may be empty."""
    batch = bytearray()
    while chunk := await content.readany():
        batch += chunk
        if len(batch) >= PIECE_BYTES:
            yield bytes(batch), False
            batch.clear()
    yield bytes(batch), True


def _trust(ca_file: str | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise InvalidInput(
            f"{ca_file} cannot be used: {error.strerror or error}", path="ca_file", fix="name a readable PEM bundle"
        ) from error


def _where(url: URL) -> str:
    return f"{url.host}:{url.port}"


def _target(response: aiohttp.ClientResponse) -> str:
    """Where a redirect leads, without what may be secret in it."""
    text = response.headers.get("Location", "")
    try:
        url = URL(text)
        shown = str(url.with_user(None).with_query(None).with_fragment(None)) if url.absolute else url.path
    except ValueError:
        shown = ""
    return repr(shown[:_EXCERPT]) if shown else "nowhere"


def _excerpt(body: bytes, encoding: str) -> str:
    if encoding:
        try:
            body = zlib.decompressobj(wbits=GZIP).decompress(body, _EXCERPT)
        except zlib.error:
            return ""
    return " ".join(body[:_EXCERPT].decode("utf-8", "replace").split())
