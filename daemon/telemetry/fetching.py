"""HTTP as telemetry needs it: one session, a bound on everything, and our own errors at the edge."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from yarl import URL

from daemon.errors import Forbidden, InvalidInput, NotFound, Refused, Throttled, TimedOut, Unavailable, VerdictdError

MAX_BODY_BYTES = 256 * 1024 * 1024
_EXCERPT = 200
Body = bytes | bytearray


class Fetcher:
    """Requests through one aiohttp session.

    Args:
        session: owned by whoever made it.
        timeout_seconds: for one request, from the first byte sent to the last received.
        token_file: file with a bearer token, read for every request because mounted tokens are renewed.
    """

    def __init__(self, session: aiohttp.ClientSession, *, timeout_seconds: float, token_file: str | None = None) -> None:
        self._session = session
        self._timeout_seconds = timeout_seconds
        self._token_file = token_file

    async def get(self, url: URL) -> Body:
        """The body of a GET. Raises ``VerdictdError``."""
        return await self._request("GET", url, form=None, by=self.deadline())

    async def post(self, url: URL, *, form: Mapping[str, str], by: float | None = None) -> Body:
        """The body of the answer to a form, at the latest ``by`` (see ``deadline``). Raises ``VerdictdError``."""
        return await self._request("POST", url, form=form, by=self.deadline() if by is None else by)

    def deadline(self) -> float:
        """When a request, or several in a row, that began now would have taken too long: in the event loop's time."""
        return asyncio.get_running_loop().time() + self._timeout_seconds

    async def _request(self, method: str, url: URL, *, form: Mapping[str, str] | None, by: float) -> Body:
        where = f"{url.host}:{url.port}"
        try:
            async with (
                asyncio.timeout_at(by),
                self._session.request(method, url, data=form, headers=await self._authorization()) as response,
            ):
                body = await _bounded(response, where=where)
                if response.status != 200:
                    raise _refusal(response, body, where=where)
                return body
        except TimeoutError as error:
            raise TimedOut(f"{where} did not answer within {self._timeout_seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{where}: {str(error) or type(error).__name__}") from error

    async def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        token = (await asyncio.to_thread(Path(self._token_file).read_text, encoding="utf-8")).strip()
        return {"Authorization": f"Bearer {token}"}


def base_url(text: str, *, path: str) -> URL:
    """A base URL from the settings; raises ``InvalidInput`` for anything that is none."""
    try:
        url: URL | None = URL(text)
    except ValueError:
        url = None
    if url is None or url.scheme not in {"http", "https"} or not url.host or url.port is None:
        raise InvalidInput(f"{text[:200]!r} is not a base URL", path=path, fix="write http://host:port or https://host:port")
    return url


def session(
    *,
    connections: int,
    per_host: int = 0,
    ca_file: str | None = None,
    headers: Mapping[str, str] | None = None,
    keep_seconds: float = 60.0,
) -> aiohttp.ClientSession:
    """A session that keeps its connections from tick to tick.

    Raises:
        InvalidInput: ``ca_file`` cannot be read.
    """
    connector = aiohttp.TCPConnector(
        limit=connections, limit_per_host=per_host, ssl=_trust(ca_file), keepalive_timeout=keep_seconds
    )
    # Time limits are asyncio's (Fetcher): one limit over the whole exchange, not aiohttp's several.
    unlimited = aiohttp.ClientTimeout(total=None, sock_connect=None)
    return aiohttp.ClientSession(connector=connector, headers=dict(headers or {}), timeout=unlimited)


def _trust(ca_file: str | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise InvalidInput(
            f"{ca_file} cannot be used: {error.strerror or error}", path="ca_file", fix="name a readable PEM bundle"
        ) from error


async def _bounded(response: aiohttp.ClientResponse, *, where: str) -> bytearray:
    # Grown in place: joining the chunks of a large answer at its end would keep the event loop waiting.
    body = bytearray()
    async for chunk in response.content.iter_any():
        if len(body) + len(chunk) > MAX_BODY_BYTES:
            raise Refused(f"{where} answered with more than {MAX_BODY_BYTES >> 20} MiB")
        body += chunk
    return body


def _refusal(response: aiohttp.ClientResponse, body: Body, *, where: str) -> VerdictdError:
    excerpt = " ".join(body[:_EXCERPT].decode("utf-8", "replace").split())
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
