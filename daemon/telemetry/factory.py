"""From an entry under ``telemetry`` in the settings to a working source."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import assert_never

from config.settings import EnvoyTelemetry as EnvoySettings
from config.settings import PrometheusTelemetry as PrometheusSettings
from daemon.ports import Clock, Telemetry
from daemon.telemetry.catalogue import Catalogue
from daemon.telemetry.dialect import DIALECTS
from daemon.telemetry.envoy import EnvoyTelemetry, EnvoyText
from daemon.telemetry.fetching import Fetcher, session


@asynccontextmanager
async def telemetry_from(settings: EnvoySettings | PrometheusSettings, *, clock: Clock) -> AsyncIterator[Telemetry]:
    """A telemetry source as the settings describe it, with its connections, which are closed on leaving.

    Raises:
        InvalidInput: the settings cannot be honoured; the path is relative to the entry.
    """
    match settings:
        case EnvoySettings():
            async with _envoy(settings, clock=clock) as telemetry:
                yield telemetry
        case PrometheusSettings():
            raise NotImplementedError
        case _:
            assert_never(settings)


@asynccontextmanager
async def _envoy(settings: EnvoySettings, *, clock: Clock) -> AsyncIterator[Telemetry]:
    dialect = DIALECTS[settings.dialect]
    catalogue = Catalogue(dialect)
    page = EnvoyText(catalogue, dialect)
    keep_seconds = max(15.0, 2.0 * settings.tick_seconds)
    async with session(connections=settings.concurrency, keep_seconds=keep_seconds) as http:
        yield EnvoyTelemetry(
            Fetcher(http, timeout_seconds=settings.timeout_seconds),
            endpoints=settings.endpoints,
            dialect=dialect,
            catalogue=catalogue,
            page=page,
            clock=clock,
            tick_seconds=settings.tick_seconds,
            concurrency=settings.concurrency,
        )
