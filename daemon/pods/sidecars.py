"""From a ``sidecars`` entry in the settings to a working source: the arms' pods scraped, and what stands in for them."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from config.settings import PrometheusTelemetry, SidecarTelemetry
from daemon.aio.clock import Clock
from daemon.aio.parsing import ParserPool
from daemon.errors import InvalidInput
from daemon.model import Release
from daemon.pods.podstates import PodSignals
from daemon.pods.targets import PodTargets
from daemon.pods.watching import PodWatch
from daemon.ports.telemetry import Telemetry
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.factory import scraping, telemetry_from
from daemon.telemetry.fallback import FallbackTelemetry
from daemon.telemetry.sampled import SampledTelemetry
from daemon.telemetry.schema import Schema
from daemon.telemetry.scrape.text import PrometheusText
from daemon.telemetry.signalled import SignalledTelemetry


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
    index = SeriesIndex(schema, as_text=True, of_pods=True)
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
        yield SignalledTelemetry(telemetry, [PodSignals(targets, clock=clock)])


def _port(settings: SidecarTelemetry, schema: Schema, *, name: str) -> int:
    """Where each pod's sidecar is asked. Raises ``InvalidInput`` for telemetry that pods do not show of themselves."""
    if not schema.views[0].server_side:
        raise InvalidInput(
            f"{schema.name} telemetry is of those who ask, not of the pods that serve",
            path=f"telemetry.{name}.dialect",
            fix="name the proxies' endpoints with kind: envoy, or read a Prometheus",
        )
    first = schema.views[0]
    if not first.on_page and not any(label.fact == "pod" for label in first.arms.pods):
        raise InvalidInput(
            f"{schema.name}'s proxies do not say on their own page whose they are, and their series do not know pods",
            path=f"telemetry.{name}.dialect",
            fix="read a Prometheus, which adds the labels of their pods",
        )
    port = settings.port or schema.scrape.port
    if port is None:
        raise InvalidInput(
            f"{schema.name} telemetry has no port of its own",
            path=f"telemetry.{name}.port",
            fix="say where pods show it",
        )
    return port
