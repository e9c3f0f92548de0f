"""Announcements of one canary in the engine: one release, kept before anybody is answered, and known by every id over restarts."""

import asyncio

import msgspec
import pytest

from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.errors import InvalidInput, NotFound, Unavailable
from daemon.interventions import Command
from daemon.model import ArmSpec, Outcome, Release, Stage
from daemon.placement import Placement
from tests.hand.ports import HandAnnouncement, HandRouter, Scene, killed, route, running, until
from tests.hand.samples import ID, POLICY, RELEASE, gap

IN_OTHER_WORDS = msgspec.structs.replace(RELEASE, baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))


class StandingClock:
    """The watch goes on for as long as the test does."""

    time = 1_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, _seconds: float, /) -> None:
        await asyncio.sleep(0.002)


def watching() -> Scene:
    """A world in which nothing is decided until somebody does."""
    scene = Scene()
    scene.clock = StandingClock()  # type: ignore[assignment]  # a clock too
    scene.telemetry.readings = [gap()]
    return scene


async def test_another_sender_s_id_is_the_release_s_own_to_every_question_and_over_a_kill() -> None:
    scene = watching()
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID, sender="watch")
        joined = await engine.submit(msgspec.structs.replace(RELEASE, artifact="web:v2"), release_id="web-2", sender="gate flagger")
        assert (joined.id, joined.release.artifact) == (ID, "web:v2")
        assert [view.id for view in engine.views()] == [ID]
    async with running(scene) as engine:
        assert (await engine.view("web-2")).release.artifact == "web:v2"
        assert (await engine.submit(RELEASE, release_id="web-2", sender="gate flagger")).id == ID
        newer = await engine.submit(RELEASE, release_id="web-3", sender="gate flagger")
        assert newer.id == "web-3", "who has announced it is known over the restart too"
        await until(lambda: scene.records.data.keys() == {ID})
        assert (await engine.wait("web-2", seconds=0)) == (await engine.wait(ID, seconds=0))
        await engine.command("web-3", Command(command="promote", by="anna"))
        await until(lambda: "web-3" in scene.records.data)
    async with running(scene) as engine:
        record = await engine.record("web-2")
        assert record is not None
        assert record.verdict.by == "superseded"
        assert [mark.detail for mark in record.marks if mark.step in {"submitted", "joined"}] == ["watch", "web-2 by gate flagger"]
        with pytest.raises(NotFound):
            await engine.view("web-4")


async def test_what_joins_while_the_canary_is_looked_for_is_not_lost() -> None:
    scene, found = watching(), asyncio.Event()

    class SlowRouter(HandRouter):
        async def locate(self, release: Release) -> Placement:
            await found.wait()
            return await super().locate(release)

    scene.router = SlowRouter()
    async with killed(scene) as engine:
        await engine.submit(RELEASE, release_id=ID, sender="watch")
        await engine.submit(msgspec.structs.replace(RELEASE, artifact="web:v2"), release_id="web-2", sender="gate flagger")
        found.set()
        await until(lambda: engine.views()[0].stage is Stage.WATCHING)
        assert (await engine.view(ID)).release.artifact == "web:v2"


async def test_two_that_announce_one_canary_at_once_have_one_release() -> None:
    scene = watching()
    async with running(scene) as engine:
        scene.sessions.open.clear()
        asked = [
            asyncio.create_task(engine.submit(RELEASE, release_id=f"web-{number}", sender=f"gate {number}")) for number in range(8)
        ]
        await asyncio.sleep(0.01)
        scene.sessions.open.set()
        ids = {(await one).id for one in asked}
    assert len(ids) == 1
    assert len(scene.aliases.data) == 7


async def test_what_joins_is_answered_when_it_is_kept_and_not_before() -> None:
    scene = watching()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID, sender="watch")
        scene.aliases.failing = Unavailable("away")
        with pytest.raises(Unavailable):
            await engine.submit(RELEASE, release_id="web-2", sender="api")
        scene.aliases.failing = None
        assert (await engine.submit(RELEASE, release_id="web-2", sender="api")).id == ID
        await engine.command(ID, Command(command="cancel", by="anna"))
        await until(lambda: ID in scene.records.data)
        record = await engine.record("web-2")
    assert record is not None
    assert [mark.detail for mark in record.marks if mark.step == "joined"] == ["web-2 by api"], "once, however often it is tried"


async def test_a_policy_that_is_said_later_is_taken_checked_first_and_a_second_one_is_refused() -> None:
    scene = watching()
    scene.policies |= {"strict": msgspec.structs.replace(POLICY, alpha=0.001), "lax": POLICY}
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID, sender="watch")
        await until(lambda: engine.views()[0].stage is Stage.WATCHING)
        with pytest.raises(InvalidInput, match="no policy 'nobodys'"):
            await engine.submit(msgspec.structs.replace(RELEASE, policy="nobodys"), release_id="web-2", sender="api")
        taken = await engine.submit(msgspec.structs.replace(RELEASE, policy="strict"), release_id="web-2", sender="api")
        assert taken.release.policy == "strict"
        assert taken.boundary == pytest.approx(1_000.0)
        with pytest.raises(InvalidInput, match="'lax' is not 'strict'"):
            await engine.submit(msgspec.structs.replace(RELEASE, policy="lax"), release_id="web-3", sender="event /ci")
        await until(lambda: engine.views()[0].ticks > 3)
        assert [view.id for view in engine.views()] == [ID]


@pytest.mark.parametrize("first", ["a route", "pods"])
async def test_a_release_by_a_route_and_one_by_pods_of_one_service_do_not_end_each_other(first: str) -> None:
    by_pods = msgspec.structs.replace(
        IN_OTHER_WORDS,
        strategy="pods",
        weight=None,
        observe=True,
        baseline=ArmSpec(workload="web"),
        canary=ArmSpec(workload="web-canary"),
    )
    scene = watching()
    scene.pods = HandRouter()
    async with killed(scene) as engine:
        for release in (RELEASE, by_pods) if first == "a route" else (by_pods, RELEASE):
            await engine.submit(release, release_id=f"web-{release.strategy}", sender="watch")
        await until(lambda: all(view.ticks > 3 for view in engine.views()))
    async with running(scene) as engine:
        await until(lambda: all(view.ticks > 5 for view in engine.views()))
        assert {view.id: view.stage for view in engine.views()} == {"web-canary": Stage.WATCHING, "web-pods": Stage.WATCHING}
        newer = await engine.submit(by_pods, release_id="web-3", sender="watch")
        assert newer.id == "web-3"
        await until(lambda: scene.records.data.keys() == {"web-pods"})
        assert (await engine.view("web-canary")).stage is Stage.WATCHING


async def test_another_artifact_begins_anew_and_a_late_word_about_what_was_taken_back_is_told_so() -> None:
    scene = watching()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID, sender="watch")
        await engine.command(ID, Command(command="rollback", by="anna"))
        await until(lambda: ID in scene.records.data)
        late = await engine.submit(RELEASE, release_id="web-2", sender="gate flagger")
        assert late.verdict is not None
        assert (late.id, late.verdict.outcome) == (ID, Outcome.ROLLBACK)
        assert (await engine.submit(RELEASE, release_id="web-3", sender="gate flagger")).id == "web-3"
        named = msgspec.structs.replace(RELEASE, artifact="web:v2")
        assert (await engine.submit(named, release_id="web-4", sender="api")).id == "web-3"
        other = msgspec.structs.replace(RELEASE, artifact="web:v3")
        assert (await engine.submit(other, release_id="web-5", sender="event /ci")).id == "web-5"
        verdict = await engine.wait("web-4", seconds=30)
        assert verdict is not None
        assert verdict.by == "superseded"


class RouterOfPods(HandRouter):
    """It knows the pods of an arm, whatever the arm is called."""

    away = False

    async def locate(self, release: Release) -> Placement:
        if self.away:
            raise Unavailable("the API server is away")
        pod = ArmPods(pods=(ArmPod(name="web-v2-0", namespace="shop", address="10.0.0.1", ready=True),))
        pods = PodsByArm(baseline=ArmPods(pods=()), canary=pod)
        return Placement(routes=(route("web"),), canary_percent=10.0, baseline="3 ready", located="v2 is bad", pods=pods)


@pytest.mark.parametrize("away", [False, True])
async def test_arms_in_other_words_are_the_same_where_their_pods_are_and_another_canary_where_that_is_not_known(away: bool) -> None:
    scene = watching()
    router = scene.router = RouterOfPods()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID, sender="watch")
        await until(lambda: engine.views()[0].stage is Stage.WATCHING)
        router.away = away
        assert (await engine.submit(IN_OTHER_WORDS, release_id="web-2", sender="api")).id == ("web-2" if away else ID)
        router.away = False


async def test_no_more_senders_join_a_release_than_are_kept() -> None:
    scene = watching()
    async with running(scene) as engine:
        await engine.submit(RELEASE, release_id=ID, sender="watch")
        for number in range(2, 21):
            assert (await engine.submit(RELEASE, release_id=f"web-{number}", sender=f"event /{number}")).id == ID
        event = HandAnnouncement("web-21", RELEASE)
        scene.events.queue.put_nowait(event)
        await until(lambda: event.answer)
    assert event.answer == f"release {ID} of this canary was announced by 20 senders already"
