"""A broker and a bus on it."""

from collections.abc import AsyncIterator

import pytest

from daemon.bus import upkeep
from daemon.bus.opening import Bus, open_bus
from tests.hand.broker import Broker, nats_server

__all__ = ["bus", "nats_server"]


@pytest.fixture
def unkept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that a test deletes stays away. To be named before the bus."""
    monkeypatch.setattr(upkeep, "LOOK_SECONDS", 3_600.0)


@pytest.fixture
async def bus(nats_server: Broker) -> AsyncIterator[Bus]:
    """The bus of the cluster ``prod``."""
    async with open_bus(nats_server.settings, cluster="prod") as opened:
        yield opened
