"""The one way out over HTTP. Whoever answers is not believed in how much it sends, nor for how long, nor where to ask next.

An answer is read as it comes: unpacked and handed to a ``Reader`` in pieces, each of them beside the event loop, so that no
answer, however it is packed, holds up a revert or fills the memory. Redirects are refused, since headers and questions would
follow them to wherever the answer says; cookies are not kept, and proxies of the environment not used.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import aiohttp
from yarl import URL

from config import urls
from daemon.aio.addressguard import AddressGuard
from daemon.aio.credentials import Credentials, Identity, Shown, secret_values
from daemon.aio.httpanswers import Asked, refusal, web_page
from daemon.aio.httpexchange import Exchange
from daemon.aio.httpquestions import Questions
from daemon.aio.parsing import ParserPool, Reader
from daemon.errors import InvalidInput, PermanentError, Refused, VerdictdError

_WIRE_BYTES = 64 * 1024
"""Read ahead of one answer, at most twice as much."""
R = TypeVar("R", bound=Reader)


class WholeAnswer(NamedTuple):
    """A body in one, and the headers that came with it, whose names are looked up in any case."""

    body: bytes
    headers: Mapping[str, str]


class Sending(NamedTuple):
    """Something to be told.

    Attributes:
        secrets: what of it is never shown.
        shown: by what it is authorised, in words; empty: by the client's identity.
    """

    method: str
    body: bytes
    headers: Mapping[str, str]
    secrets: tuple[str, ...] = ()
    shown: str = ""


class HttpClient:
    """Requests to servers named in the settings. Close it in the event loop that it was used in.

    Args:
        setting: where the addresses stand in the settings, for refusals: ``telemetry.prometheus.url``.
        connections: open at the same time.
        timeout_seconds: for one request, from the first byte sent to the last one parsed.
        max_answer_bytes: of one answer, unpacked.
        ceiling_setting: where that stands in the settings, if it does.
        pool: for ``read``; ``whole`` needs none.
        headers: sent with every request.
        identity: who we are, and whom we trust.
        questions: how they are asked.
        keep_seconds: how long an idle connection is kept.
        guard: of the addresses that may be asked, where a stranger names them; all may, where there is none.
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
        headers: Mapping[str, str] | None = None,
        identity: Identity | None = None,
        questions: Questions | None = None,
        keep_seconds: float = 15.0,
        guard: AddressGuard | None = None,
    ) -> None:
        self._setting = setting
        self._connections = connections
        self._timeout_seconds = timeout_seconds
        self._max_answer_bytes = max_answer_bytes
        self._ceiling_fix = "" if ceiling_setting is None else f"; raise {ceiling_setting}"
        self._pool = pool
        self._headers = dict(headers or {})
        self._identity = Identity(Credentials()) if identity is None else identity
        self._questions = Questions() if questions is None else questions
        self._keep_seconds = keep_seconds
        self._guard = guard
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

    @property
    def longest_question_bytes(self) -> int:
        """How long what is sent as a form may be, by the way in which it goes out now."""
        return self._questions.longest_bytes

    async def read(self, url: URL, reader: Callable[[], R], *, form: Mapping[str, str] | None = None, by: float | None = None) -> R:
        """Have an answer read while it comes, at the latest ``by`` (see ``deadline``).

        Args:
            url: where.
            reader: makes what reads the answer, once it begins.
            form: a question, sent as ``Questions`` says; a plain GET when there is none.
            by: end of the time for it.

        Raises:
            VerdictdError: there is no answer, or none that can be used; or what the reader raises.
        """
        by = self.deadline() if by is None else by
        if form is None:
            return await self._read(url, reader, by=by)
        if self._questions.by_get:
            return await self._read(self._questions.address(url, form, by_get=True), reader, by=by, question=True)
        try:
            address = self._questions.address(url, form, by_get=False)
            return await self._read(address, reader, form=form, by=by, question=True)
        except _PostRefused as refused:
            return await self._read_after(refused, url, reader, form=form, by=by)

    async def _read_after(
        self, refused: "_PostRefused", url: URL, reader: Callable[[], R], *, form: Mapping[str, str], by: float
    ) -> R:
        """The same by GET, once the server has refused a POST."""
        try:
            into = await self._read(self._questions.address(url, form, by_get=True), reader, by=by, question=True)
        except PermanentError as error:
            # Who may not POST may well not be allowed to read either: then the first word is the right one.
            raise (error if refused.sure else refused.error) from error
        self._questions.takes_get(refused.status)
        return into

    async def _read(
        self, url: URL, reader: Callable[[], R], *, by: float, form: Mapping[str, str] | None = None, question: bool = False
    ) -> R:
        pool = self._pool
        assert pool is not None, "a client that reads was made without a pool"
        async with self._answer(url, form=form, by=by, question=question, encoding="gzip") as (response, exchange):
            exchange.waiting_for_room = True
            async with pool.place():
                exchange.waiting_for_room = False
                into = reader()
                encoding = response.headers.get("Content-Encoding", "")
                await pool.read(response.content, into, encoding=encoding, ceiling=self._ceiling(url))
                return into

    async def whole(self, url: URL) -> bytes:
        """The answer to a GET, in one. For what is short, or must not wait for room. Raises ``VerdictdError``."""
        return (await self.exchange(url)).body

    async def exchange(self, url: URL, *, put: bytes | None = None, sending: Sending | None = None) -> WholeAnswer:
        """The same with its headers. Raises ``VerdictdError``.

        Args:
            url: where.
            put: JSON to PUT there.
            sending: what to tell there, which any 2xx answers. A GET where there is neither.
        """
        async with self._answer(url, put=put, sending=sending, by=self.deadline(), encoding="identity") as (response, _):
            if encoding := response.headers.get("Content-Encoding"):
                raise Refused(f"{_where(url)} answered in the encoding {encoding[:40]!r}, which was not asked for")
            body, ceiling = bytearray(), self._ceiling(url)
            while chunk := await response.content.readany():
                ceiling(len(body) + len(chunk))
                body += chunk
            return WholeAnswer(bytes(body), response.headers)

    async def send(self, url: URL, sending: Sending) -> None:
        """Tell something; returns when it was taken, by any 2xx. What else is answered is not read. Raises ``VerdictdError``."""
        async with self._answer(url, sending=sending, by=self.deadline(), encoding="identity") as (response, _):
            response.close()

    @asynccontextmanager
    async def _answer(
        self,
        url: URL,
        *,
        by: float,
        encoding: str,
        form: Mapping[str, str] | None = None,
        put: bytes | None = None,
        sending: Sending | None = None,
        question: bool = False,
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, Exchange]]:
        """An answer with status 200, or to what was told with any 2xx, its body still to come."""
        exchange = Exchange(_where(url), credentials=self._identity.credentials, timeout_seconds=self._timeout_seconds)
        with exchange.translated():
            async with asyncio.timeout_at(by):
                exchange.reading_credentials = True
                shown = _with_address(await self._identity.now(), url)
                exchange.reading_credentials = False
                if self._guard is not None:
                    self._guard.check_literal(url.host or "")
                if sending is not None:
                    shown = shown._replace(secrets=(*shown.secrets, *sending.secrets))
                asked = self._asked(url, shown, words="" if sending is None else sending.shown)
                exchange.secrets = asked.secrets
                async with self._sent(url, sending or (form if put is None else put), shown, encoding=encoding) as response:
                    try:
                        if sending is None or not 200 <= response.status < 300:
                            await self._check(response, asked, question=question)
                        yield response, exchange
                    except BaseException:
                        response.close()  # whatever is still to come of it
                        raise

    def _sent(
        self, url: URL, data: Mapping[str, str] | bytes | Sending | None, shown: Shown, *, encoding: str
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        headers = {**self._headers, "Accept-Encoding": encoding}
        if shown.authorization is not None:
            headers[shown.header] = shown.authorization
        if isinstance(data, Sending):
            method, headers, data = data.method, {**headers, **data.headers}, data.body
        elif isinstance(data, bytes):
            method, headers["Content-Type"] = "PUT", "application/json"
        else:
            method = "GET" if data is None else "POST"
        return self._opened().request(method, url.with_user(None), data=data, headers=headers, allow_redirects=False, ssl=shown.tls)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=self._keep_seconds, resolver=self._guard),
                # One time limit over the whole exchange, asyncio's, and not aiohttp's several.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                read_bufsize=_WIRE_BYTES,
            )
        return self._session

    def _asked(self, url: URL, shown: Shown, *, words: str) -> Asked:
        secrets = (*shown.secrets, *secret_values(self._headers), *self._questions.secrets)
        words = words or ("" if url.user or url.password else self._identity.credentials.in_words)
        return Asked(where=_where(url), setting=self._setting, shown=words, secrets=secrets)

    def _ceiling(self, url: URL) -> Callable[[int], None]:
        most, fix = self._max_answer_bytes, self._ceiling_fix

        def check(size_bytes: int) -> None:
            if size_bytes > most:
                raise Refused(f"{_where(url)} answered with more than {most} bytes{fix}")

        return check

    async def _check(self, response: aiohttp.ClientResponse, asked: Asked, *, question: bool) -> None:
        """Raise what an answer means that is no data."""
        page = response.status == 200 and response.content_type == "text/html"
        if response.status == 200 and not page:
            return
        body = b"" if 300 <= response.status < 400 else await response.content.readany()
        if page:
            raise web_page(body, response.headers.get("Content-Encoding", ""), asked=asked)
        if question and response.status == 405 and response.method == "GET":
            self._questions.refuses_get()
        fix = self._questions.fix(response.status, by_get=response.method == "GET") if question else ""
        error = refusal(response.status, response.headers, body, asked=asked, fix=fix)
        if question and response.method == "POST" and self._questions.may_be_get(response.status):
            raise _PostRefused(error, response.status, sure=self._questions.by_get)
        raise error


class _PostRefused(Exception):
    """Between a POST and the GET in its place: what is raised if that helps no further."""

    def __init__(self, error: VerdictdError, status: int, *, sure: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.status = status
        self.sure = sure


def base_url(text: str, *, path: str) -> URL:
    """A base URL from the settings; raises ``InvalidInput`` for anything that is none."""
    try:
        return urls.base_url(text)
    except urls.Unusable as error:
        raise InvalidInput(error.message, path=path, fix=error.fix) from error


def _with_address(shown: Shown, url: URL) -> Shown:
    """What stands in the address is shown too, and is as secret as the rest."""
    if url.user is None and url.password is None:
        return shown
    named = shown.named(url.user or "", url.password or "")
    return named._replace(secrets=(*named.secrets, url.raw_password or ""))


def _where(url: URL) -> str:
    return f"{url.host}:{url.port}"
