"""Where events come from and where verdicts go: a row for each. A new one is a module and a row here.

A package that is installed beside ours can add one without a change here: an entry point of the group ``verdictd.sources`` or
``verdictd.sinks`` that names its row. The log of verdicts and the sessions are no rows: they are NATS, since they must survive
the daemon together.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

from config.settings import Settings
from daemon.aio.clock import Clock
from daemon.bus.opening import Bus
from daemon.engine.dependencies import Sink
from daemon.packages import with_installed
from daemon.ports.events import EventSource

SOURCES_GROUP = "verdictd.sources"
SINKS_GROUP = "verdictd.sinks"

# What is on the broker is out two seconds after it is back, whatever came before.
_BROKER_PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0)

_NAME = re.compile(r"[a-z0-9-]{1,40}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorContext:
    """What a connector may use. ``bus.dead_letters`` is for every source that rejects something."""

    settings: Settings
    bus: Bus
    clock: Clock


@dataclass(frozen=True, kw_only=True)  # no slots: with them, Python 3.11 cannot make a Connector[EventSource](...)
class Connector(Generic[T]):
    """A row.

    Attributes:
        name: in the log, and of a sink in the record: lower-case letters, digits and hyphens.
        open: what is entered when the daemon starts and left when it stops; gives nothing where the settings do not ask for it.
            Raises ``ConfigError`` and ``VerdictdError``.
    """

    name: str
    open: Callable[[ConnectorContext], AbstractAsyncContextManager[T | None]]

    def __post_init__(self) -> None:
        """Refuse a name that cannot stand in a record."""
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(f"{self.name!r} is no name of a connector: use lower-case letters, digits and hyphens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connectors:
    """The connectors that are at work, by their names."""

    events: Mapping[str, EventSource]
    sinks: Mapping[str, Sink]


SOURCES: tuple[Connector[EventSource], ...] = (Connector(name="nats", open=lambda given: nullcontext(given.bus.events)),)

SINKS: tuple[Connector[Sink], ...] = (
    Connector(name="cdevents", open=lambda given: nullcontext(Sink(to=given.bus.cdevents, pauses_seconds=_BROKER_PAUSES_SECONDS))),
)


@asynccontextmanager
async def open_connectors(given: ConnectorContext) -> AsyncIterator[Connectors]:
    """Open every source and every sink, in the order of their rows.

    Raises:
        ConfigError: a package brings one that cannot be used, or a setting of one cannot be honoured.
        VerdictdError: one cannot be opened.
    """
    sources = with_installed(SOURCES, group=SOURCES_GROUP, row=Connector, what="a source called")
    sinks = with_installed(SINKS, group=SINKS_GROUP, row=Connector, what="a sink called")
    async with AsyncExitStack() as stack:
        events = {name: await stack.enter_async_context(row.open(given)) for name, row in sources.items()}
        told = {name: await stack.enter_async_context(row.open(given)) for name, row in sinks.items()}
        yield Connectors(
            events={name: one for name, one in events.items() if one is not None},
            sinks={name: one for name, one in told.items() if one is not None},
        )
