"""All config entries of one Consul that route and may be read, and word of their changes. What is hidden or fails is said."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from daemon.aio.backoff import jittered, pauses
from daemon.aio.singleflight import SingleFlight
from daemon.aio.tasks import TaskGroup
from daemon.errors import VerdictdError, first_to_retry
from daemon.meshes.consul.api import ConsulApi, Entries
from daemon.meshes.consul.entries import KINDS, Entry, EntryKind
from daemon.meshes.routereading import settled
from daemon.standing import Standing

_UNCHANGED_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """The entries that could be read, what is hidden from us, and why a kind could not be read."""

    entries: tuple[Entry, ...]
    hidden: tuple[str, ...] = ()
    failed: tuple[tuple[EntryKind, VerdictdError], ...] = ()

    def whole(self) -> "There":
        """Itself, where every kind could be read. Raises why one could not."""
        for _, error in self.failed:
            raise error
        return self


class EntryReader:
    """Reads one Consul; what a thousand releases ask at the same time is asked once."""

    def __init__(self, api: ConsulApi) -> None:
        self._api = api
        self._all = {kind: SingleFlight(partial(api.entries, kind)) for kind in KINDS}

    async def read(self, *kinds: EntryKind) -> There:
        """Every entry of these kinds that we may read; by default, of all that route. Raises why none could be."""
        asked = kinds or KINDS
        results = dict(zip(asked, await settled(self._all[kind]() for kind in asked), strict=True))
        failed = tuple((kind, one) for kind, one in results.items() if isinstance(one, VerdictdError))
        if len(failed) == len(asked):
            raise first_to_retry([error for _, error in failed])
        found = {kind: one for kind, one in results.items() if isinstance(one, Entries)}
        return There(
            entries=tuple(item for one in found.values() for item in one.items),
            hidden=(
                *(f"of {kind} entries, {one.hidden}" for kind, one in found.items() if one.hidden),
                *(said for one in found.values() for said in one.misread),
            ),
            failed=failed,
        )

    async def follow(self, changed: Callable[[], None]) -> None:
        """See ``RouteFollower.follow``: each kind's entries are asked for until they change, again and again."""
        async with TaskGroup() as group:
            for kind in KINDS:
                group.create_task(self._follow(kind, changed), name=f"watch of {kind}")

    async def _follow(self, kind: EntryKind, changed: Callable[[], None]) -> None:
        standing, waits, index = Standing(f"watch of {kind}"), pauses(), 0
        while True:
            try:
                now = await (self._api.changed(kind, since=index) if index else self._api.entries(kind))
            except VerdictdError as error:
                standing.fails(str(error))
                await asyncio.sleep(next(waits))
                continue
            standing.works()
            waits = pauses()
            if now.index != index:
                changed()
            if now.index <= index:
                # An answer that has not waited, as where there is no index, is not asked for again at once.
                await asyncio.sleep(jittered(_UNCHANGED_SECONDS))
            # An index that goes back is that of a Consul that was restored.
            index = now.index if now.index >= index else 0
