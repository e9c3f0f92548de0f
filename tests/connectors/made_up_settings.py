"""A source and a sink that have settings of their own, in one module, as a package of somebody else would bring them.

The source looks at the pods of a cluster for releases that are written on them. The sink is a journal with a title.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from config.settings import ConnectorSettings, Name
from daemon import names
from daemon.connectors import Connector, ConnectorContext
from daemon.engine.dependencies import Sink
from daemon.errors import InvalidEvent
from daemon.events.announced import Announced
from daemon.events.announcing import read_release
from daemon.kube.client import KubeClient
from daemon.kube.resources import PODS
from daemon.kube.rights import Right
from daemon.model import Outline, Release, Verdict
from daemon.ports.events import Announcement, EventSource

ANNOTATION = "made-up.example/release"


class PodsSettings(ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="pods", tag_field="kind"):
    """Releases that are written on pods."""

    cluster: Annotated[Name, Meta(description="Whose pods, a name under kubernetes.")]
    namespace: Annotated[str, Meta(min_length=1, description="Of the pods.")] = "default"
    look_every_seconds: Annotated[float, Meta(gt=0.0, description="Between two looks.")] = 0.05


class JournalSettings(ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="journal", tag_field="kind"):
    """A journal of verdicts."""

    title: Annotated[str, Meta(min_length=1, description="What stands on it.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Implements ``Announcement``."""

    source: "Pods"
    uid: str
    content: Announced | InvalidEvent
    announced_at: float | None = None

    @property
    def release_id(self) -> str | None:
        return None if isinstance(self.content, InvalidEvent) else names.new_release_id("pod", origin=f"pods\n{self.uid}")

    def release(self) -> Release | Outline:
        if isinstance(self.content, InvalidEvent):
            raise self.content
        return self.content.release

    async def accept(self) -> None:
        self.source.answers[self.uid] = "accepted"

    async def reject(self, reason: str) -> None:
        self.source.answers[self.uid] = reason

    async def postpone(self) -> None:
        self.source.seen.discard(self.uid)

    async def put_back(self) -> None:
        await self.postpone()


@dataclass(slots=True, kw_only=True)
class Pods:
    """Implements ``EventSource``."""

    kube: KubeClient
    own: PodsSettings
    seen: set[str] = field(default_factory=set)
    answers: dict[str, str] = field(default_factory=dict)

    async def announcements(self) -> AsyncGenerator[Announcement, None]:
        while True:
            listing = await self.kube.list(PODS, namespace=self.own.namespace)
            for metadata in (pod["metadata"] for pod in listing.items if ANNOTATION in pod["metadata"].get("annotations", {})):
                uid, text = metadata["name"], metadata["annotations"][ANNOTATION]
                if uid in self.seen:
                    continue
                self.seen.add(uid)
                try:
                    content: Announced | InvalidEvent = read_release({}, text.encode())
                except InvalidEvent as error:
                    content = error
                yield Written(source=self, uid=uid, content=content)
            await asyncio.sleep(self.own.look_every_seconds)


@dataclass(slots=True, kw_only=True)
class Journal:
    """Implements ``VerdictSink``."""

    title: str

    def wants(self, _release: Release, _verdict: Verdict) -> bool:
        return True

    async def publish(self, _release: Release, verdict: Verdict) -> None:
        JOURNALS.setdefault(self.title, {})[verdict.release_id] = verdict


SOURCES: dict[str, Pods] = {}
JOURNALS: dict[str, dict[str, Verdict]] = {}


@asynccontextmanager
async def _pods(given: ConnectorContext) -> AsyncIterator[EventSource]:
    SOURCES[given.name] = Pods(kube=given.kubes[given.own.cluster], own=given.own)
    try:
        yield SOURCES[given.name]
    finally:
        del SOURCES[given.name]


@asynccontextmanager
async def _journal(given: ConnectorContext) -> AsyncIterator[Sink]:
    yield Sink(to=Journal(title=given.own.title))


WATCHED = Connector[EventSource](
    name="pods",
    open=_pods,
    settings=PodsSettings,
    rights=(Right(verbs=("list",), resources=(PODS,), scopes=("watched",), purpose="what is written on them"),),
    connections=2,
)
JOURNAL = Connector[Sink](name="journal", open=_journal, settings=JournalSettings)
