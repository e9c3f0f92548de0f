"""A sender repeats, reorders and floods, and others sign wrongly among it: what was answered well is kept, once, and no more.

A minute of 10 000 hooks is sent as a tenth of it, as fast as the server takes it, which is faster than that minute.
"""

import asyncio
import random
from collections import Counter

import pytest

from daemon.errors import Unavailable
from daemon.http.hooks.configured import AT_A_TIME
from daemon.ports.events import IncomingEvent
from tests.hand.api import Engine, serving
from tests.http.hooks.test_hooks import SECRET, WriteHook, github_body, hook, send, signed

__all__ = ["hook"]

pytestmark = pytest.mark.broad

ATTEMPTS = 250
TIMES = 4
SENDERS = 2 * AT_A_TIME
WRONG = "another secret of somebody"


class Stumbling(Engine):
    """Cannot keep every seventh event that is brought; counts how many are being kept at once."""

    brought = 0
    at_once = 0
    most_at_once = 0

    async def keep(self, event: IncomingEvent) -> bool:
        self.brought += 1
        if self.brought % 7 == 0:
            raise Unavailable("the broker is away")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            return await super().keep(event)
        finally:
            self.at_once -= 1


def deliveries() -> list[tuple[int, str]]:
    """Each attempt several times, and once signed wrongly, in an order that nobody has chosen."""
    every = [(number, secret) for number in range(ATTEMPTS) for secret in (*[SECRET] * TIMES, WRONG)]
    random.Random(7).shuffle(every)  # noqa: S311 - an order, not a secret
    return every


async def test_of_repeated_reordered_and_wrongly_signed_deliveries_what_was_answered_well_is_kept_once(hook: WriteHook) -> None:
    engine, left = Stumbling(), deliveries()
    answered: dict[int, Counter[int]] = {number: Counter() for number in range(ATTEMPTS)}
    refused: Counter[int] = Counter()

    async with serving(engine, hooks={"gh": hook("github", SECRET)}) as api:

        async def sender() -> None:
            while left:
                number, secret = left.pop()
                body = github_body(number, service=f"s{number}")
                headers = {"X-GitHub-Event": "deployment", "X-GitHub-Delivery": str(number), **signed(body, secret)}
                status, _ = await send(api, "gh", body, headers)
                (answered[number] if secret == SECRET else refused)[status] += 1

        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(sender())

    kept = Counter(event.release.service for event in engine.events.values())
    assert set(kept.values()) == {1}
    assert refused == {401: ATTEMPTS}
    assert engine.letters == []
    assert set().union(*answered.values()) <= {200, 202, 503}
    well = {f"s{number}": statuses for number, statuses in answered.items() if statuses[202] or statuses[200]}
    assert kept.keys() == well.keys()
    assert {statuses[202] for statuses in well.values()} == {1}, "new to us once, however often it comes"
    assert sum(statuses[503] for statuses in answered.values()) > 0
    assert engine.most_at_once <= AT_A_TIME
