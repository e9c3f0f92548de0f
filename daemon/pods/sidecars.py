"""From a ``sidecars`` entry in the settings to a working source: the arms' pods scraped, and what stands in for them."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from config.policy import Failures
from config.settings import PrometheusTelemetry, SidecarTelemetry
from daemon.aio.clock import Clock
from daemon.aio.parsing import ParserPool
from daemon.errors import InvalidInput
from daemon.model import Reading, Release, Watch
from daemon.pods.targets import PodTargets
from daemon.pods.watching import PodWatch
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.factory import scraping, telemetry_from
from daemon.telemetry.fallback import FallbackTelemetry
from daemon.telemetry.sampled import SampledTelemetry
from daemon.telemetry.schema import Schema
from daemon.telemetry.scrape.text import PrometheusText


@asynccontextmanager
async def sidecars_from(
    settings: SidecarTelemetry,
    *,
    fallback: PrometheusTelemetry | None,
    watch_of: Callable[[Release], PodWatch],
    schemas: Mapping[str, Schema],
    clock: Clock,
    name: str,
    pool: ParserPool,
) -> AsyncIterator[Telemetry]:
    """The source that an entry describes, with its connections, which are closed on leaving.

    Args:
        settings: the entry.
        fallback: the entry that it names, if any.
        watch_of: the pods of the cluster in which a release is judged.
        schemas: what the telemetry of each mesh looks like, by the name that the settings use.
        clock: of the daemon.
        name: of the entry, for refusals and for people.
        pool: where all sources' answers are parsed.

    Raises:
        InvalidInput: the settings cannot be honoured.
    """
    schema = schemas[settings.dialect]
    index = SeriesIndex(schema, as_text=True)
    targets = PodTargets(watch_of, port=_port(settings, schema, name=name), most=settings.max_pods)
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(
            scraping(
                settings,
                schema=schema,
                index=index,
                page=PrometheusText(index, schema),
                targets=targets,
                clock=clock,
                setting=f"telemetry.{name}",
                name=name,
                pool=pool,
            )
        )
        telemetry: Telemetry = SampledTelemetry(source, schema=schema, index=index, clock=clock)
        if fallback is not None:
            second = telemetry_from(fallback, clock=clock, name=str(settings.fallback), pool=pool, schemas=schemas)
            telemetry = FallbackTelemetry(
                telemetry,
                await stack.enter_async_context(second),
                unreached=lambda: source.unreached,
                name=f"the sidecars of telemetry {name}",
                instead=f"telemetry {settings.fallback}",
                clock=clock,
            )
        yield PodTelemetry(telemetry, targets)


class PodTelemetry:
    """``Telemetry`` whose readings say how the arms' pods are."""

    def __init__(self, telemetry: Telemetry, targets: PodTargets) -> None:
        self._telemetry = telemetry
        self._targets = targets

    @property
    def tick_seconds(self) -> float:
        """See ``Telemetry``."""
        return self._telemetry.tick_seconds

    @property
    def wait_seconds(self) -> float | None:
        """See ``Telemetry``."""
        return self._telemetry.wait_seconds

    @property
    def split(self) -> bool:
        """See ``Telemetry``."""
        return self._telemetry.split

    def cannot_tell(self, failures: Failures) -> Sequence[str]:
        """See ``Telemetry``."""
        return self._telemetry.cannot_tell(failures)

    def cannot_count(self, release: Release) -> str | None:
        """See ``Telemetry``."""
        return self._telemetry.cannot_count(release)

    @property
    def failure(self) -> str | None:
        """See ``Telemetry``."""
        return self._telemetry.failure

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        """See ``Telemetry``."""
        readings = await self._telemetry.read(watches)
        return {
            release_id: msgspec.structs.replace(reading, pods=self._targets.state(release_id))
            for release_id, reading in readings.items()
        }

    def forget(self, release_id: str) -> None:
        """See ``Telemetry``."""
        self._telemetry.forget(release_id)


def _port(settings: SidecarTelemetry, schema: Schema, *, name: str) -> int:
    """Where each pod's sidecar is asked. Raises ``InvalidInput`` for telemetry that pods do not show of themselves."""
    if not schema.views[0].server_side:
        raise InvalidInput(
            f"{schema.name} telemetry is of those who ask, not of the pods that serve",
            path=f"telemetry.{name}.dialect",
            fix="name the proxies' endpoints with kind: envoy, or read a Prometheus",
        )
    port = settings.port or schema.scrape.port
    if port is None:
        raise InvalidInput(
            f"{schema.name} telemetry has no port of its own",
            path=f"telemetry.{name}.port",
            fix="say where pods show it",
        )
    return port
