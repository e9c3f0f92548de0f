"""From an entry under ``telemetry`` in the settings to a working source."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import assert_never

from config.settings import EnvoyTelemetry, Limits, PrometheusTelemetry, SidecarTelemetry
from daemon.aio.clock import Clock
from daemon.aio.httpclient import HttpClient, base_url
from daemon.aio.parsing import ParserPool
from daemon.ports.telemetry import Targets, Telemetry
from daemon.telemetry.counters.collection import Source
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.prometheus.client import prometheus_client
from daemon.telemetry.prometheus.source import PrometheusSource
from daemon.telemetry.sampled import SampledTelemetry
from daemon.telemetry.schema import Schema
from daemon.telemetry.scrape.bins import EnvoyBins
from daemon.telemetry.scrape.source import Page, ScrapeSource
from daemon.telemetry.scrape.targets import StaticTargets
from daemon.telemetry.scrape.text import PrometheusText
from daemon.telemetry.spoken import spoken, with_streams

_CONNECTIONS = 5
"""For the questions of a tick, and one for what is asked beside them."""
Through = Callable[[Source, SeriesIndex, Schema], Source]
"""What is put between a source and the frame around it."""
log = logging.getLogger(__name__)


@asynccontextmanager
async def telemetry_from(
    settings: EnvoyTelemetry | PrometheusTelemetry,
    *,
    clock: Clock,
    name: str = "NAME",
    pool: ParserPool | None = None,
    schemas: Mapping[str, Schema],
    through: Through = lambda source, _index, _schema: source,
) -> AsyncIterator[Telemetry]:
    """A telemetry source as the settings describe it, with its connections, which are closed on leaving.

    Args:
        settings: the entry.
        clock: of the daemon.
        name: of the entry, for refusals.
        pool: where all sources' answers are parsed; one of its own, of the usual size, when there is none.
        schemas: what the telemetry of each mesh looks like, by the name that the settings use.
        through: for whoever looks at what is collected.

    Raises:
        InvalidInput: the settings cannot be honoured; the path is relative to the entry.
    """
    schema = schema_of(settings, schemas)
    if not schema.about.denials:
        log.info(
            "this telemetry cannot tell requests denied by security policy: they count as served, and denied is always 0",
            extra={"dialect": settings.dialect},
        )
    async with AsyncExitStack() as stack:
        if pool is None:
            pool = await stack.enter_async_context(ParserPool(unparsed_bytes=Limits().unparsed_bytes))
        match settings:
            case EnvoyTelemetry():
                made = _scraped(settings, schema, clock=clock, name=name, pool=pool, through=through)
            case PrometheusTelemetry():
                made = _prometheus(settings, schema, clock=clock, name=name, pool=pool, through=through)
            case _:
                assert_never(settings)
        yield await stack.enter_async_context(made)


def schema_of(settings: EnvoyTelemetry | PrometheusTelemetry, schemas: Mapping[str, Schema]) -> Schema:
    """What this telemetry looks like, as the settings have it."""
    schema = with_streams(schemas[settings.dialect], settings.streams)
    return spoken(schema, settings) if isinstance(settings, PrometheusTelemetry) else schema


@asynccontextmanager
async def scraping(
    settings: EnvoyTelemetry | SidecarTelemetry,
    *,
    schema: Schema,
    index: SeriesIndex,
    page: Page,
    targets: Targets,
    clock: Clock,
    setting: str,
    name: str,
    pool: ParserPool,
) -> AsyncIterator[ScrapeSource]:
    """What asks proxies themselves, with its connections, which are closed on leaving.

    ``setting``: the path of what says whom to ask, ``name``: of the entry, both for refusals.
    """
    async with proxies_client(settings, setting=setting, name=name, pool=pool) as client:
        yield ScrapeSource(
            client,
            targets=targets,
            schema=schema,
            index=index,
            page=page,
            clock=clock,
            tick_seconds=settings.tick_seconds,
            concurrency=settings.concurrency,
        )


def proxies_client(settings: EnvoyTelemetry | SidecarTelemetry, *, setting: str, name: str, pool: ParserPool) -> HttpClient:
    """The client that asks proxies for their pages; ``setting`` and ``name`` as in ``scraping``."""
    return HttpClient(
        setting=setting,
        ceiling_setting=f"telemetry.{name}.max_answer_bytes",
        connections=settings.concurrency,
        timeout_seconds=settings.timeout_seconds,
        max_answer_bytes=settings.max_answer_bytes,
        pool=pool,
        keep_seconds=_keep_seconds(settings.tick_seconds),
    )


def page_of(settings: EnvoyTelemetry, schema: Schema, kind: Callable[..., SeriesIndex] = SeriesIndex) -> tuple[SeriesIndex, Page]:
    """How a proxy's page is asked for and read by these settings, and what is known of its series.

    ``kind`` makes the latter. Raises ``InvalidInput``: the dialect has no such page.
    """
    match settings.histograms:
        case "bins":
            index = kind(schema, direct=True)
            return index, EnvoyBins(index, schema)
        case "text":
            index = kind(schema, as_text=True, direct=True)
            return index, PrometheusText(index, schema)
        case _:
            assert_never(settings.histograms)


@asynccontextmanager
async def _scraped(
    settings: EnvoyTelemetry, schema: Schema, *, clock: Clock, name: str, pool: ParserPool, through: Through
) -> AsyncIterator[Telemetry]:
    endpoints = [base_url(text, path=f"telemetry.{name}.endpoints[{number}]") for number, text in enumerate(settings.endpoints)]
    index, page = page_of(settings, schema)
    async with scraping(
        settings,
        schema=schema,
        index=index,
        page=page,
        targets=StaticTargets(endpoints),
        clock=clock,
        setting=f"telemetry.{name}.endpoints",
        name=name,
        pool=pool,
    ) as source:
        yield SampledTelemetry(through(source, index, schema), schema=schema, index=index, clock=clock)


@asynccontextmanager
async def _prometheus(
    settings: PrometheusTelemetry, schema: Schema, *, clock: Clock, name: str, pool: ParserPool, through: Through
) -> AsyncIterator[Telemetry]:
    client, url = prometheus_client(
        settings,
        entry=f"telemetry.{name}",
        pool=pool,
        connections=_CONNECTIONS,
        keep_seconds=_keep_seconds(settings.tick_seconds),
    )
    index = SeriesIndex(schema, as_text=True)
    async with client:
        source = PrometheusSource(
            client,
            url=url,
            schema=schema,
            index=index,
            clock=clock,
            tick_seconds=settings.tick_seconds,
            stale_after_seconds=settings.stale_after_seconds,
        )
        try:
            yield SampledTelemetry(through(source, index, schema), schema=schema, index=index, clock=clock)
        finally:
            await source.close()


def _keep_seconds(tick_seconds: float) -> float:
    """Connections outlast the time between two ticks."""
    return max(15.0, 2.0 * tick_seconds)
