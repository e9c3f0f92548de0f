"""From an entry under ``telemetry`` in the settings to a working source."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import assert_never

from config.settings import EnvoyTelemetry, PrometheusTelemetry
from daemon.ports import Clock, Telemetry
from daemon.telemetry.bins import EnvoyBins
from daemon.telemetry.catalogue import Catalogue
from daemon.telemetry.dialect import DIALECTS
from daemon.telemetry.envoy import EnvoySource, Page
from daemon.telemetry.fetching import Fetcher, base_url, session
from daemon.telemetry.page import EnvoyText
from daemon.telemetry.prometheus import PrometheusSource
from daemon.telemetry.sampling import SampledTelemetry

_CONNECTIONS = 4
log = logging.getLogger(__name__)


@asynccontextmanager
async def telemetry_from(settings: EnvoyTelemetry | PrometheusTelemetry, *, clock: Clock) -> AsyncIterator[Telemetry]:
    """A telemetry source as the settings describe it, with its connections, which are closed on leaving.

    Raises:
        InvalidInput: the settings cannot be honoured; the path is relative to the entry.
    """
    if DIALECTS[settings.dialect].denials is None:
        log.info(
            "this telemetry cannot tell requests denied by security policy: they count as served, and denied is always 0",
            extra={"dialect": settings.dialect},
        )
    match settings:
        case EnvoyTelemetry():
            async with _envoy(settings, clock=clock) as telemetry:
                yield telemetry
        case PrometheusTelemetry():
            async with _prometheus(settings, clock=clock) as telemetry:
                yield telemetry
        case _:
            assert_never(settings)


@asynccontextmanager
async def _envoy(settings: EnvoyTelemetry, *, clock: Clock) -> AsyncIterator[Telemetry]:
    dialect = DIALECTS[settings.dialect]
    endpoints = [base_url(text, path=f"endpoints[{number}]") for number, text in enumerate(settings.endpoints)]
    match settings.histograms:
        case "bins":
            catalogue = Catalogue(dialect)
            page: Page = EnvoyBins(catalogue, dialect)
        case "text":
            catalogue = Catalogue(dialect, as_text=True)
            page = EnvoyText(catalogue, dialect)
        case _:
            assert_never(settings.histograms)
    keep_seconds = max(15.0, 2.0 * settings.tick_seconds)
    async with session(connections=settings.concurrency, keep_seconds=keep_seconds) as http:
        source = EnvoySource(
            Fetcher(http, timeout_seconds=settings.timeout_seconds),
            endpoints=endpoints,
            dialect=dialect,
            catalogue=catalogue,
            page=page,
            clock=clock,
            tick_seconds=settings.tick_seconds,
            concurrency=settings.concurrency,
        )
        yield SampledTelemetry(source, dialect=dialect, catalogue=catalogue, clock=clock)


@asynccontextmanager
async def _prometheus(settings: PrometheusTelemetry, *, clock: Clock) -> AsyncIterator[Telemetry]:
    url = base_url(settings.url, path="url")
    dialect = DIALECTS[settings.dialect]
    catalogue = Catalogue(dialect, as_text=True)
    keep_seconds = max(15.0, 2.0 * settings.tick_seconds)
    async with session(
        connections=_CONNECTIONS, ca_file=settings.ca_file, headers=settings.headers, keep_seconds=keep_seconds
    ) as http:
        source = PrometheusSource(
            Fetcher(http, timeout_seconds=settings.timeout_seconds, token_file=settings.token_file),
            url=url,
            dialect=dialect,
            catalogue=catalogue,
            clock=clock,
            tick_seconds=settings.tick_seconds,
            stale_after_seconds=settings.stale_after_seconds,
        )
        yield SampledTelemetry(source, dialect=dialect, catalogue=catalogue, clock=clock)
