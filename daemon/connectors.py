"""Where events come from and where verdicts go: a row for each. A new one is a module and a row here.

A package that is installed beside ours can add one without a change here: an entry point of the group ``verdictd.sources`` or
``verdictd.sinks`` that names its row. A row without settings is always at work. One that has a struct of its own is at work as
often as the settings name its kind, under ``sources`` or ``sinks``, and each time with a name that they give it. The log of
verdicts and the sessions are no rows: they are NATS, since they must survive the daemon together.
"""

import functools
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from config.errors import ConfigError, Fault
from config.settings import ConnectorSettings, Mesh, Settings
from daemon import couriers
from daemon.aio.clock import Clock
from daemon.errors import Defect, VerdictdError
from daemon.kube.rights import Right
from daemon.meshes.registry import need_kubernetes, written
from daemon.packages import Rows, defects_of, with_installed
from daemon.ports.events import EventSource
from daemon.ports.notices import Backlog, NoticeMeter
from daemon.ports.sharing import Turn
from daemon.replicas.turn import Alone
from daemon.sinks.apprise import AppriseSettings
from daemon.sinks.channel import ChannelKind
from daemon.sinks.channels import CHANNELS
from daemon.watcher.rights import RIGHTS as WATCHER_RIGHTS
from daemon.watcher.settings import KubernetesSource
from daemon.watcher.settings import faults as watcher_faults

if TYPE_CHECKING:  # settings are checked by the rows alone
    from daemon.bus.opening import Bus
    from daemon.engine.dependencies import Sink
    from daemon.kube.client import KubeClient
    from daemon.watcher.awaited import AwaitedCanaries

SOURCES_GROUP = "verdictd.sources"
SINKS_GROUP = "verdictd.sinks"

# Nothing waits for it: its attempts end a moment after the verdict is out.
_ASIDE: Mapping[str, Any] = {"pauses_seconds": (0.5, 2.0), "patience_seconds": 5.0, "says_itself": True}

_NAME = re.compile(r"[a-z0-9-]{1,40}")

T = TypeVar("T")


def _no_faults(_own: Any, _settings: Settings) -> Iterator[Fault]:
    return iter(())


class Unmeasured:
    """``NoticeMeter`` where nobody looks."""

    def told(self, channel: str) -> None:
        """Not counted."""

    def failed(self, channel: str, error: Exception) -> None:
        """Not counted."""

    def gave_up(self, channel: str) -> None:
        """Not counted."""

    def waits(self, channel: str, backlog: Backlog) -> None:
        """Not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorContext:
    """What a connector may use.

    Attributes:
        settings: the daemon's.
        bus: NATS; ``bus.dead_letters`` is for every source that rejects something.
        clock: the daemon's.
        kubes: the client of each cluster, by its name under ``kubernetes``. It connects at its first call, and is not the
            connector's to close.
        name: the connector's own, which the settings give it, or its row.
        own: its settings, of the row's struct; null where the row names none.
        meter: where channels' measurements go.
        awaited: announcements that wait for arms; null: no source finds any.
        turn: for a source that several replicas would each find the same by: one of them reads it at a time.
    """

    settings: Settings
    bus: "Bus"
    clock: Clock
    kubes: "Mapping[str, KubeClient]" = field(default_factory=dict)
    name: str = ""
    own: Any = None
    meter: NoticeMeter = field(default_factory=Unmeasured)
    awaited: "AwaitedCanaries | None" = None
    turn: Turn = field(default_factory=Alone)


@dataclass(frozen=True, kw_only=True)  # no slots: with them, Python 3.11 cannot make a Connector[EventSource](...)
class Connector(Generic[T]):
    """A row.

    Attributes:
        name: in the log, and of a sink in the record: lower-case letters, digits and hyphens.
        open: what is entered when the daemon starts and left when it stops; gives nothing where there is nothing to do.
            Raises ``ConfigError`` and ``VerdictdError``; anything else ends the daemon as a defect of the row's package.
        settings: what a person writes of one, a struct whose tag under ``kind`` is the row's name; null where it needs none.
        faults: what is wrong with such settings beside the daemon's others, with paths below their own.
        rights: on the API servers of all clusters; none: it asks none of them.
        connections: that it holds open at a time, beside those to API servers.
    """

    name: str
    open: Callable[[ConnectorContext], AbstractAsyncContextManager[T | None]]
    settings: type[ConnectorSettings] | None = None
    faults: Callable[[Any, Settings], Iterable[Fault]] = _no_faults
    rights: tuple[Right, ...] = ()
    connections: int = 0

    def __post_init__(self) -> None:
        """Refuse what could not stand in a record, not be opened, or not be told from other kinds in the settings."""
        if not _is_name(self.name):
            raise ValueError(f"{self.name!r} is no name of a connector: use lower-case letters, digits and hyphens")
        if not callable(self.open):
            raise TypeError(f"{self.name} cannot be opened: open is a {type(self.open).__name__}")
        if self.settings is None:
            return
        if not _is_settings(self.settings):
            raise TypeError(f"the settings of {self.name} are no ConnectorSettings")
        tag = self.settings.__struct_config__
        if (tag.tag_field, tag.tag) != ("kind", self.name):
            raise ValueError(f"the settings of {self.name} have no tag {self.name!r} under kind")


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _is_settings(model: object) -> bool:
    return isinstance(model, type) and issubclass(model, ConnectorSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connectors:
    """The connectors that are at work, by their names."""

    events: Mapping[str, EventSource]
    sinks: "Mapping[str, Sink]"


def _cdevents(given: ConnectorContext) -> "AbstractAsyncContextManager[Sink]":
    from daemon.engine.dependencies import Sink

    return nullcontext(Sink(to=given.bus.cdevents, pauses_seconds=couriers.BROKER_PAUSES_SECONDS))


def _kubernetes_events(given: ConnectorContext) -> "AbstractAsyncContextManager[Sink | None]":
    from daemon.delivery import owners
    from daemon.engine.dependencies import Sink
    from daemon.sinks.kubernetesevents import KubernetesEvents, Place

    settings = given.settings
    if not settings.kubernetes_events:
        return nullcontext(None)
    told = owners.objects()

    def place(mesh: Mesh) -> Place | None:
        if not need_kubernetes([mesh]):
            return None
        return Place(kube=given.kubes[settings.clusters_of(mesh)[0]], routes=(*written(mesh), *told))

    places = {name: place(mesh) for name, mesh in settings.meshes.items()}
    if not any(places.values()):
        return nullcontext(None)
    return nullcontext(Sink(to=KubernetesEvents(places), **_ASIDE))


def _kubernetes(given: ConnectorContext) -> "AbstractAsyncContextManager[EventSource]":
    from daemon.watcher.opening import awaited, opened

    waiting = given.awaited or awaited(given.settings, bus=given.bus, clock=given.clock)
    assert waiting is not None  # this source is one that finds arms
    source = opened(
        given.own,
        settings=given.settings,
        kubes=given.kubes,
        bus=given.bus,
        clock=given.clock,
        waiting=waiting,
        turn=given.turn,
    )
    return nullcontext(source)


def _told(given: ConnectorContext, *, kind: ChannelKind | None) -> "AbstractAsyncContextManager[Sink]":
    """A channel by its row, or Apprise (null)."""
    return couriers.opened(
        kind, name=given.name, own=given.own, settings=given.settings, bus=given.bus, clock=given.clock, meter=given.meter
    )


def _channel_faults(kind: ChannelKind, own: Any, _settings: Settings) -> Iterable[Fault]:
    return kind.faults(own)


SOURCES: tuple[Connector[EventSource], ...] = (
    Connector(name="nats", open=lambda given: nullcontext(given.bus.events)),
    Connector(name="kubernetes", open=_kubernetes, settings=KubernetesSource, faults=watcher_faults, rights=WATCHER_RIGHTS),
)

SINKS: "tuple[Connector[Sink], ...]" = (
    Connector(name="cdevents", open=_cdevents),
    # Its rights, and its connections, are those of the meshes' rows.
    Connector(name="kubernetes-events", open=_kubernetes_events),
    *(
        Connector["Sink"](
            name=kind.name,
            open=functools.partial(_told, kind=kind),
            settings=kind.settings,
            faults=functools.partial(_channel_faults, kind),
            connections=4,
        )
        for kind in CHANNELS
    ),
    Connector(name="apprise", open=functools.partial(_told, kind=None), settings=AppriseSettings, connections=4),
)


@functools.cache
def sources() -> Rows[Connector[EventSource]]:
    """Every kind of source by its name. Raises ``ConfigError`` when a package that is installed gives no usable one."""
    return with_installed(SOURCES, group=SOURCES_GROUP, row=Connector, what="a source called")


@functools.cache
def sinks() -> "Rows[Connector[Sink]]":
    """Every kind of sink by its name. Raises ``ConfigError`` when a package that is installed gives no usable one."""
    return with_installed(SINKS, group=SINKS_GROUP, row=Connector, what="a sink called")


def problems(settings: Settings) -> Iterator[Fault]:
    """What is wrong with what the settings say of sources and sinks, beside their form."""
    for place, rows, named in (("sources", sources(), settings.sources), ("sinks", sinks(), settings.sinks)):
        for name, own in named.items():
            if name in rows and rows[name].settings is None:
                message = f"is the name of one that is always there, of the package {rows.package(name)}"
                yield Fault(path=f"{place}.{name}", message=message, fix="give it another name")
            for fault in rows[_kind(own)].faults(own, settings):
                path = f"{place}.{name}.{fault.path}".rstrip(".")
                yield Fault(path=path, message=fault.message, fix=fault.fix)


def connections(settings: Settings) -> int:
    """That the connectors at work hold open at a time, beside those to API servers."""
    return sum(row.connections for row in _at_work(settings))


def ask_api_servers(settings: Settings) -> bool:
    """Whether one of the connectors at work asks the API servers."""
    return any(row.rights for row in _at_work(settings))


@asynccontextmanager
async def open_connectors(given: ConnectorContext) -> AsyncIterator[Connectors]:
    """Open every source and every sink, in the order of their rows, then of the settings.

    Raises:
        ConfigError: a package brings one that cannot be used, or a setting of one cannot be honoured.
        VerdictdError: one cannot be opened; ``Defect`` names its package.
    """
    async with AsyncExitStack() as stack:
        yield Connectors(
            events=await _all(sources(), given, given.settings.sources, stack=stack, what="source", is_one=_is_source),
            sinks=await _all(sinks(), given, given.settings.sinks, stack=stack, what="sink", is_one=_is_sink),
        )


async def _all(
    rows: Rows[Connector[T]],
    given: ConnectorContext,
    entries: Mapping[str, ConnectorSettings],
    *,
    stack: AsyncExitStack,
    what: str,
    is_one: Callable[[object], bool],
) -> dict[str, T]:
    """What the rows that are at work open, by name."""
    found: dict[str, T] = {}
    for row, named in _with_settings(rows, given, entries):
        whose = f"the {what} {named.name} of the package {rows.package(row.name)}"
        opened = _opened(row, named, whose=whose, is_one=is_one)
        made = await stack.enter_async_context(opened)
        if made is not None:
            found[named.name] = made
    return found


def _with_settings(
    rows: Rows[Connector[T]], given: ConnectorContext, entries: Mapping[str, ConnectorSettings]
) -> Iterator[tuple[Connector[T], ConnectorContext]]:
    """The rows that are at work, each with what it is given."""
    for row in rows.values():
        if row.settings is None:
            yield row, replace(given, name=row.name)
    for name, own in entries.items():
        yield rows[_kind(own)], replace(given, name=name, own=own)


def _at_work(settings: Settings) -> "Iterator[Connector[EventSource] | Connector[Sink]]":
    yield from (row for rows in (sources(), sinks()) for row in rows.values() if row.settings is None)
    yield from (sources()[_kind(own)] for own in settings.sources.values())
    yield from (sinks()[_kind(own)] for own in settings.sinks.values())


def _kind(own: ConnectorSettings) -> str:
    return str(own.__struct_config__.tag)


@asynccontextmanager
async def _opened(
    row: Connector[T], given: ConnectorContext, *, whose: str, is_one: Callable[[object], bool]
) -> AsyncIterator[T | None]:
    """What the row opens, until the body ends; whatever goes wrong in opening and in closing it is told with whose it is."""
    ours = (VerdictdError, ConfigError)
    with defects_of(whose, ours=ours):
        manager = row.open(given)
        made = await manager.__aenter__()
    failure: BaseException | None = None
    try:
        yield _one_or_none(made, whose=whose, is_one=is_one)
    except BaseException as error:
        failure = error
        raise
    finally:
        with defects_of(whose, ours=ours):
            await manager.__aexit__(type(failure) if failure else None, failure, failure.__traceback__ if failure else None)


def _one_or_none(made: T | None, *, whose: str, is_one: Callable[[object], bool]) -> T | None:
    if made is None or is_one(made):
        return made
    raise Defect(f"a defect of {whose}: it gives a {type(made).__name__}, which is none")


def _is_source(made: object) -> bool:
    return callable(getattr(made, "announcements", None))


def _is_sink(made: object) -> bool:
    from daemon.engine.dependencies import Sink

    return isinstance(made, Sink)
