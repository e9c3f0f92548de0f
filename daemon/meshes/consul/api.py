"""Consul's HTTP API, as far as routing needs it: config entries, read, watched and written with check-and-set, and health.

Consul answers 200 to much that is no yes: a stale check-and-set is the body ``false``, a token that may not read something is a
shorter list. And it answers 500 to what is merely invalid, as to a server without a leader: its words tell one from the other.
"""

import re
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from yarl import URL

from daemon.aio.httpclient import HttpClient, WholeAnswer, base_url
from daemon.errors import Conflict, Refused, Unavailable
from daemon.kube.forms import LONGEST_NAME, fault, misread
from daemon.meshes.consul.entries import Entry, EntryKind, of_api, text
from daemon.meshes.consul.forms import ENTRIES
from daemon.meshes.consul.mesh import CONNECTIONS, WATCHES, ConsulMesh
from daemon.meshes.httpmesh import identity_of
from daemon.meshes.references import Json

WAIT_SECONDS = 60.0
"""How long a question for changes is held open where nothing changes; Consul adds up to a sixteenth."""
_MAX_BYTES = 64 * 1024 * 1024
_CONSULS = frozenset({"createindex", "modifyindex", "hash"})
"""Fields that it adds to an entry, without underscores; they are not sent back."""
_INVALID = re.compile(
    r"sum of all split weights|no splits configured|destination occurs more than once|does not have a subset|not a valid subset|"
    r"circular|uses a protocol|invalid config|is empty|cannot be set"
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entries:
    """Config entries of one kind.

    Attributes:
        items: those that we may read.
        hidden: why there may be more; empty: these are all.
        misread: those that are of another form than their kind's, each with why, for a person.
        index: with which to ask for the next change.
    """

    items: tuple[Entry, ...]
    hidden: str
    index: int
    misread: tuple[str, ...] = ()


class _Check(msgspec.Struct, frozen=True, rename="pascal"):
    status: str


class _Service(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="ID")


class _Node(msgspec.Struct, frozen=True, rename="pascal"):
    node: str


class Instance(msgspec.Struct, frozen=True, rename="pascal"):
    """One proxy (or native instance) of a service, as the mesh sends to it, with its checks; none of it is ever left out."""

    node: _Node
    service: _Service
    checks: list[_Check]

    @property
    def name(self) -> str:
        """Unlike any other's."""
        return f"{self.node.node}/{self.service.id}"

    def takes_requests(self, *, only_passing: bool) -> bool:
        """Whether the mesh would send to it: a warning is no obstacle, unless its subset says so."""
        states = {check.status for check in self.checks}
        return states <= ({"passing"} if only_passing else {"passing", "warning"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Instances:
    """Instances of a target; ``hidden`` as in ``Entries``."""

    items: tuple[Instance, ...]
    hidden: str


class ConsulApi:
    """A client of one Consul. Close it in the event loop that it was used in.

    Raises:
        InvalidInput: a setting cannot be used; its path begins with ``setting``.
    """

    def __init__(self, settings: ConsulMesh, *, setting: str) -> None:
        self._url = base_url(settings.address, path=f"{setting}.address")
        identity = identity_of(settings, setting=setting)
        self._is_anonymous = settings.token_file is None
        places = (("dc", settings.datacenter), ("ns", settings.namespace), ("partition", settings.partition))
        self._places = {name: value for name, value in places if value is not None}

        def client(*, connections: int, seconds: float) -> HttpClient:
            return HttpClient(
                setting=f"{setting}.address",
                connections=connections,
                timeout_seconds=seconds,
                max_answer_bytes=_MAX_BYTES,
                identity=identity,
            )

        self._client = client(connections=CONNECTIONS, seconds=settings.request_timeout_seconds)
        patience = WAIT_SECONDS * (1 + 1 / 16) + settings.request_timeout_seconds
        self._waiting = client(connections=WATCHES, seconds=patience)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
        await self._waiting.close()

    async def entries(self, kind: EntryKind) -> Entries:
        """Every entry of a kind, as it is now."""
        return self._entries(await self._client.exchange(self._at("config", kind)), kind)

    async def changed(self, kind: EntryKind, *, since: int) -> Entries:
        """The same, once something of the kind has changed since an index, or after a minute."""
        url = self._at("config", kind, index=str(since), wait=f"{WAIT_SECONDS:g}s")
        return self._entries(await self._waiting.exchange(url), kind)

    async def entry(self, kind: EntryKind, name: str) -> Entry:
        """One of them. Raises ``NotFound`` where it is not there."""
        answer = await self._client.exchange(self._at("config", kind, name))
        raw = _decoded(answer.body, Json, where=self._where)
        if why := fault(raw, form=ENTRIES[kind]):
            raise Refused(_misread(kind, raw, why))
        return of_api({**raw, "Kind": kind})

    async def write(self, body: Json, *, index: int) -> None:
        """Replace an entry by this one, as long as it is the one that was read with this ``ModifyIndex``.

        Raises:
            Conflict: it is not.
            Refused: the entry would be invalid.
        """
        sent = {key: value for key, value in body.items() if key.replace("_", "").lower() not in _CONSULS}
        try:
            answer = await self._client.exchange(self._at("config", cas=str(index)), put=msgspec.json.encode(sent))
        except Unavailable as error:
            if _INVALID.search(str(error)):
                raise Refused(str(error)) from error
            raise
        if not _decoded(answer.body, bool, where=self._where):
            raise Conflict(f"{text(body, 'kind')} {text(body, 'name')} has been written by somebody else meanwhile")

    async def instances(self, service: str, *, expression: str) -> Instances:
        """Who serves requests for a service in the mesh, by a filter that Consul itself applies; empty: all."""
        query = {"filter": expression} if expression else {}
        answer = await self._client.exchange(self._at("health", "connect", service, **query))
        found = _decoded(answer.body, list[Instance], where=self._where)
        return Instances(items=tuple(found), hidden=self._hidden(answer))

    def _entries(self, answer: WholeAnswer, kind: EntryKind) -> Entries:
        found = [(one, fault(one, form=ENTRIES[kind])) for one in _decoded(answer.body, list[Json], where=self._where)]
        index = answer.headers.get("X-Consul-Index", "")
        return Entries(
            items=tuple(of_api({**one, "Kind": kind}) for one, why in found if not why),
            hidden=self._hidden(answer),
            index=int(index) if index.isascii() and index.isdigit() else 0,
            misread=tuple(_misread(kind, one, why) for one, why in found if why),
        )

    def _hidden(self, answer: WholeAnswer) -> str:
        """What is left out of a list for want of rights is left out in silence, and to the anonymous without a word at all."""
        if answer.headers.get("X-Consul-Results-Filtered-By-ACLs", "").lower() == "true":
            return "what our token may not read"
        if self._is_anonymous and answer.headers.get("X-Consul-Default-ACL-Policy", "").lower() == "deny":
            return "what may not be read without a token, which token_file would name"
        return ""

    def _at(self, *segments: str, **query: str) -> URL:
        path = "/".join(quote(one, safe="") for one in ("v1", *segments))
        return self._url.joinpath(path, encoded=True).with_query({**self._places, **query})

    @property
    def _where(self) -> str:
        return f"{self._url.host}:{self._url.port}"


def _misread(kind: EntryKind, raw: Json, why: str) -> str:
    return misread(kind, str(raw.get("Name"))[:LONGEST_NAME], why=why)


def modify_index(entry: Entry) -> int:
    """By which an entry as it was read is told from any later one."""
    index = entry.raw.get("ModifyIndex")
    if not isinstance(index, int):
        raise Refused(f"{entry.kind} {entry.name} has no ModifyIndex: it was not read from a Consul")
    return index


def _decoded(body: bytes, kind: Any, *, where: str) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unavailable(f"{where} answered something that is not Consul's: {error}") from error
