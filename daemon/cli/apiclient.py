"""The API as the commands see it, on the standard library alone: an asynchronous client would take longer to import than to use.

Redirects are not followed (they would carry the token along), and proxies are not used for this machine itself.
"""

import http.client
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from email.message import Message
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from config import address
from daemon import names, stored
from daemon.errors import Forbidden, InvalidInput, NotFound, Refused, TimedOut, TransientError, Unavailable, VerdictdError
from daemon.interventions import Freeze, OpenQuestion, Said
from daemon.model import Record, Release, Verdict
from daemon.ports.awaiting import WaitingAnnouncement
from daemon.releaseview import ReleaseView

_ANSWER_SECONDS = 10.0
_MAX_BYTES = 64 * 1024 * 1024
_KEY_CHARACTERS = 255
_FREEZES = "/v1/freezes"
# Of a hundred releases each: many times what a daemon may be set to watch and to remember.
_MOST_PAGES = 10_000
# Each may be short, where little of what is kept is wanted.
_MOST_PAGES_BACK = 100
_T = TypeVar("_T")


class _Problem(msgspec.Struct, kw_only=True):
    """What is read of a problem document."""

    detail: str = ""
    path: str | None = None
    fix: str = ""


class _List(msgspec.Struct, kw_only=True):
    """One page; a daemon of 0.1 gives all at once, and no ``next``."""

    releases: list[ReleaseView]
    next: str | None = None


class _Verdicts(msgspec.Struct, kw_only=True):
    verdicts: list[Verdict]
    next: str | None = None


class _Freezes(msgspec.Struct, kw_only=True):
    freezes: tuple[Freeze, ...]


class _Questions(msgspec.Struct, kw_only=True):
    questions: tuple[OpenQuestion, ...]


class _Waiting(msgspec.Struct, kw_only=True):
    waiting: tuple[WaitingAnnouncement, ...] = ()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Never: a redirect is then an error like any other status."""


class ApiClient:
    """One daemon's API.

    Every method raises ``Unavailable`` or ``TimedOut`` when it cannot be reached, ``Forbidden``, ``NotFound``,
    ``InvalidInput`` and ``Refused`` as it says.
    """

    def __init__(self, server: str, *, token: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        """``tls``: whose certificates are trusted; the system's authorities', where null."""
        host = _host(server)
        self._server = server.rstrip("/")
        self._headers = {"Accept": "application/json"} | ({} if token is None else {"Authorization": f"Bearer {token}"})
        proxies = urllib.request.ProxyHandler({} if address.is_loopback(host) else None)
        self._opener = urllib.request.build_opener(_NoRedirect, proxies, urllib.request.HTTPSHandler(context=tls))

    def address(self, release_id: str) -> str:
        """Where a release can be read."""
        return f"{self._server}{_path(release_id)}"

    def submit(self, release: Release | Mapping[str, object], *, key: str) -> ReleaseView:
        """Announce a release; the same key and release is the same submission. Raises ``InvalidInput`` for an unusable key."""
        if not (0 < len(key) <= _KEY_CHARACTERS and key.isascii() and key.isprintable()):
            fix = f"use 1 to {_KEY_CHARACTERS} printable ASCII characters, for example a UUID"
            raise InvalidInput(f"{key!r} cannot be sent in a header", path="--key", fix=fix)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return self._call("POST", "/v1/releases", ReleaseView, body=msgspec.json.encode(release), headers=headers)

    def releases(self, filters: Mapping[str, str]) -> list[ReleaseView]:
        """Releases, the newest first: all pages."""
        found: list[ReleaseView] = []
        more: dict[str, str] = {}
        seen = set[str]()
        while len(seen) < _MOST_PAGES:
            page = self._call("GET", f"/v1/releases?{urlencode({**filters, **more})}", _List)
            found += page.releases
            if page.next is None:
                return found
            if page.next in seen:
                raise Unavailable("the answer is not verdictd's: the same page comes again")
            seen.add(page.next)
            more = {"cursor": page.next}
        raise Unavailable(f"the answer is not verdictd's: it has more than {_MOST_PAGES} pages")

    def past(self, filters: Mapping[str, str], *, most: int) -> tuple[Sequence[Verdict], bool]:
        """The newest verdicts of the last days, and whether there may be more than so many; of a daemon that lists none, none."""
        found: list[Verdict] = []
        more: dict[str, str] = {}
        try:
            for _ in range(_MOST_PAGES_BACK):
                page = self._call("GET", f"/v1/verdicts?{urlencode({'limit': '1000', **filters, **more})}", _Verdicts)
                found += page.verdicts
                if page.next is None:
                    return found[:most], len(found) > most
                if len(found) >= most:
                    break
                more = {"cursor": page.next}
        except NotFound:
            return (), False
        return found[:most], True

    def release(self, release_id: str) -> ReleaseView:
        """One release."""
        return self._call("GET", _path(release_id), ReleaseView)

    def verdict(self, release_id: str, *, wait_seconds: float) -> Verdict | ReleaseView:
        """The verdict, waited for; as long as there is none, the release."""
        path = f"{_path(release_id)}/verdict?wait={wait_seconds:.3f}"
        status, body = self._send("GET", path, timeout=wait_seconds + _ANSWER_SECONDS)
        if status != http.client.OK:
            return _decoded(body, ReleaseView)
        verdict = _decoded(body, Verdict)
        if verdict.release_id != release_id:
            self._check_joined(release_id, verdict)
        return verdict

    def _check_joined(self, release_id: str, verdict: Verdict) -> None:
        """Whether the announcement with this id has joined the verdict's release. Raises ``Unavailable`` where it has not."""
        told = f"the answer is a verdict on another release: {verdict.release_id}"
        try:
            joined = self.release(release_id)
        except TransientError as error:
            raise Unavailable(f"{told}; {error}") from error
        if joined.id != verdict.release_id:
            raise Unavailable(told)

    def record(self, release_id: str) -> Record:
        """The decision record. ``NotFound`` also while there is no verdict."""
        return self._call("GET", f"{_path(release_id)}/record", Record)

    def command(self, release_id: str, word: str, said: Said) -> ReleaseView:
        """A person's word: rollback, promote or cancel. ``Refused`` where it has its verdict already."""
        headers = {"Content-Type": "application/json"}
        return self._call("POST", f"{_path(release_id)}/{word}", ReleaseView, body=msgspec.json.encode(said), headers=headers)

    def freezes(self) -> Sequence[Freeze]:
        """What is frozen; of a daemon that knows no freezes, nothing."""
        try:
            return self._call("GET", _FREEZES, _Freezes).freezes
        except NotFound:
            return ()

    def questions(self, namespace: str | None) -> Sequence[OpenQuestion]:
        """What has no answer in a namespace, or (null) in all; of a daemon that asks nothing, nothing."""
        path = "/v1/questions" if namespace is None else f"/v1/questions?{urlencode({'namespace': namespace})}"
        try:
            return self._call("GET", path, _Questions).questions
        except NotFound:
            return ()

    def waiting(self, namespace: str | None) -> Sequence[WaitingAnnouncement]:
        """What waits for its canary in a namespace, or (null) in all; of a daemon that has none wait, nothing."""
        path = "/v1/waiting" if namespace is None else f"/v1/waiting?{urlencode({'namespace': namespace})}"
        try:
            return self._call("GET", path, _Waiting).waiting
        except NotFound:
            return ()

    def freeze(self, namespace: str | None, *, seconds: float | None, said: Said) -> Freeze:
        """Have nothing taken back in a namespace (null: in all) for so long (null: until it is thawed)."""
        wanted = {"namespace": namespace, "seconds": seconds, "by": said.by, "reason": said.reason}
        headers = {"Content-Type": "application/json"}
        return self._call("POST", _FREEZES, Freeze, body=msgspec.json.encode(wanted), headers=headers)

    def thaw(self, namespace: str | None, said: Said) -> Freeze:
        """End one, and give it. ``NotFound`` where none is in force there."""
        path = _FREEZES if namespace is None else f"{_FREEZES}?{urlencode({'namespace': namespace})}"
        headers = {"Content-Type": "application/json"}
        return self._call("DELETE", path, Freeze, body=msgspec.json.encode(said), headers=headers)

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
            status, received, body = self._in_time(request, timeout=timeout)
        except TimeoutError as error:
            raise TimedOut(f"{self._server} did not answer in {timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLCertVerificationError):
                fix = "name the certificates of the authority that signed it with --ca-file"
                raise InvalidInput(f"its certificate is not trusted: {reason.verify_message}", path="--server", fix=fix) from error
            raise Unavailable(f"{self._server} cannot be reached: {reason}") from error
        except ValueError as error:
            # The address and the headers were looked at: what is left is a proxy's address.
            fix = "look at http_proxy, https_proxy and no_proxy in the environment"
            raise InvalidInput(f"{self._server} cannot be asked: {error}", path="--server", fix=fix) from error
        if status >= http.client.MULTIPLE_CHOICES:
            raise _refusal(status, received, body)
        return status, body

    def _in_time(self, request: urllib.request.Request, *, timeout: float) -> tuple[int, Message, bytes]:
        """The whole exchange within its time: the library's limit is for each read, and an answer that drips keeps to it for ever.

        A thread that is late is left behind: it ends with its connection, and at the latest with the command.
        """
        answers: SimpleQueue[tuple[int, Message, bytes] | BaseException] = SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._exchange(request, timeout=timeout))
            except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
                answers.put(error)

        threading.Thread(target=ask, name="exchange", daemon=True).start()
        try:
            answer = answers.get(timeout=timeout)
        except Empty:
            raise TimeoutError from None
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _exchange(self, request: urllib.request.Request, *, timeout: float) -> tuple[int, Message, bytes]:
        """Status, headers and body, whatever the status."""
        try:
            with self._opener.open(request, timeout=timeout) as response:
                return response.status, response.headers, response.read(_MAX_BYTES)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read(_MAX_BYTES)


def _host(server: str) -> str:
    """The host of a usable address. Raises ``InvalidInput``."""
    try:
        parts = urlsplit(server)
        host, _ = parts.hostname or "", parts.port
        host.encode("idna")  # as it is encoded to be looked up: no empty part, none too long
    except ValueError as error:
        raise _no_address(server, f": {error}") from error
    plain = server.isascii() and server.isprintable() and " " not in server
    if parts.scheme not in {"http", "https"} or not host or not plain or {"@", "?", "#"} & {*server}:
        raise _no_address(server, "")
    return host


def _no_address(server: str, why: str) -> InvalidInput:
    return InvalidInput(f"{server!r} is no address{why}", path="--server", fix="give http://host:port or https://host")


def _path(release_id: str) -> str:
    return f"/v1/releases/{quote(names.release_id(release_id, path='ID'), safe='')}"


def _decoded(body: bytes, model: type[_T]) -> _T:
    try:
        return stored.decode(body, model).value
    except stored.Unreadable as error:
        raise Unavailable(f"the answer is not verdictd's: {error}") from error


def _refusal(status: int, headers: Message, body: bytes) -> VerdictdError:
    """A status that is no success, as one of our errors."""
    problem = _Problem(detail=http.client.responses.get(status, ""))
    ours = headers.get_content_type() == "application/problem+json"
    if ours:
        problem = _decoded_problem(body) or problem
    if status == http.client.NOT_FOUND and not ours:
        # A proxy before the daemon, or another server at this address: neither knows what releases there are.
        return Unavailable("the answer 404 is not verdictd's")
    said = f"{problem.detail}" + (f"; {problem.fix}" if problem.fix else "")
    if status < http.client.BAD_REQUEST:
        leads = f"it leads to {headers['Location']}: give that address" if headers["Location"] else "give the daemon's own address"
        return InvalidInput(f"the answer is {status} {problem.detail}", path="--server", fix=leads)
    by_status: dict[int, type[VerdictdError]] = {401: Forbidden, 403: Forbidden, 404: NotFound, 409: Refused, 421: Forbidden}
    if status in by_status:
        return by_status[status](said)
    if status in {429, 502, 503, 504} or status >= 500:
        return Unavailable(f"the daemon answers {status}: {said}")
    return InvalidInput(f"{problem.detail} (the daemon answers {status})", path=problem.path or "$", fix=problem.fix)


def _decoded_problem(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError:
        return None
