"""Where questions are kept."""

import asyncio

import pytest

from daemon.errors import Unavailable
from daemon.ports.durable import Kept
from daemon.questions import Questions
from tests.hand.ports import MemoryStore
from tests.http.test_questions import question


async def test_a_question_that_is_asked_again_is_open_since_it_was_asked_first() -> None:
    store = MemoryStore()
    await Questions(store).ask(question("web", since=1.0))
    await Questions(store).ask(question("web", since=9.0))
    assert await Questions(store).open() == [question("web", since=1.0)]


async def test_what_cannot_be_read_is_said_and_the_others_are_open(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    await Questions(store).ask(question("web"))
    await store.put("broken", b"{}")
    assert await Questions(store).open() == [question("web")]
    assert "a question that was kept cannot be read" in caplog.text


async def test_a_store_that_is_away_is_raised() -> None:
    store = MemoryStore()
    store.failing = Unavailable("away")
    for asked in (Questions(store).ask(question("web")), Questions(store).close(["web"]), Questions(store).open()):
        with pytest.raises(Unavailable):
            await asked


async def test_who_asks_at_the_same_time_shares_one_reading() -> None:
    store, reads = MemoryStore(), 0
    items = store.items

    async def counted() -> list[tuple[str, Kept]]:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        return await items()

    store.items = counted  # type: ignore[method-assign]  # to be counted
    questions = Questions(store)
    await questions.ask(question("web"))
    assert await asyncio.gather(*(questions.open() for _ in range(50))) == [[question("web")]] * 50
    assert reads <= 2
