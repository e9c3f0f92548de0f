"""Whether the control planes of meshes work, asked of the store that has their series: one question for all, now and then.

Beside the ticks, which wait for no answer. What is not known is not taken for good or bad, and is said where it was known before.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal

import msgspec
from yarl import URL

from analyzers.counts import Effect
from config.settings import PrometheusTelemetry
from daemon.aio.clock import Clock
from daemon.aio.httpclient import HttpClient
from daemon.aio.parsing import ParserPool
from daemon.aio.tasks import cancel_all
from daemon.errors import VerdictdError
from daemon.model import Reading, Signal, Watch
from daemon.standing import Standing
from daemon.telemetry.prometheus.answer import AnswerReader, Item, labels_of
from daemon.telemetry.prometheus.client import prometheus_client
from daemon.telemetry.prometheus.query import quoted
from daemon.telemetry.signs import KIND, ControlPlane, Sign, asked
from daemon.telemetry.wire import number

EVERY_SECONDS = 15.0
"""So often it is asked while somebody reads."""
_BELIEVED_SECONDS = 60.0
"""So long an answer counts while no newer one comes."""
_ALIVE = "alive"
_RAW = "[1s:1s]"
"""Makes raw samples of an expression's answer, the one form that is read."""


def question(planes: Mapping[str, ControlPlane], matchers: Mapping[str, str]) -> str:
    """The one question for all of them, by names of their own. ``matchers``: labels that all series have."""
    these = ",".join(f"{label}={quoted(value)}" for label, value in matchers.items())
    parts = [
        asked(expression, kind=f"{name}/{kind}", matchers=these)
        for name, plane in planes.items()
        for kind, expression in ((_ALIVE, plane.alive), *((sign.kind, sign.expression) for sign in plane.signs))
    ]
    return f"({' or '.join(parts)}){_RAW}"


class ControlPlanes:
    """``SignalSource`` of the meshes whose releases are counted by a source.

    Args:
        planes: by the names of their kinds.
        kind_of: the kind of the mesh that a release is of, by the mesh's name.
        heeded: what a sign that excuses does here: it excuses, or is only said.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        url: URL,
        planes: Mapping[str, ControlPlane],
        kind_of: Mapping[str, str],
        matchers: Mapping[str, str],
        heeded: Literal["excuses", "says"],
        clock: Clock,
        name: str,
    ) -> None:
        self._client = client
        self._url = url / "api/v1/query"
        self._planes = planes
        self._kind_of = kind_of
        self._question = question(planes, matchers)
        self._heeded = heeded
        self._clock = clock
        self._standing = Standing(f"the question for the control planes of telemetry {name}", now=clock.now)
        self._asked_at = -math.inf
        self._answered_at = -math.inf
        self._values: Mapping[str, float] = {}
        self._known: set[str] = set()
        self._asking: asyncio.Task[None] | None = None

    async def look(self, watches: Sequence[Watch]) -> None:
        """Ask, if it is time to; nobody waits for the answer."""
        now = self._clock.monotonic()
        if watches and now - self._asked_at >= EVERY_SECONDS and (self._asking is None or self._asking.done()):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask(), name="control planes")

    def into(self, watch: Watch, reading: Reading) -> Reading:
        """See ``SignalSource``: with what is known of the control plane of its mesh."""
        kind = self._kind_of.get(str(watch.release.mesh), "")
        plane = self._planes.get(kind)
        if plane is None:
            return reading
        return msgspec.structs.replace(reading, signals=(*reading.signals, *self._signals(kind, plane)))

    def _signals(self, kind: str, plane: ControlPlane) -> tuple[Signal, ...]:
        fresh = self._clock.monotonic() - self._answered_at < _BELIEVED_SECONDS
        if not fresh or f"{kind}/{_ALIVE}" not in self._values:
            if kind not in self._known:
                return ()
            words = f"whether {plane.name} works is not known any more: {self._standing.problem or 'its series are not there'}"
            return (Signal(kind="control_plane_unseen", about="mesh", effect="says", words=words),)
        values = ((sign, self._values.get(f"{kind}/{sign.kind}")) for sign in plane.signs)
        return tuple(sign.signal(value, effect=self._effect(sign)) for sign, value in values if value is not None)

    def _effect(self, sign: Sign) -> Effect:
        return sign.effect if self._heeded == "excuses" else "says"

    async def close(self) -> None:
        """Ask no more."""
        await cancel_all([] if self._asking is None else [self._asking])

    async def _ask(self) -> None:
        found: list[Item] = []
        try:
            await self._client.read(self._url, lambda: AnswerReader(found.extend), form={"query": self._question})
            self._values = {
                labels_of(item.metric).get(KIND, ""): number(text, path=KIND) for item in found for _, text in item.values[-1:]
            }
        except VerdictdError as error:
            self._standing.fails(str(error))
            return
        self._standing.works()
        self._answered_at = self._clock.monotonic()
        self._known |= {kind for kind in self._planes if f"{kind}/{_ALIVE}" in self._values}


@asynccontextmanager
async def control_planes(
    settings: PrometheusTelemetry,
    *,
    planes: Mapping[str, ControlPlane],
    kind_of: Mapping[str, str],
    clock: Clock,
    name: str,
    pool: ParserPool,
) -> AsyncIterator[ControlPlanes | None]:
    """What asks the store of an entry for them, with a connection of its own; null where there is nothing to ask.

    Args:
        settings: the entry.
        planes, kind_of: see ``ControlPlanes``.
        clock: of the daemon.
        name: of the entry.
        pool: where answers are parsed.

    Raises:
        InvalidInput: the settings cannot be honoured.
    """
    if not planes or settings.control_plane == "ignored":
        yield None
        return
    client, url = prometheus_client(settings, entry=f"telemetry.{name}", pool=pool, connections=1, keep_seconds=2.0 * EVERY_SECONDS)
    async with client:
        asking = ControlPlanes(
            client,
            url=url,
            planes=planes,
            kind_of=kind_of,
            matchers=settings.matchers,
            heeded=settings.control_plane,
            clock=clock,
            name=name,
        )
        try:
            yield asking
        finally:
            await asking.close()
