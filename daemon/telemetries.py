"""The configured sources of telemetry, opened: each with what counts, and with all that knows something beside the counts."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from config.settings import PrometheusTelemetry, Settings, SidecarTelemetry
from config.settings import Telemetry as TelemetrySettings
from daemon.aio.clock import Clock
from daemon.aio.parsing import ParserPool
from daemon.clusters import KubeClients
from daemon.errors import Unavailable
from daemon.meshes.registry import kind_read, need_kubernetes, schemas
from daemon.model import Release
from daemon.pods.podsofarms import PodsOfArms
from daemon.pods.podstates import PodSignals, WatchedStates
from daemon.pods.sidecars import sidecars_from
from daemon.pods.watching import PodWatch
from daemon.ports.telemetry import Telemetry
from daemon.sampler import ARGV
from daemon.telemetry.apart.asking import SampledApart
from daemon.telemetry.apart.sampler import Sampler
from daemon.telemetry.apart.words import Begin
from daemon.telemetry.factory import schema_of, telemetry_from
from daemon.telemetry.prometheus.armsigns import ArmQuestions
from daemon.telemetry.prometheus.client import prometheus_client
from daemon.telemetry.prometheus.controlplanes import ControlPlanes
from daemon.telemetry.prometheus.slowly import EVERY_SECONDS, SlowQuestion
from daemon.telemetry.signalled import SignalledTelemetry, SignalSource


@dataclass(frozen=True, slots=True)
class Telemetries:
    """All sources by name, and those of them that are read in a process of their own."""

    sources: Mapping[str, Telemetry]
    samplers: Mapping[str, SampledApart]


async def open_telemetry(
    settings: Settings, stack: AsyncExitStack, *, kubes: KubeClients, clock: Clock, pool: ParserPool
) -> Telemetries:
    """Each configured source. The pods are watched in the clusters where releases are judged, and are told with what is counted."""
    samplers: dict[str, SampledApart] = {}
    pods: dict[str, PodWatch] = {}
    watches: dict[str, PodWatch] = {}
    for name, mesh in settings.meshes.items():
        if need_kubernetes([mesh]):
            cluster, kube = kubes.judging(mesh)
            if cluster not in pods:
                pods[cluster] = await stack.enter_async_context(PodWatch(kube, clock=clock, cluster=cluster))
            watches[name] = pods[cluster]

    def watch_of(release: Release) -> PodWatch:
        if (watch := watches.get(str(release.mesh))) is None:
            raise Unavailable(f"the mesh {release.mesh} is in no cluster")
        return watch

    async def opened(name: str, entry: TelemetrySettings) -> Telemetry:
        more = await _of_the_store(settings, stack, name=name, clock=clock, pool=pool)
        if isinstance(entry, SidecarTelemetry):
            fallback = _fallback(settings, entry)
            made = sidecars_from(entry, fallback=fallback, watch_of=watch_of, schemas=schemas(), clock=clock, name=name, pool=pool)
            return SignalledTelemetry(await stack.enter_async_context(made), more)
        pods_there = PodSignals(WatchedStates(PodsOfArms(watch_of)), clock=clock)
        there = await stack.enter_async_context(telemetry_from(entry, clock=clock, name=name, pool=pool, schemas=schemas()))
        if isinstance(entry, PrometheusTelemetry) and entry.process == "own":
            # What the settings cannot have was refused above; the sampler opens the same once more.
            there = samplers[name] = await stack.enter_async_context(_apart(settings, entry, name=name, clock=clock))
        return SignalledTelemetry(there, [pods_there, *more])

    return Telemetries({name: await opened(name, entry) for name, entry in settings.telemetry.items()}, samplers)


def _apart(settings: Settings, entry: PrometheusTelemetry, *, name: str, clock: Clock) -> SampledApart:
    first = Begin(name=name, settings=entry, unparsed_bytes=settings.limits.unparsed_bytes, log_level=settings.log_level)
    return SampledApart(
        partial(Sampler.started, ARGV, first),
        schema=schema_of(entry, schemas()),
        tick_seconds=entry.tick_seconds,
        # A store that has nothing yet is asked several times, over longer and longer times, and the sampler has to start.
        answer_seconds=2.0 * entry.tick_seconds + 6.0 * entry.timeout_seconds,
        clock=clock,
    )


async def _of_the_store(
    settings: Settings, stack: AsyncExitStack, *, name: str, clock: Clock, pool: ParserPool
) -> list[SignalSource]:
    """What asks a source's store for more than counts; of sidecars, that of the store that stands in for them."""
    entry = settings.telemetry[name]
    store = _fallback(settings, entry) if isinstance(entry, SidecarTelemetry) else entry
    if not isinstance(store, PrometheusTelemetry):
        return []
    mine = {key: mesh for key, mesh in settings.meshes.items() if mesh.telemetry == name}
    kinds = {key: kind_read(mesh, dialect=store.dialect) for key, mesh in mine.items()}
    planes = {kind.name: kind.control_plane for kind in kinds.values() if kind.control_plane is not None}
    signs = {key: kind.arm_signs for key, kind in kinds.items() if kind.arm_signs is not None}
    client, url = prometheus_client(store, entry=f"telemetry.{name}", pool=pool, connections=2, keep_seconds=2.0 * EVERY_SECONDS)
    await stack.enter_async_context(client)

    def question(what: str) -> SlowQuestion:
        one = SlowQuestion(client, url=url, clock=clock, what=f"{what} of telemetry {name}")
        stack.push_async_callback(one.close)
        return one

    found: list[SignalSource] = []
    if planes and store.control_plane != "ignored":
        found.append(
            ControlPlanes(
                question("the control planes"),
                planes=planes,
                kind_of={key: kind.name for key, kind in kinds.items()},
                matchers=store.matchers,
                heeded=store.control_plane,
            )
        )
    if signs:
        found.append(ArmQuestions(question("what stands before the arms"), signs=signs, matchers=store.matchers))
    return found


def _fallback(settings: Settings, entry: SidecarTelemetry) -> PrometheusTelemetry | None:
    there = None if entry.fallback is None else settings.telemetry[entry.fallback]
    return there if isinstance(there, PrometheusTelemetry) else None
