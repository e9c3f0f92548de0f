"""The composition root: settings in, a running daemon out. The only place that knows every adapter.

Everything is opened on one stack and closed in the opposite order. The API listens before recovery is done, so that probes
are answered from the first second; ``/readyz`` says what is still missing.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from config.errors import ConfigError
from config.policy import Policy
from config.settings import Settings
from config.urls import EMBEDDED
from daemon import __version__, connectors, logs
from daemon.aio import interpreter, looplag
from daemon.aio.clock import Clock, SystemClock
from daemon.aio.parsing import ParserPool
from daemon.aio.tasks import TaskGroup, background, until_set
from daemon.bus.opening import Bus, open_bus
from daemon.bus.publisher import Publisher
from daemon.clusters import KubeClients
from daemon.connectors import ConnectorContext, Connectors
from daemon.engine.dependencies import Mesh, Ports, Shared
from daemon.engine.engine import Engine
from daemon.errors import Defect, InvalidInput, VerdictdError
from daemon.http.callers import Callers
from daemon.http.capacity import capacity
from daemon.http.endpoint import ApiPorts, Components
from daemon.http.gates import access
from daemon.http.hooks.configured import read_secrets
from daemon.http.metrics.broker import Broker
from daemon.http.metrics.meter import Metrics
from daemon.http.metrics.samplers import Samplers
from daemon.http.metrics.shelf import Shelf
from daemon.http.server import HttpServer, create_app
from daemon.meshes.registry import why_observed_only
from daemon.ports.telemetry import Telemetry
from daemon.questions import Questions
from daemon.recorder import Recorder
from daemon.recordingshelf import RecordingShelf
from daemon.replicas.keeper import Keeper
from daemon.replicas.solo import Solo
from daemon.replicas.turn import WATCH_SLOT, Alone, SlotTurn
from daemon.telemetries import open_telemetry
from daemon.watcher.awaited import AwaitedCanaries
from daemon.watcher.opening import awaited
from daemon.watcher.settings import hearing_of

log = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_USAGE = 64
EXIT_UNAVAILABLE = 69
EXIT_DEFECT = 70


def run(settings: Settings, *, file: str | None = None) -> int:
    """Run until SIGTERM, SIGINT or SIGHUP. Returns the process's exit code; what went wrong is said in the log.

    ``file``: where the settings were read from, for the log.
    """
    logs.set_up(level=settings.log_level)
    log.info(
        "starting",
        extra={"version": __version__, "cluster": settings.cluster, "http": settings.http.listen, "settings": file or "defaults"},
    )
    if not settings.meshes:
        log.warning("nothing can be watched: no mesh is configured", extra={"fix": "see verdictd check --example settings"})
    interpreter.settle()
    try:
        asyncio.run(_serve_until_told(settings))
    except (ConfigError, VerdictdError, ExceptionGroup) as error:
        reasons = _leaves(error)
        if not all(isinstance(reason, ConfigError | VerdictdError) for reason in reasons):
            raise
        for reason in reasons:
            # The reason says it, and a trace would bury it; who has to mend a defect needs one.
            defect = reason.__cause__ if isinstance(reason, Defect) else None
            log.error("cannot run", extra={"reason": str(reason)}, exc_info=defect)  # noqa: TRY400 - as above
        return _code(reasons)
    return EXIT_OK


def _code(reasons: Sequence[Exception]) -> int:
    if any(isinstance(reason, Defect) for reason in reasons):
        return EXIT_DEFECT
    return EXIT_USAGE if any(isinstance(reason, ConfigError | InvalidInput) for reason in reasons) else EXIT_UNAVAILABLE


def _leaves(error: Exception) -> list[Exception]:
    if isinstance(error, ExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]


async def _serve_until_told(settings: Settings) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Under nohup a terminal that closes is no reason to end.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, told.set)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        loop.add_signal_handler(number, partial(log.warning, "ignored a signal", extra={"signal": number.name}))
    await serve(settings, stop=told)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """All that is opened before a release is watched.

    Attributes:
        waiting: announcements that wait for their canaries; null: nobody looks for these.
        keeper: which services are this daemon's; null: all are.
        solo: sees to it that no other daemon is at work; null: there can be none, or several share it.
    """

    bus: Bus
    telemetry: Mapping[str, Telemetry]
    meshes: Mapping[str, Mesh]
    connected: Connectors
    waiting: AwaitedCanaries | None
    keeper: Keeper | None
    solo: Solo | None


async def serve(settings: Settings, *, stop: asyncio.Event, clock: Clock | None = None) -> None:
    """Open everything, watch releases until ``stop`` is set, close everything.

    What the settings are refused for comes first: nothing is begun, and NATS is not asked, before it is known.

    Raises:
        ConfigError: a setting cannot be honoured.
        VerdictdError: the broker, or an address to listen on, cannot be had; ``Defect``: a plugged-in part cannot be opened.
    """
    clock = clock or SystemClock()
    connections = capacity(settings, connectors=connectors.connections(settings), all_clusters=connectors.ask_api_servers(settings))
    Callers(settings.http).read()
    read_secrets(settings.hooks)
    access.read_secrets(settings.gates)
    metrics = Metrics(now=clock.now)
    metrics.expect_telemetry(settings.telemetry)
    async with AsyncExitStack() as stack:
        async with until_set(stop) as opening:
            opened = await _open(settings, stack, stop=stop, clock=clock, metrics=metrics)
        if opening.expired():
            log.info("stopped before anything was begun")
            return
        engine = Engine(_ports(settings, opened, clock=clock, metrics=metrics))
        _watch(opened, metrics=metrics)
        metrics.watch_verdicts(lambda: engine.verdicts_held_up)
        if settings.recordings.directory is not None:
            shelf = RecordingShelf(Path(settings.recordings.directory), settings.keep.recordings, clock=clock)
            metrics.watch_recordings(Shelf(stock=lambda: shelf.stock))
            await stack.enter_async_context(background(shelf.look_after(engine.running)))
        app = create_app(_api_ports(settings, opened, engine, clock=clock, metrics=metrics))
        server = await stack.enter_async_context(HttpServer(app, http=settings.http, capacity=connections))
        where = opened.bus.where
        log.info("started", extra={"version": __version__, "cluster": settings.cluster, "http": server.url, "nats": where})
        await _run_until(stop, engine, lagged=metrics.lagged)
    log.info("stopped")


async def _run_until(stop: asyncio.Event, engine: Engine, *, lagged: Callable[[float], None]) -> None:
    async with TaskGroup() as group:
        lag = group.create_task(looplag.measured(lagged), name="loop lag")
        running = group.create_task(engine.run(), name="engine")
        asked = group.create_task(stop.wait(), name="stop")
        await asyncio.wait([running, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        log.info("stopping")
        engine.stop()
        lag.cancel()


async def _open_meshes(settings: Settings, kubes: KubeClients) -> dict[str, Mesh]:
    """The clusters of each configured mesh. Credentials of the API servers are read now, not at the first revert."""
    await kubes.connect(settings.meshes.values())
    return {
        name: Mesh(clusters=kubes.open_mesh(mesh, name=name), telemetry=mesh.telemetry, observed_only=why_observed_only(mesh))
        for name, mesh in settings.meshes.items()
    }


async def _open(settings: Settings, stack: AsyncExitStack, *, stop: asyncio.Event, clock: Clock, metrics: Metrics) -> _Opened:
    """Open it all, on ``stack``."""
    pool = await stack.enter_async_context(ParserPool(unparsed_bytes=settings.limits.unparsed_bytes))
    kubes = KubeClients(settings, stack)
    telemetries = await open_telemetry(settings, stack, kubes=kubes, clock=clock, pool=pool)
    telemetry, samplers = telemetries.sources, telemetries.samplers
    metrics.watch_samplers(Samplers(running=lambda: {name: (one.pid, one.starts) for name, one in samplers.items()}))
    meshes = await _open_meshes(settings, kubes)
    shared = settings.replicas.count > 1
    bus = await stack.enter_async_context(
        open_bus(settings.nats, cluster=settings.cluster, keep=settings.keep, hearing=hearing_of(settings), shared=shared)
    )
    solo = None if shared or settings.nats.url == EMBEDDED else _solo(settings, bus=bus, clock=clock, metrics=metrics)
    if solo is not None:
        await solo.comes()
        await stack.enter_async_context(solo.at_work(stop))
    waiting = awaited(settings, bus=bus, clock=clock)
    keeper = _keeper(settings, bus=bus, clock=clock, metrics=metrics) if shared else None
    given = ConnectorContext(
        settings=settings,
        bus=bus,
        clock=clock,
        kubes=kubes.clients,
        meter=metrics.notices,
        awaited=waiting,
        turn=Alone() if keeper is None else SlotTurn(partial(keeper.held, WATCH_SLOT), clock=clock),
    )
    connected = await stack.enter_async_context(connectors.open_connectors(given))
    return _Opened(bus=bus, telemetry=telemetry, meshes=meshes, connected=connected, waiting=waiting, keeper=keeper, solo=solo)


def _ports(settings: Settings, opened: _Opened, *, clock: Clock, metrics: Metrics) -> Ports:
    bus, keeper = opened.bus, opened.keeper
    directory = settings.recordings.directory
    lease_seconds = settings.replicas.lease_seconds
    shared = None if keeper is None else Shared(sharing=keeper, carrier=bus.carrier, lease_seconds=lease_seconds)
    number = None if keeper is None else keeper.number_of
    return Ports(
        cluster=settings.cluster,
        meshes=opened.meshes,
        telemetry=opened.telemetry,
        policies={"default": Policy(), **settings.policies},
        events=opened.connected.events,
        commands=bus.commands,
        verdicts=bus.verdicts if number is None else Publisher(bus.connection, cluster=settings.cluster, number=number),
        sinks=opened.connected.sinks,
        sessions=bus.sessions,
        records=bus.records,
        aliases=bus.aliases,
        freezes=bus.freezes,
        promotions=bus.promotions,
        audit=bus.audit,
        clock=clock,
        meter=metrics,
        limits=settings.limits,
        recorder=None if directory is None else Recorder(Path(directory)),
        awaiting=opened.waiting,
        shared=shared,
    )


def _watch(opened: _Opened, *, metrics: Metrics) -> None:
    """Have metrics say how the broker is, and what waits."""
    bus, waiting = opened.bus, opened.waiting
    metrics.watch_announcements(lambda: 0 if waiting is None else len(waiting.all()))
    metrics.watch_nats(
        Broker(
            connected=lambda: bus.ready,
            last_write_at=lambda: bus.pulse.standing.last_success_at,
            write_seconds=lambda: bus.pulse.write_seconds,
            waiting=lambda: {stream: (one.waiting, one.unanswered) for stream, one in bus.lag.backlogs.items()},
            lost=lambda: bus.lost,
            rejected=lambda: bus.dead_letters.kept,
        )
    )


def _api_ports(settings: Settings, opened: _Opened, engine: Engine, *, clock: Clock, metrics: Metrics) -> ApiPorts:
    bus, solo, directory = opened.bus, opened.solo, settings.recordings.directory

    def readiness() -> Components:
        beside = {} if solo is None or solo.problem is None else {"replicas": solo.problem}
        return Components(
            needed={"nats": bus.pulse.problem, **beside, **engine.problems},
            helpful={**engine.handicaps, "events": bus.lag.standing.problem},
        )

    return ApiPorts(
        releases=engine,
        verdicts=engine,
        past=bus.past,
        freezes=engine,
        questions=Questions(bus.questions),
        awaiting=opened.waiting,
        feed=engine,
        dead_letters=bus.dead_letters,
        event_log=bus.event_log,
        hooks=settings.hooks,
        gates=settings.gates,
        cluster=settings.cluster,
        recordings=None if directory is None else Path(directory),
        policies=sorted({"default", *settings.policies}),
        hearing=hearing_of(settings),
        now=clock.now,
        metrics=metrics,
        readiness=readiness,
        http=settings.http,
    )


def _keeper(settings: Settings, *, bus: Bus, clock: Clock, metrics: Metrics) -> Keeper:
    return Keeper(bus.replicas, lease_seconds=settings.replicas.lease_seconds, clock=clock, meter=metrics)


def _solo(settings: Settings, *, bus: Bus, clock: Clock, metrics: Metrics) -> Solo:
    """Nobody else can reach a broker of our own: there is none beside it."""
    return Solo(bus.replicas, lease_seconds=settings.replicas.lease_seconds, clock=clock, meter=metrics)
