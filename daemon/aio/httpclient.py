"""The one way out over HTTP. Whoever answers is not believed in how much it sends, nor for how long, nor where to ask next.

An answer is read as it comes: unpacked and handed to a ``Reader`` in pieces, each of them beside the event loop, so that no
answer, however it is packed, holds up a revert or fills the memory. Redirects are refused, since headers and questions would
follow them to wherever the answer says; cookies are not kept, and proxies of the environment not used.
"""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from daemon.errors import Forbidden, InvalidInput, NotFound, Refused, Throttled, TimedOut, Unavailable, VerdictdError

PIECE_BYTES = 256 * 1024
"""Unpacked and parsed in one go: a few ms."""
LONGEST_BYTES = 512 * 1024
"""What a reader may keep back of a piece because it is not whole yet."""
_SMALL_BYTES = 128 * 1024
"""An answer that is not worth the way to another thread: a ms."""
_WIRE_BYTES = 64 * 1024
_PLACE_BYTES = 2 * 1024 * 1024
"""What one answer has in memory unparsed at most: read ahead, one batch, one piece, and what is kept back, joined."""
_EXCERPT = 200
_GZIP = 31  # zlib's window bits for the gzip format

T = TypeVar("T")


class Reader(Protocol):
    """Takes an answer apart, piece by piece. Called from a thread, never twice at the same time."""

    def feed(self, piece: bytes) -> None:
        """Take the next bytes, at most ``PIECE_BYTES``. Raises ``VerdictdError``; keeps at most ``LONGEST_BYTES`` back."""
        ...

    def close(self) -> None:
        """The answer is whole. Raises ``VerdictdError`` when it makes no sense."""
        ...


R = TypeVar("R", bound=Reader)


class ParserPool:
    """Where answers are unpacked and parsed: a bound on the bytes of all of them together, and one thread.

    Args:
        unparsed_bytes: those of all answers that are in memory and not parsed yet. An answer that finds no room waits.
    """

    def __init__(self, *, unparsed_bytes: int) -> None:
        self._places = asyncio.Semaphore(max(1, unparsed_bytes // _PLACE_BYTES))
        # More threads would only take the interpreter from the event loop more often.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parser")
        self._jobs: set[Future[Any]] = set()

    async def __aenter__(self) -> Self:
        """Nothing is to be done."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Room for one answer, waited for in the order of asking."""
        async with self._places:
            yield

    async def run(self, work: Callable[[], T], *, small: bool = False) -> T:
        """Do some work in the thread, one after the other; ``small`` work (a ms) here and now, while the thread has none.

        When cancelled, returns only after the work: what it works on is nobody else's until then.
        """
        if small and not self._jobs:
            return work()
        job = self._thread.submit(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        done = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            if not job.cancel():
                await asyncio.wait([done])
            raise


class HttpClient:
    """Requests to servers named in the settings. Close it in the event loop that it was used in.

    Args:
        setting: path of the settings that the addresses come from, for refusals: ``telemetry.prometheus``.
        connections: open at the same time.
        timeout_seconds: for one request, from the first byte sent to the last one parsed.
        max_answer_bytes: of one answer, unpacked.
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
        self._pool = pool
        self._trust = _trust(ca_file)
        self._headers = dict(headers or {})
        self._token_file = token_file
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
                unpacked = _Unpacking(response.headers.get("Content-Encoding", ""), into, ceiling=self._ceiling(url))
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
                asked = {**self._headers, **headers, **await self._authorization()}
                async with self._opened().request(method, url, data=form, headers=asked, allow_redirects=False) as response:
                    try:
                        await self._check(response, where)
                        yield response, step
                    except BaseException:
                        response.close()  # whatever is still to come of it
                        raise
        except TimeoutError as error:
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
            token = (await asyncio.to_thread(Path(self._token_file).read_text, encoding="utf-8")).strip()
        except UnicodeDecodeError as error:
            raise Refused(f"{self._setting}.token_file: {self._token_file} holds no text") from error
        if not token.isascii() or not token.isprintable():
            raise Refused(f"{self._setting}.token_file: {self._token_file} holds no token of one line and ASCII letters")
        return {"Authorization": f"Bearer {token}"}

    def _ceiling(self, url: URL) -> Callable[[int], None]:
        most, setting = self._max_answer_bytes, self._setting

        def check(size_bytes: int) -> None:
            if size_bytes > most:
                raise Refused(f"{_where(url)} answered with more than {most} bytes; raise {setting}.max_answer_bytes")

        return check

    async def _check(self, response: aiohttp.ClientResponse, where: str) -> None:
        """Raise what a status other than 200 means."""
        if response.status != 200:
            raise await self._refusal(response, where)

    async def _refusal(self, response: aiohttp.ClientResponse, where: str) -> VerdictdError:
        if 300 <= response.status < 400:
            return Refused(f"{where} answered {response.status} and sends us to {_target(response)}; {self._fix}")
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

    @property
    def _fix(self) -> str:
        return f"redirects are not followed: put the final address into {self._setting}"


class _Step:
    """How far a request has come, for the account of why it took too long."""

    waiting_for_room = False


class _Unpacking:
    """An answer on its way from the wire to its reader."""

    def __init__(self, encoding: str, into: Reader, *, ceiling: Callable[[int], None]) -> None:
        if encoding.lower() not in {"", "identity", "gzip", "x-gzip"}:
            raise Refused(f"the answer comes in the encoding {encoding[:40]!r}, which was not asked for")
        self.packed = encoding.lower() in {"gzip", "x-gzip"}
        self._inflating = zlib.decompressobj(wbits=_GZIP)
        self._into = into
        self._ceiling = ceiling
        self._left = b""
        self._size_bytes = self._wire_bytes = 0

    def step(self, batch: bytes, *, last: bool) -> bool:
        """Unpack and read one piece; ``batch`` is what has come since. Whether to call again, with an empty one."""
        self._wire_bytes += len(batch)
        self._left = self._left + batch if self._left else batch
        piece = self._unpacked() if self.packed else self._cut()
        self._size_bytes += len(piece)
        # What is packed need not become larger.
        self._ceiling(max(self._size_bytes, self._wire_bytes))
        if piece:
            self._into.feed(piece)
        if self._left or len(piece) == PIECE_BYTES:
            return True
        if last:
            if self.packed and self._wire_bytes and not self._inflating.eof:
                raise Unavailable("the packed answer ends before its end")
            self._into.close()
        return False

    def _cut(self) -> bytes:
        piece, self._left = self._left[:PIECE_BYTES], self._left[PIECE_BYTES:]
        return piece

    def _unpacked(self) -> bytes:
        if self._inflating.eof and self._left:
            # Gzip allows several members, and a million empty ones are small; nobody packs statistics so.
            raise Unavailable("the packed answer goes on after its end")
        try:
            piece = self._inflating.decompress(self._left, PIECE_BYTES)
        except zlib.error as error:
            raise Unavailable(f"the answer cannot be unpacked: {error}") from error
        self._left = self._inflating.unconsumed_tail or self._inflating.unused_data
        return piece


def base_url(text: str, *, path: str) -> URL:
    """A base URL from the settings; raises ``InvalidInput`` for anything that is none."""
    try:
        url: URL | None = URL(text)
    except ValueError:
        url = None
    if url is None or url.scheme not in {"http", "https"} or not url.host or url.port is None:
        raise InvalidInput(f"{text[:200]!r} is not a base URL", path=path, fix="write http://host:port or https://host:port")
    return url


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
            body = zlib.decompressobj(wbits=_GZIP).decompress(body, _EXCERPT)
        except zlib.error:
            return ""
    return " ".join(body[:_EXCERPT].decode("utf-8", "replace").split())
