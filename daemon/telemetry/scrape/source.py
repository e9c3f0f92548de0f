"""Counters read from the proxies themselves, many at once.

A proxy answers as of the moment it is asked, so ticks can be as short as the network allows. A proxy that does not answer
makes the tick null for the releases it serves, since what the others say would be half of the truth.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from yarl import URL

from daemon.aio.httpclient import HttpClient
from daemon.aio.parsing import Reader
from daemon.errors import InvalidInput, VerdictdError
from daemon.ports import Clock
from daemon.telemetry.counters.collection import Collection, Scrape
from daemon.telemetry.counters.series import Catalogue
from daemon.telemetry.prometheus.query import literal
from daemon.telemetry.sampled import Timing
from daemon.telemetry.schema import Dialect

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

    def reader(self, into: Collection, scrape: Scrape) -> Reader:
        """What adds one proxy's answer. It raises ``InvalidInput`` when that cannot be understood."""
        ...


class EnvoySource:
    """``Source`` over the endpoints of many Envoys.

    Args:
        client: bounded by the timeout of one scrape.
        endpoints: base URLs.
        page: how an answer is asked for and read.
        concurrency: scrapes under way at the same time.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        endpoints: Sequence[URL],
        dialect: Dialect,
        catalogue: Catalogue,
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
        self._targets = {_name(url): url for url in endpoints}
        self._dialect = dialect
        self._catalogue = catalogue
        self._page = page
        self._clock = clock
        self._slots = asyncio.Semaphore(concurrency)

    async def collect(self) -> Collection:
        """What the proxies say now. One that does not answer, or not so that it can be understood, is among the failed."""
        collected = Collection(denials_known=self._dialect.denials is not None)
        if self._catalogue.selectors:
            await self._scrape_all(collected)
        return collected

    async def _scrape_all(self, into: Collection) -> None:
        query = {**self._page.query, "usedonly": "", "filter": self._filter()}
        async with asyncio.TaskGroup() as group:
            for target, url in self._targets.items():
                group.create_task(self._scrape(target, url.with_path(self._page.path).with_query(query), into))

    async def _scrape(self, target: str, url: URL, into: Collection) -> None:
        one = Collection()
        scrape: Scrape | None = None

        def reader() -> Reader:
            nonlocal scrape
            scrape = Scrape(target=target, at=self._clock.monotonic(), spacing_seconds=self.timing.tick_seconds)
            return self._page.reader(one, scrape)

        try:
            async with self._slots:
                await self._client.read(url, reader)
        except InvalidInput as error:
            into.failed[target] = f"{target}: {error}"
        except VerdictdError as error:
            into.failed[target] = str(error)
        else:
            assert scrape is not None  # it has been read
            into.merge(one)
            into.answered[target] = scrape.at

    def _filter(self) -> str:
        """A pattern on Envoy's internal names that lets through what is watched, and little else."""
        names = sorted({value for selector in self._catalogue.selectors for _, value in selector})
        few = len(names) <= _MAX_ARMS_IN_FILTER
        arms = "|".join(literal(name) for name in names) if few else ".*"
        return self._dialect.stat_filter.replace("{arms}", arms)


def _name(url: URL) -> str:
    return f"{url.host}:{url.port}"
