"""The API as the commands see it, on the standard library alone: an asynchronous client would take longer to import than to use.

Redirects are not followed (they would carry the token along), and proxies are not used for this machine itself.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from config import address, earlier
from daemon import names
from daemon.errors import Forbidden, InvalidInput, NotFound, Refused, TimedOut, Unavailable, VerdictdError
from daemon.model import Record, Release, ReleaseView, Verdict

_ANSWER_SECONDS = 10.0
_MAX_BYTES = 64 * 1024 * 1024
_T = TypeVar("_T")


class _Problem(msgspec.Struct, kw_only=True):
    """What is read of a problem document."""

    detail: str = ""
    path: str | None = None
    fix: str = ""


class _List(msgspec.Struct, kw_only=True):
    releases: list[ReleaseView]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Never: a redirect is then an error like any other status."""


class Client:
    """One daemon's API.

    Every method raises ``Unavailable`` or ``TimedOut`` when it cannot be reached, ``Forbidden``, ``NotFound``,
    ``InvalidInput`` and ``Refused`` as it says.
    """

    def __init__(self, server: str, *, token: str | None = None) -> None:
        parts = urlsplit(server)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidInput(f"{server!r} is no address", path="--server", fix="give http://host:port or https://host")
        self._server = server.rstrip("/")
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        proxies = urllib.request.ProxyHandler({} if address.is_loopback(parts.hostname) else None)
        self._opener = urllib.request.build_opener(_NoRedirect, proxies)

    def submit(self, release: Release, *, key: str) -> ReleaseView:
        """Announce a release; the same key and release is the same submission."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return self._call("POST", "/v1/releases", ReleaseView, body=msgspec.json.encode(release), headers=headers)

    def releases(self, filters: Mapping[str, str]) -> list[ReleaseView]:
        """Releases, the newest first."""
        return self._call("GET", f"/v1/releases?{urlencode(filters)}", _List).releases

    def release(self, release_id: str) -> ReleaseView:
        """One release."""
        return self._call("GET", _path(release_id), ReleaseView)

    def verdict(self, release_id: str, *, wait_seconds: float) -> Verdict | ReleaseView:
        """The verdict, waited for; as long as there is none, the release."""
        path = f"{_path(release_id)}/verdict?wait={wait_seconds:.3f}"
        status, body = self._send("GET", path, timeout=wait_seconds + _ANSWER_SECONDS)
        return _decoded(body, Verdict) if status == http.client.OK else _decoded(body, ReleaseView)

    def record(self, release_id: str) -> Record:
        """The decision record. ``NotFound`` also while there is no verdict."""
        return self._call("GET", f"{_path(release_id)}/record", Record)

    def _call(
        self, method: str, path: str, model: type[_T], *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> _T:
        _, answer = self._send(method, path, timeout=_ANSWER_SECONDS, body=body, headers=headers)
        return _decoded(answer, model)

    def _send(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked above
            self._server + path, data=body, method=method, headers={**self._headers, **(headers or {})}
        )
        try:
            with self._opener.open(request, timeout=timeout) as response:
                return response.status, response.read(_MAX_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.headers, error.read(_MAX_BYTES)) from error
        except TimeoutError as error:
            raise TimedOut(f"{self._server} did not answer in {timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise Unavailable(f"{self._server} cannot be reached: {reason}") from error


def client(server: str, *, token_file: str | None) -> Client:
    """A client with the token of a file, if one is given. Raises ``InvalidInput``."""
    if token_file is None:
        return Client(server)
    try:
        return Client(server, token=Path(token_file).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{token_file} cannot be read: {error}", path="--token-file", fix="give the token's file") from error


def _path(release_id: str) -> str:
    return f"/v1/releases/{quote(names.release_id(release_id, path='ID'), safe='')}"


def _decoded(body: bytes, model: type[_T]) -> _T:
    try:
        return earlier.decode(body, model)[0]
    except msgspec.MsgspecError as error:
        raise Unavailable(f"the answer is not verdictd's: {error}") from error


def _refusal(status: int, headers: Message, body: bytes) -> VerdictdError:
    """A status that is no success, as one of our errors."""
    problem = _Problem(detail=http.client.responses.get(status, ""))
    if headers.get_content_type() == "application/problem+json":
        problem = _decoded_problem(body) or problem
    said = f"{problem.detail}" + (f"; {problem.fix}" if problem.fix else "")
    by_status: dict[int, type[VerdictdError]] = {401: Forbidden, 403: Forbidden, 404: NotFound, 409: Refused, 421: Forbidden}
    if status in by_status:
        return by_status[status](said)
    if status in {429, 502, 503, 504} or status >= 500:
        return Unavailable(f"the daemon answers {status}: {said}")
    return InvalidInput(problem.detail, path=problem.path or "$", fix=problem.fix)


def _decoded_problem(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError:
        return None
