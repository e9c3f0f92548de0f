"""Words that are carried to another replica: for how long."""

import pytest

from daemon.engine.carrying import Carrying, Word
from daemon.errors import Unavailable
from daemon.interventions import Command
from tests.hand.clock import HandClock
from tests.hand.replicas import HandCarrier


@pytest.mark.parametrize("lease_seconds", [3.0, 60.0])
async def test_whoever_does_not_answer_is_asked_until_another_has_surely_taken_its_place(lease_seconds: float) -> None:
    clock, carrier = HandClock(), HandCarrier({})
    began = clock.monotonic()

    async def where() -> str:
        return "b"

    carrying = Carrying(carrier, lease_seconds=lease_seconds, clock=clock)
    with pytest.raises(Unavailable, match="does not answer"):
        await carrying.carry(Word(release_id="web-1", command=Command(command="cancel")), where=where)
    assert lease_seconds < clock.monotonic() - began <= 2 * lease_seconds + 5
    assert carrier.asked > 2
