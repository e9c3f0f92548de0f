"""Counters read from the proxies themselves, many at once.

A proxy answers as of the moment it is asked, so ticks can be as short as the network allows. A proxy that does not answer
makes the tick null for the releases it serves, since what the others say would be half of the truth.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol, assert_never

from yarl import URL

from daemon.aio.clock import Clock
from daemon.aio.httpclient import HttpClient
from daemon.aio.parsing import Reader
from daemon.aio.tasks import TaskGroup
from daemon.errors import InvalidInput, VerdictdError
from daemon.ports.telemetry import FoundTargets, Target, Targets
from daemon.telemetry.counters.collection import Collection, Timing
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.schema import EnvoyStats, Schema, TextPage
from daemon.telemetry.scrape.patience import Patience
from daemon.telemetry.scrape.targets import ScrapeStamp
from daemon.telemetry.wire import literal

_MAX_ARMS_IN_FILTER = 64
_STALE_TICKS = 3.0
_STALE_SECONDS = 30.0
_PATIENCE_SECONDS = 5.0


class Page(Protocol):
    """How a target is asked, and how its answer is read."""

    @property
    def path(self) -> str:
        """Path below the target's address."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """What to ask for, beside what the schema's kind of scrape adds."""
        ...

    def reader(self, into: Collection, stamp: ScrapeStamp) -> Reader:
        """What adds one target's answer. It raises ``InvalidInput`` when that cannot be understood."""
        ...


class ScrapeSource:
    """``Source`` over many targets.

    Args:
        client: bounded by the timeout of one scrape.
        targets: whom to ask.
        page: how an answer is asked for and read.
        concurrency: scrapes under way at the same time.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        targets: Targets,
        schema: Schema,
        index: SeriesIndex,
        page: Page,
        clock: Clock,
        tick_seconds: float,
        concurrency: int,
    ) -> None:
        self.timing = Timing(
            tick_seconds=tick_seconds,
            stale_after_seconds=max(_STALE_SECONDS, _STALE_TICKS * tick_seconds),
            patience_seconds=_PATIENCE_SECONDS,
            monotonic=True,
        )
        self._client = client
        self._targets = targets
        self._schema = schema
        self._index = index
        self._page = page
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrency)
        self._patience = Patience(clock)
        self._unreached: Mapping[str, str] = {}

    @property
    def wait_seconds(self) -> None:
        """A proxy answers as of now: there is something new at every interval."""

    @property
    def unreached(self) -> Mapping[str, str]:
        """Releases of which nothing could be read at the last reading, though there is somebody to ask, with the reason."""
        return self._unreached

    async def collect(self) -> Collection:
        """What the targets say now. One that does not answer, or not so that it can be understood, is among the failed.

        Raises:
            VerdictdError: it is not known whom to ask.
        """
        collected = self._collection()
        self._unreached = {}
        if self._index.selectors:
            found = await self._targets.find(self._index.watched)
            # Most releases have the same targets, or none in common: each list is looked at once, each target asked once.
            lists = {id(targets): targets for one in found.values() for targets in (one.baseline, one.canary)}
            targets = {target.name: target for targets in lists.values() for target in targets}
            await self._scrape_all(targets, collected)
            # One that is leaving and does not answer has left.
            collected.there = {name for name, one in targets.items() if not (one.leaving and name in collected.failed)}
            collected.unknown = {release_id: one.unknown for release_id, one in found.items() if one.unknown}
            self._unreached = {
                release_id: reason
                for release_id, one in found.items()
                if not one.pending and (reason := one.unknown or _silent(one, collected.failed)) is not None
            }
        return collected

    async def _scrape_all(self, targets: Mapping[str, Target], into: Collection) -> None:
        known_by = [selector for selectors in self._index.selectors.values() for selector in selectors]
        query = question(self._page, self._schema, arms=sorted({value for selector in known_by for _, value in selector}))
        self._patience.keep(targets)
        async with TaskGroup() as group:
            for target in targets.values():
                if (reason := self._patience.resting(target.name)) is not None:
                    into.failed[target.name] = reason
                    continue
                url = URL(target.url).with_path(self._page.path).with_query(query)
                group.create_task(self._scrape(target, url, into))

    async def _scrape(self, target: Target, url: URL, into: Collection) -> None:
        one = self._collection()
        stamp: ScrapeStamp | None = None

        def reader() -> Reader:
            nonlocal stamp
            stamp = ScrapeStamp(
                target=target.name,
                pod=target.pod or target.name,
                at=self._clock.monotonic(),
                spacing_seconds=self.timing.tick_seconds,
                namespace=target.namespace,
            )
            return self._page.reader(one, stamp)

        try:
            async with self._slots:
                await self._client.read(url, reader)
        except VerdictdError as error:
            said = f"{target.name}: {error}" if isinstance(error, InvalidInput) else str(error)
            into.failed[target.name] = said
            self._patience.failed(target.name, said)
        else:
            assert stamp is not None  # it has been read
            self._patience.answered(target.name)
            if target.started_at is not None:
                one.born(target.name, target.started_at)
            into.merge(one)
            into.answered[target.name] = stamp.at

    def _collection(self) -> Collection:
        offset = self._clock.now() - self._clock.monotonic()
        return Collection(denials_known=bool(self._schema.about.denials), epoch_offset=offset)


def question(page: Page, schema: Schema, *, arms: Sequence[str] = ()) -> Mapping[str, str]:
    """What to ask a proxy for, so that its page has what is wanted and little else. ``arms``: their names; none: of all."""
    match schema.scrape:
        case TextPage():
            return page.query
        case EnvoyStats(filter=pattern):
            few = 0 < len(arms) <= _MAX_ARMS_IN_FILTER
            names = "|".join(literal(name) for name in arms) if few else ".*"
            return {**page.query, "usedonly": "", "filter": pattern.replace("{arms}", names)}
        case _:
            assert_never(schema.scrape)


def _silent(found: FoundTargets, failed: Mapping[str, str]) -> str | None:
    """Why nothing can be said of a release, where no target of one of its arms has answered."""
    for arm, targets in (("baseline", found.baseline), ("canary", found.canary)):
        asked = [target.name for target in targets if not target.leaving]
        if asked and all(name in failed for name in asked):
            return f"none of the {len(asked)} proxies of the {arm} can be read: {failed[asked[0]]}"
    return None
