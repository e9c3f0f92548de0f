"""List, then watch, for ever: every change of a kind of object, through restarts, expiries and dead connections.

A cycle is one listing or one watch, and is a function of its source: tests step it by hand. The state between cycles is the
version to go on from and what is known (identities and versions, no objects), from which a new listing is turned into the
changes that were missed.

An API server says something on every watch once a minute. One that was set back to an older state of etcd takes a version that it
has not reached for one to come, and says nothing until it is there; so where watches stay silent, everything is listed anew.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import InitVar, dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol

import msgspec

from daemon.aio.backoff import doubled
from daemon.aio.clock import Clock
from daemon.errors import Unavailable, VerdictdError
from daemon.kube import answers
from daemon.kube.answers import Expired
from daemon.kube.client import KubeClient, Listing
from daemon.kube.resources import Json, Resource, metadata_of

_WATCH_SECONDS = (240.0, 290.0)
_IDLE_SECONDS = 90.0
_BACKOFF_SECONDS = (0.5, 30.0)
_SHORT_SECONDS = 1.0

Kind = Literal["added", "modified", "deleted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChange:
    """One change. Of an object whose deletion was missed only the identity is known (``metadata``: namespace, name, uid)."""

    kind: Kind
    object: Json


class Source(Protocol):
    """Where a cycle reads from."""

    async def listing(self) -> Listing:
        """Everything there is now."""
        ...

    def lines(self, *, resource_version: str, timeout_seconds: int) -> AbstractAsyncContextManager[Callable[[], Awaitable[bytes]]]:
        """The lines of a watch from this version on; an empty one is its end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSource:
    """A source that is an API server."""

    kube: KubeClient
    resource: Resource
    namespace: str | None = None
    labels: str = ""
    idle_seconds: float = _IDLE_SECONDS

    async def listing(self) -> Listing:
        """See ``Source.listing``."""
        return await self.kube.list(self.resource, namespace=self.namespace, labels=self.labels)

    def lines(self, *, resource_version: str, timeout_seconds: int) -> AbstractAsyncContextManager[Callable[[], Awaitable[bytes]]]:
        """See ``Source.lines``."""
        return self.kube.watch(
            self.resource,
            resource_version=resource_version,
            timeout_seconds=timeout_seconds,
            idle_seconds=self.idle_seconds,
            namespace=self.namespace,
            labels=self.labels,
        )


@dataclass(frozen=True, slots=True)
class _Known:
    uid: str
    resource_version: str


@dataclass(slots=True, kw_only=True)
class ListWatch:
    """The loop over one source.

    Attributes:
        source, clock: of the loop.
        random: gives numbers in [0, 1).
        failed: hears of what failed and is retried.
        known: the uids of objects that were there when somebody last looked, by namespace and name: one that is gone at the first
            listing is told as deleted.
    """

    source: Source
    clock: Clock
    random: Callable[[], float]
    failed: Callable[[VerdictdError], None] = lambda _error: None
    known: InitVar[Mapping[tuple[str, str], str]] = MappingProxyType({})
    _version: str | None = None
    _known: dict[tuple[str, str], _Known] = field(default_factory=dict)
    _heard_at: float | None = None

    def __post_init__(self, known: Mapping[tuple[str, str], str]) -> None:
        """No object has an empty version, so that each one that is there is told once."""
        self._known = {key: _Known(uid=uid, resource_version="") for key, uid in known.items()}

    @property
    def age_seconds(self) -> float | None:
        """Seconds since the server was last heard of (listing, event or bookmark); null before the first listing."""
        return None if self._heard_at is None else self.clock.monotonic() - self._heard_at

    async def changes(self) -> AsyncGenerator[ObjectChange]:
        """Every change, for ever. Whatever fails is tried again, later and later; cancel it to end it."""
        failures = 0
        while True:
            began, watching = self.clock.monotonic(), self._version is not None
            try:
                async with aclosing(self.cycle()) as cycle:
                    async for change in cycle:
                        failures = 0
                        yield change
            except VerdictdError as error:
                failures += 1
                self.failed(error)
            else:
                # A watch that closes at once, again and again, is a failure that nobody has reported.
                brief = watching and self.clock.monotonic() - began < _SHORT_SECONDS
                failures = failures + 1 if brief else 0
            if failures:
                await self.clock.sleep(self._pause(failures))

    async def cycle(self) -> AsyncGenerator[ObjectChange]:
        """One listing, when there is no version to go on from, else one watch until it ends. Raises what failed."""
        if self._version is None:
            listing = await self.source.listing()
            self._heard_at = self.clock.monotonic()
            for change in self._listed(listing):
                yield change
            return
        low, high = _WATCH_SECONDS
        seconds = int(low + (high - low) * self.random())
        try:
            async with self.source.lines(resource_version=self._version, timeout_seconds=seconds) as next_line:
                try:
                    while line := await next_line():
                        event = self._event(line)
                        self._heard_at = self.clock.monotonic()
                        if event is not None:
                            yield event
                finally:
                    self._doubted()
        except Expired:
            self._version = None
            raise

    def _doubted(self) -> None:
        """A watch that was let in has ended: do not go on from a version after which nothing was heard for so long."""
        if (self.age_seconds or 0.0) >= _IDLE_SECONDS:
            self._version = None

    def _pause(self, failures: int) -> float:
        first, cap = _BACKOFF_SECONDS
        return doubled(failures, first_seconds=first, cap_seconds=cap, random=self.random)

    def _listed(self, listing: Listing) -> list[ObjectChange]:
        """What must have happened between what was known and this listing."""
        now = {_key(item): item for item in listing.items}
        changes = [_gone(key, known) for key, known in self._known.items() if key not in now]
        for key, item in now.items():
            known, seen = self._known.get(key), _identity(item)
            if known is not None and known.uid != seen.uid:
                changes.append(_gone(key, known))
                known = None
            if known != seen:
                changes.append(ObjectChange(kind="added" if known is None else "modified", object=item))
        self._known = {key: _identity(item) for key, item in now.items()}
        self._version = listing.resource_version
        return changes

    def _event(self, line: bytes) -> ObjectChange | None:
        """Take up one line of a watch. Raises ``Expired`` or what else the server says in it."""
        event = _decoded(line)
        subject = event["object"]
        if event["type"] == "ERROR":
            raise answers.error_of(
                status=int(subject.get("code") or 500), body=msgspec.json.encode(subject), headers={}, what="watch"
            )
        self._version = _identity(subject).resource_version
        if event["type"] == "BOOKMARK":
            return None
        key = _key(subject)
        if event["type"] == "DELETED":
            self._known.pop(key, None)
            return ObjectChange(kind="deleted", object=subject)
        before, self._known[key] = self._known.get(key), _identity(subject)
        return None if before == self._known[key] else ObjectChange(kind="modified" if before else "added", object=subject)


def _decoded(line: bytes) -> Json:
    """One event. A proxy's plain text, or anything else, is an error, never an event."""
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(f"the watch brought something that is no event: {line[:200]!r}") from error
    known = isinstance(event, dict) and event.get("type") in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"}
    if not known or not isinstance(event.get("object"), dict):
        raise Unavailable(f"the watch brought something that is no event: {line[:200]!r}")
    found: Json = event
    return found


def _key(item: Json) -> tuple[str, str]:
    metadata = metadata_of(item)
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _identity(item: Json) -> _Known:
    metadata = metadata_of(item)
    return _Known(uid=str(metadata.get("uid", "")), resource_version=str(metadata.get("resourceVersion", "")))


def _gone(key: tuple[str, str], known: _Known) -> ObjectChange:
    return ObjectChange(kind="deleted", object={"metadata": {"namespace": key[0], "name": key[1], "uid": known.uid}})
