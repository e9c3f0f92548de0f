"""Channels, opened: who tells each, the queue of what it is told, and the courier between the two.

Nothing heavy is imported before one is opened: settings are checked by the rows alone.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from config.settings import Settings
from daemon.aio.clock import Clock
from daemon.model import Outline, Release
from daemon.ports.notices import Notice, NoticeMeter, Sequel
from daemon.sinks.channel import ChannelKind, ChannelSettings
from daemon.sinks.channels import CHANNELS

if TYPE_CHECKING:
    from daemon.bus.opening import Bus
    from daemon.engine.dependencies import Sink
    from daemon.sinks.courier import Teller

BROKER_PAUSES_SECONDS: Final = (0.1, 0.2, 0.5, 1.0)
"""What is on the broker is out two seconds after it is back, whatever came before."""


@asynccontextmanager
async def opened(
    kind: ChannelKind | None, *, name: str, own: ChannelSettings, settings: Settings, bus: "Bus", clock: Clock, meter: NoticeMeter
) -> "AsyncIterator[Sink]":
    """A channel of this name: who tells, by its row or by Apprise (null), and the queue before it."""
    from daemon.aio.tasks import background
    from daemon.engine.dependencies import Sink
    from daemon.sinks.courier import Courier
    from daemon.sinks.queueing import QueueingSink

    def wanted(notice: Notice) -> bool:
        return own.wants(notice.release, notice.verdict) and (kind is None or kind.concerns(own, notice))

    def asks(release: Release) -> bool:
        can = kind is None or (kind.asks is not None and kind.asks.place(release))
        return can and own.wants_person(release)

    def follows(sequel: Sequel) -> bool:
        return (kind is None or kind.follows is not None) and own.wants_sequel(sequel)

    def answers(said: Release | Outline) -> bool:
        return kind is not None and kind.answers is not None and kind.answers(said)

    async with _teller(kind, name=name, own=own, settings=settings, clock=clock) as to, bus.notices(name) as queue:
        courier = Courier(
            name,
            queue=queue,
            to=to,
            attempt_seconds=to.attempt_seconds,
            give_up_seconds=own.give_up_seconds,
            clock=clock,
            meter=meter,
        )
        async with background(courier.run(), courier.watch()):
            sink = QueueingSink(queue, wanted=wanted, asks=asks, follows=follows, answers=answers)
            yield Sink(to=sink, pauses_seconds=BROKER_PAUSES_SECONDS)


def opened_teller(settings: Settings, name: str, *, clock: Clock) -> "AbstractAsyncContextManager[Teller]":
    """Who tells over the channel of this name, without a queue: for one try. Raises ``InvalidInput``."""
    own = settings.sinks[name]
    assert isinstance(own, ChannelSettings), f"{name} is no channel"  # whoever asks has looked
    kind = next((one for one in CHANNELS if isinstance(own, one.settings)), None)
    return _teller(kind, name=name, own=own, settings=settings, clock=clock)


def _teller(
    kind: ChannelKind | None, *, name: str, own: Any, settings: Settings, clock: Clock
) -> "AbstractAsyncContextManager[Teller]":
    """Over HTTP by the channel's row; without one by Apprise."""
    public_url = settings.http.public_url or ""
    if kind is None:
        from daemon.sinks.apprise import AppriseTeller

        return AppriseTeller(name=name, settings=own, public_url=public_url)
    from daemon.sinks.httptelling import HttpTeller

    return HttpTeller(kind, name=name, settings=own, public_url=public_url, clock=clock)
