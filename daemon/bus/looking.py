"""A look at a broker that changes nothing: whether it lets us in, and how the streams that verdictd stands on are there."""

import asyncio
from collections.abc import Mapping
from typing import Literal

from nats.js.api import StreamConfig, StreamInfo

from config.settings import Keep, Nats
from daemon.bus.address import address_of
from daemon.bus.connection import Connection, connected
from daemon.bus.streams import KEPT_AS_MADE, PLANS, StreamPlan, plans, unlike
from daemon.bus.translating import translated
from daemon.errors import NotFound

StreamState = Literal["missing", "fit", "unlike"]
"""Not there yet, as it must be, or not so: a daemon that starts makes it so, if the broker lets it."""


async def look(settings: Nats, *, name: str, keep: Keep = KEPT_AS_MADE) -> Mapping[str, StreamState]:
    """How each stream is there, by its name. The broker is not one of our own (``embedded``).

    Raises:
        InvalidInput: a setting cannot be honoured.
        Forbidden: NATS does not let us in.
        Unavailable, TimedOut: nobody answers, or there is no JetStream.
    """
    address = await asyncio.to_thread(address_of, settings)
    async with connected(address, name=name, connect_timeout_seconds=settings.connect_timeout_seconds) as connection:
        found: dict[str, StreamState] = {}
        for plan in plans(keep):
            info = await _info(connection, plan)
            if info is None:
                found[plan.name] = "missing"
            else:
                found[plan.name] = "unlike" if unlike(info.config, plan, replicas=settings.replicas) else "fit"
        return found


async def as_they_are(connection: Connection) -> Mapping[str, StreamConfig | None]:
    """Each stream by its name; null where it is not there. Raises ``Unavailable`` and ``TimedOut`` when that cannot be told."""
    infos = {plan.name: await _info(connection, plan) for plan in PLANS}
    return {name: None if info is None else info.config for name, info in infos.items()}


async def _info(connection: Connection, plan: StreamPlan) -> StreamInfo | None:
    """The stream as it is; null where it is not there."""
    try:
        with translated(f"looking at the stream {plan.name}"):
            return await connection.jetstream.stream_info(plan.name)
    except NotFound:
        return None
