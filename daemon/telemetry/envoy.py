"""Counters read from the proxies themselves, many at once.

A proxy answers as of the moment it is asked, so ticks can be as short as the network allows. A proxy that does not answer
makes the tick null for the releases it serves, since what the others say would be half of the truth.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from yarl import URL

from daemon.errors import InvalidInput, VerdictdError
from daemon.model import Reading, Watch
from daemon.ports import Clock
from daemon.telemetry.catalogue import Catalogue
from daemon.telemetry.collecting import INLINE_BYTES, Books, Collection, beside
from daemon.telemetry.dialect import Dialect
from daemon.telemetry.fetching import Body, Fetcher
from daemon.telemetry.ledger import Round
from daemon.telemetry.promql import literal

_MAX_ARMS_IN_FILTER = 64
_STALE_TICKS = 3.0
_STALE_SECONDS = 30.0
_PATIENCE_SECONDS = 5.0


class Page(Protocol):
    """How a proxy is asked, and how its answer is read."""

    @property
    def path(self) -> str:
        """Path below the endpoint."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """What to ask for beside the filter."""
        ...

    def collect(self, body: Body, into: Collection, *, target: str, at: float, spacing_seconds: float) -> None:
        """Add one proxy's answer. Raises ``InvalidInput`` when it cannot be understood."""
        ...


class EnvoyTelemetry:
    """``Telemetry`` over the endpoints of many Envoys.

    Args:
        fetcher: bounded by the timeout of one scrape.
        endpoints: base URLs.
        page: how an answer is asked for and read.
        concurrency: scrapes under way at the same time.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        endpoints: Sequence[URL],
        dialect: Dialect,
        catalogue: Catalogue,
        page: Page,
        clock: Clock,
        tick_seconds: float,
        concurrency: int,
    ) -> None:
        self._fetcher = fetcher
        self._targets = {_name(url): url for url in endpoints}
        self._dialect = dialect
        self._catalogue = catalogue
        self._page = page
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._slots = asyncio.Semaphore(concurrency)
        self._books = Books(catalogue, unit_ms=dialect.unit_ms)
        self._serial = 0
        self._before: Mapping[str, float] = {}

    @property
    def tick_seconds(self) -> float:
        """The sampling interval."""
        return self._tick_seconds

    @property
    def split(self) -> bool:
        """Whether the latency histograms hold successes only."""
        return self._dialect.split

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        """Counts since the last call, by release id. Never raises for a proxy that fails."""
        self._books.open(watches)
        self._serial += 1
        collected = Collection(denials_known=self._dialect.denials is not None)
        failed: dict[str, str] = {}
        if self._catalogue.selectors:
            await self._scrape_all(collected, failed)
        now = self._clock.monotonic()
        this = Round(
            serial=self._serial,
            now=now,
            newest=max(collected.answered.values(), default=now),
            epoch_offset=self._clock.now() - now,
            answered=collected.answered,
            before=self._before,
            failed=failed,
            stale_after_seconds=max(_STALE_SECONDS, _STALE_TICKS * self._tick_seconds),
            patience_seconds=_PATIENCE_SECONDS,
            server_side=self._dialect.server_side,
        )
        self._before = collected.answered
        self._catalogue.tidy(collected.met)
        return await self._books.readings(watches, collected, this)

    def forget(self, release_id: str) -> None:
        """The release has ended."""
        self._books.close(release_id)

    async def _scrape_all(self, collected: Collection, failed: dict[str, str]) -> None:
        query = {**self._page.query, "usedonly": "", "filter": self._filter()}
        async with asyncio.TaskGroup() as group:
            for target, url in self._targets.items():
                group.create_task(self._scrape(target, url.with_path(self._page.path).with_query(query), collected, failed))

    async def _scrape(self, target: str, url: URL, collected: Collection, failed: dict[str, str]) -> None:
        try:
            async with self._slots:
                body = await self._fetcher.get(url)
            at = self._clock.monotonic()
            one = Collection()
            read = partial(self._page.collect, target=target, at=at, spacing_seconds=self._tick_seconds)
            await beside(len(body) > INLINE_BYTES, read, body, one)
        except InvalidInput as error:
            failed[target] = f"{target}: {error}"
        except VerdictdError as error:
            failed[target] = str(error)
        else:
            collected.merge(one)
            collected.answered[target] = at

    def _filter(self) -> str:
        """A pattern on Envoy's internal names that lets through what is watched, and little else."""
        names = sorted({value for selector in self._catalogue.selectors for _, value in selector})
        few = len(names) <= _MAX_ARMS_IN_FILTER
        arms = "|".join(literal(name) for name in names) if few else ".*"
        return self._dialect.stat_filter.replace("{arms}", arms)


def _name(url: URL) -> str:
    return f"{url.host}:{url.port}"
