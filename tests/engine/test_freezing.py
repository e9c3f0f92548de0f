"""A freeze: for a while nothing is taken back, in a namespace or in all."""

import asyncio

import pytest

from daemon.aio.tasks import cancel_all
from daemon.engine import freezing
from daemon.engine.freezing import Freezes
from daemon.errors import Conflict, NotFound, Refused, Unavailable
from daemon.interventions import Command, Freeze
from daemon.model import Action, Outcome
from daemon.ports.durable import Kept
from tests.hand.clock import HandClock
from tests.hand.ports import HandTelemetry, MemoryAudit, MemoryMeter, MemoryStore, Scene, running, until, verdict_of
from tests.hand.samples import ID, RELEASE, failing, gap

EVERYWHERE = Freeze(by="ana", reason="migration", since=0.0)


def made(store: MemoryStore, clock: HandClock, *, audit: MemoryAudit | None = None) -> Freezes:
    return Freezes(store, clock, audit=audit or MemoryAudit(), cluster="test", meter=MemoryMeter())


def of(namespace: str | None, *, until: float | None = None) -> Freeze:
    return Freeze(namespace=namespace, by="ana", reason="migration", since=0.0, until=until)


@pytest.mark.parametrize("namespace", [None, RELEASE.namespace])
async def test_a_bad_canary_keeps_its_traffic_and_the_verdict_says_why(namespace: str | None) -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    async with running(scene) as engine:
        await engine.freeze(of(namespace))
        await engine.submit(RELEASE, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action) == (Outcome.ROLLBACK, Action.NONE)
    what = "everything" if namespace is None else f"namespace {namespace}"
    assert verdict.reason.endswith(f"; nothing is taken back, since {what} is frozen by ana: migration")
    assert scene.router.patches == 0


async def test_other_namespaces_are_not_frozen() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    async with running(scene) as engine:
        await engine.freeze(of("another"))
        await engine.submit(RELEASE, release_id=ID)
        assert (await verdict_of(engine)).action is Action.REVERT


async def test_a_persons_own_word_is_carried_out() -> None:
    scene = Scene(telemetry=HandTelemetry([gap()]))
    async with running(scene) as engine:
        await engine.freeze(EVERYWHERE)
        await engine.submit(RELEASE, release_id=ID)
        await engine.command(ID, Command(command="rollback", by="ana"))
        assert (await verdict_of(engine)).action is Action.REVERT


async def test_it_outlives_the_daemon_and_ends_when_it_is_thawed() -> None:
    scene = Scene(telemetry=HandTelemetry([failing()]))
    async with running(scene) as engine:
        await engine.freeze(of(RELEASE.namespace))
    async with running(scene) as engine:
        await until(lambda: engine.ready)
        assert engine.freezes == (of(RELEASE.namespace),)
        assert await engine.thaw(RELEASE.namespace, by="ben", reason="done") == of(RELEASE.namespace)
        await engine.submit(RELEASE, release_id=ID)
        assert (await verdict_of(engine)).action is Action.REVERT
    async with running(scene) as engine:
        await until(lambda: engine.ready)
        assert engine.freezes == ()


async def test_one_ends_by_itself_when_its_time_is_over() -> None:
    clock = HandClock()
    freezes = made(MemoryStore(), clock)
    await freezes.freeze(of("shop", until=clock.now() + 60.0))
    assert freezes.over("shop") is not None
    clock.time += 60.0
    assert freezes.over("shop") is None
    assert freezes.current == ()


async def test_a_namespaces_own_is_named_before_the_one_of_all_and_a_second_one_takes_its_place() -> None:
    freezes = made(MemoryStore(), HandClock())
    for freeze in (EVERYWHERE, of("shop"), of("shop", until=1e12)):
        await freezes.freeze(freeze)
    assert freezes.over("shop") == of("shop", until=1e12)
    assert freezes.over("web") == EVERYWHERE
    assert len(freezes.current) == 2


async def test_what_is_not_frozen_by_itself_cannot_be_thawed_and_what_is_frozen_is_named() -> None:
    freezes = made(MemoryStore(), HandClock())
    await freezes.freeze(EVERYWHERE)
    with pytest.raises(NotFound, match="namespace shop: not frozen by a freeze of its own; frozen: everything"):
        await freezes.thaw("shop", by="ana", reason="")


async def test_two_daemons_of_a_cluster_do_not_overwrite_each_others() -> None:
    store, clock = MemoryStore(), HandClock()
    one, other = made(store, clock), made(store, clock)
    await one.freeze(of("shop"))
    await other.freeze(of("web"))
    await one.thaw("shop", by="ana", reason="")
    assert one.current == (of("web"),)


async def test_a_write_that_came_between_is_read_again_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    store, between = MemoryStore(), [1]
    freezes, other = made(store, HandClock()), made(store, HandClock())
    put = store.put

    async def slow(key: str, value: bytes, *, over: int | None = None) -> int:
        if between:
            between.pop()
            store.put = put  # type: ignore[method-assign]
            await other.freeze(of(f"web-{len(between)}"))
            store.put = slow  # type: ignore[method-assign]
        return await put(key, value, over=over)

    store.put = slow  # type: ignore[method-assign]
    await freezes.freeze(of("shop"))
    assert {freeze.namespace for freeze in freezes.current} == {"shop", "web-0"}
    between += range(100)
    with pytest.raises(Conflict, match="do it again"):
        await freezes.freeze(of("late"))


async def test_what_cannot_be_read_is_no_freeze_and_is_said(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    await store.put("all", b"{}")
    freezes = made(store, HandClock())
    await freezes.load()
    assert not freezes.current
    assert "what is frozen cannot be read" in caplog.text
    await freezes.freeze(EVERYWHERE)
    assert list(freezes.current) == [EVERYWHERE]


async def test_how_many_there_are_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freezing, "MOST", 2)
    freezes = made(MemoryStore(), HandClock())
    for namespace in ("a", "b", "b"):
        await freezes.freeze(of(namespace))
    with pytest.raises(Refused, match="2 namespaces are frozen already"):
        await freezes.freeze(of("c"))


async def test_what_was_read_before_another_freeze_was_written_is_not_what_is_known_after_it() -> None:
    store = _SlowToAnswer()
    freezes = made(store, HandClock())
    late = asyncio.create_task(freezes.freeze(of("late")))
    await store.asked.wait()
    first = asyncio.create_task(freezes.freeze(of("first")))
    for _ in range(10):  # as far as it gets while the other one's answer is on its way
        await asyncio.sleep(0)
    is_in_force = first.done()
    store.answers.set()
    store.failing = Unavailable("gone")
    await asyncio.gather(late, first, return_exceptions=True)
    assert freezes.over("first") is not None or not is_in_force


class _SlowToAnswer(MemoryStore):
    """Its first answer is on its way for long."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.answers = asyncio.Event()

    async def get(self, key: str) -> Kept | None:
        found = await super().get(key)
        if not self.asked.is_set():
            self.asked.set()
            await self.answers.wait()
        return found


async def test_a_change_is_kept_with_its_account_which_is_told_once_whoever_dies_in_between() -> None:
    store, clock, audit = MemoryStore(), HandClock(1_000.0), MemoryAudit()
    first = made(store, clock, audit=audit)
    await first.freeze(of("shop"))
    await first.thaw("shop", by="ben", reason="done")
    assert audit.entries == {}  # and it dies
    audit.error = Unavailable("no broker")
    second = made(store, clock, audit=audit)
    await second.load()
    task = asyncio.create_task(second.account())
    await until(lambda: audit.attempts > 0)
    audit.error = None
    await until(lambda: len(audit.entries) == 2)
    await until(lambda: b'untold":[]' in store.data["all"])
    await cancel_all([task])
    assert [(one.what, one.by, one.namespace) for one in audit.entries.values()] == [
        ("freeze", "ana", "shop"),
        ("thaw", "ben", "shop"),
    ]
    attempts = audit.attempts
    third = made(store, clock, audit=audit)
    await third.load()
    assert audit.attempts == attempts
