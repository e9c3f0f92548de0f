"""Owner first, then the route: how an owner's answers count, on a clock that nobody waits for."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from config.settings import Limits
from daemon.engine import fanout, handover, reverting
from daemon.engine.dependencies import MeshCluster
from daemon.engine.guarding import Guarding
from daemon.engine.reasserting import GUARD_ENDED, PUT_BACK
from daemon.engine.reverting import Reverting, RevertOutcome
from daemon.errors import Blocked, Conflict, Forbidden, Unavailable
from daemon.model import Action, Release
from daemon.placement import ObjectName, Placement
from daemon.ports.routing import Claim
from tests.engine.test_reverting import LIMITS, RELEASE
from tests.hand.clock import HandClock
from tests.hand.ports import HandRouter
from tests.hand.routers import FakeRouter, names_of

MINE = Claim(object=ObjectName(kind="Canary", namespace="shop", name="web"))
LAZY = Claim(object=MINE.object, puts_back=False)


@dataclass
class HandOwner:
    """Answers from lists; the last answer is repeated. ``calls`` are the router's too, for their order."""

    router: FakeRouter
    answers: Sequence[Claim | BaseException | None] = (MINE,)
    aborts: Sequence[str | BaseException] = ("aborted",)
    name: str = "flagger"
    asked: list[str] = field(default_factory=list)
    hang: bool = False

    async def claims(self, release: Release) -> Claim | None:
        self.asked.append("claims")
        if self.hang:
            await asyncio.Event().wait()
        answer = self.answers[min(self.asked.count("claims"), len(self.answers)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def abort(self, release: Release, claim: Claim) -> str:
        assert claim in self.answers
        self.asked.append("abort")
        self.router.calls.append("abort")
        answer = self.aborts[min(self.asked.count("abort"), len(self.aborts)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        return answer


def procedure(clock: HandClock, *, limits: Limits = LIMITS) -> Reverting:
    return Reverting(
        clock=clock, limits=limits, random=lambda: 0.5, baseline_seconds=40.0, owner_seconds=0.01, owner_told_seconds=0.01
    )


async def run(router: FakeRouter, *owned: HandOwner) -> RevertOutcome:
    return await procedure(router.clock).run(router, RELEASE, owners=owned)


@pytest.fixture
def router(clock: HandClock) -> FakeRouter:
    return FakeRouter(clock)


async def test_who_claims_the_routes_is_told_before_they_are_patched(router: FakeRouter) -> None:
    outcome = await run(router, HandOwner(router))
    assert outcome.action is Action.REVERT
    assert router.calls == ["baseline", "abort", "patch", "look"]
    assert names_of(outcome.steps)[:3] == [reverting.BASELINE_CHECKED, handover.OWNER_TOLD, reverting.PATCH_SENT]
    assert "flagger (shop/web) was told to give the canary up" in outcome.reason


async def test_where_nobody_would_serve_no_owner_is_told_anything(clock: HandClock) -> None:
    router = FakeRouter(clock, baseline=Blocked("nobody"))
    owner = HandOwner(router)
    assert (await run(router, owner)).action is Action.BLOCKED
    assert "abort" not in router.calls


async def test_who_claims_nothing_is_told_nothing(router: FakeRouter) -> None:
    outcome = await run(router, HandOwner(router, answers=[None]))
    assert (outcome.action, "flagger" in outcome.reason) == (Action.REVERT, False)
    assert "abort" not in router.calls


async def test_who_has_given_the_canary_up_is_not_told_again(router: FakeRouter) -> None:
    outcome = await run(router, HandOwner(router, answers=[Claim(object=MINE.object, state="aborted")]))
    assert "abort" not in router.calls
    assert "flagger (shop/web) has given the canary up already" in outcome.reason


async def test_an_owner_that_fails_for_the_moment_is_told_again_with_the_back_off_of_a_patch(router: FakeRouter) -> None:
    outcome = await run(router, HandOwner(router, aborts=[Conflict("changed"), Unavailable("away"), "aborted"]))
    assert outcome.action is Action.REVERT
    assert router.calls == ["baseline", "abort", "abort", "abort", "patch", "look"]
    assert router.clock.slept == pytest.approx([0.0, 0.075])


@pytest.mark.parametrize("error", [Unavailable("away"), Forbidden("no"), KeyError("status"), SystemExit(0)])
async def test_one_that_would_undo_a_patch_and_cannot_be_told_keeps_its_routes(router: FakeRouter, error: BaseException) -> None:
    outcome = await run(router, HandOwner(router, aborts=[error]))
    assert outcome.action is Action.FAILED
    assert "patch" not in router.calls
    assert names_of(outcome.steps) == [reverting.BASELINE_CHECKED, handover.OWNER_NOT_TOLD]
    assert "the routes are its own, and it would undo what is written there" in outcome.reason


async def test_one_that_surely_undoes_nothing_and_cannot_be_told_keeps_nothing(router: FakeRouter) -> None:
    outcome = await run(router, HandOwner(router, answers=[LAZY], aborts=[Forbidden("no")]))
    assert outcome.action is Action.REVERT
    assert names_of(outcome.steps)[1:3] == [handover.OWNER_NOT_TOLD, reverting.PATCH_SENT]
    assert "could not be told to give the canary up (no)" in outcome.reason


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Unavailable("away"), "could not be asked (away)"),
        (KeyError("x"), "a defect of owner flagger: KeyError: 'x'"),
        (SystemExit(0), "a defect of owner flagger: RuntimeError: it wanted to end the process, with 0"),
        (asyncio.CancelledError(), "a defect of owner flagger: RuntimeError: it was cancelled, and not by us"),
        (None, "within 0.01 s"),
    ],
)
async def test_an_owner_that_cannot_be_asked_holds_no_patch_up(router: FakeRouter, answer: BaseException | None, said: str) -> None:
    outcome = await run(router, HandOwner(router, answers=[answer], hang=answer is None))
    assert outcome.action is Action.REVERT
    assert "whether flagger owns the routes " in outcome.reason
    assert said in outcome.reason


async def test_several_owners_are_told_each_and_the_one_that_cannot_be_decides(router: FakeRouter) -> None:
    outcome = await run(router, HandOwner(router), HandOwner(router, name="git", aborts=[Forbidden("no")]))
    assert outcome.action is Action.FAILED
    assert names_of(outcome.steps) == [reverting.BASELINE_CHECKED, handover.OWNER_TOLD, handover.OWNER_NOT_TOLD]
    assert "git (shop/web) could not be told" in outcome.reason


async def test_a_revert_that_waits_for_an_owner_is_tried_on_until_it_is_told(router: FakeRouter) -> None:
    owner = HandOwner(router, aborts=[Forbidden("no"), Forbidden("no"), "aborted"])
    steps = await Guarding(reverting=procedure(router.clock)).keep_retrying(router, RELEASE, owners=[owner])
    assert names_of(steps) == [handover.OWNER_TOLD, reverting.PATCH_SENT, reverting.PATCH_ACKNOWLEDGED, reverting.TRAFFIC_LEFT]
    assert router.calls == ["baseline", "abort"] * 3 + ["patch", "look"]


async def test_who_is_found_to_own_the_routes_only_when_they_were_put_back_is_told_then(clock: HandClock) -> None:
    router = FakeRouter(clock, looks=["back at 95/5", None])
    steps = await Guarding(reverting=procedure(clock)).reassert(router, RELEASE, owners=[HandOwner(router)])
    assert names_of(steps) == [handover.OWNER_TOLD, PUT_BACK, GUARD_ENDED]
    assert router.calls[:4] == ["look", "baseline", "abort", "patch"]


class Deaf(HandOwner):
    """Answers whose the routes are, and does not end when it is told to give the canary up."""

    async def abort(self, release: Release, claim: Claim) -> str:
        self.asked.append("abort")
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


async def test_an_owner_that_hangs_when_it_is_told_is_an_owner_that_cannot_be_told(router: FakeRouter) -> None:
    owner = Deaf(router)
    async with asyncio.timeout(40.0):
        outcome = await run(router, owner)
    assert (outcome.action, owner.asked.count("abort")) == (Action.FAILED, LIMITS.revert_attempts)
    assert "flagger did not answer within 0.01 s" in outcome.reason


async def test_one_that_surely_undoes_nothing_holds_no_patch_up_by_hanging(router: FakeRouter) -> None:
    owner = Deaf(router, answers=[LAZY])
    async with asyncio.timeout(40.0):
        outcome = await run(router, owner)
    assert (outcome.action, owner.asked.count("abort")) == (Action.REVERT, 1)


class StandingClock(HandClock):
    """Whoever sleeps sleeps on."""

    async def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        await asyncio.Event().wait()


async def test_one_that_surely_undoes_nothing_holds_no_patch_up_by_being_tried_again() -> None:
    router = FakeRouter(StandingClock())
    async with asyncio.timeout(40.0):
        outcome = await run(router, HandOwner(router, answers=[LAZY], aborts=[Unavailable("away")]))
    assert outcome.action is Action.REVERT
    assert "flagger was not told within 0.01 s" in outcome.reason


SLOW = Claim(object=MINE.object, reacts_within_seconds=65.0)
GIVEN_UP = Claim(object=MINE.object, state="aborted", reacts_within_seconds=65.0)


async def test_a_revert_says_how_long_the_slowest_owner_may_take_to_undo_it(router: FakeRouter) -> None:
    assert (await run(router, HandOwner(router), HandOwner(router, answers=[SLOW], name="git"))).reacts_within_seconds == 65.0
    assert (await run(router, HandOwner(router, answers=[None]))).reacts_within_seconds == 0.0


async def test_the_settings_say_how_long_where_they_say_it(router: FakeRouter) -> None:
    limits = Limits(owner_reaction_seconds=3.0)
    owned = procedure(router.clock, limits=limits)
    assert (await owned.run(router, RELEASE, owners=[HandOwner(router, answers=[SLOW])])).reacts_within_seconds == 3.0
    assert (await owned.run(router, RELEASE, owners=[HandOwner(router, answers=[None])])).reacts_within_seconds == 0.0


@pytest.mark.parametrize(("answer", "seconds"), [(SLOW, 65.0), (GIVEN_UP, 65.0), (MINE, 10.0), (None, 10.0)])
async def test_the_guard_stands_for_as_long_as_an_owner_may_take(clock: HandClock, answer: Claim | None, seconds: float) -> None:
    router = FakeRouter(clock)
    await Guarding(reverting=procedure(clock)).reassert(router, RELEASE, owners=[HandOwner(router, answers=[answer])])
    assert clock.time == pytest.approx(1_000.0 + seconds)


async def test_an_owner_that_takes_the_canary_up_again_is_told_again_before_it_gives_it_traffic(clock: HandClock) -> None:
    router = FakeRouter(clock)
    owner = HandOwner(router, answers=[GIVEN_UP, GIVEN_UP, SLOW, GIVEN_UP])
    steps = await Guarding(reverting=procedure(clock)).reassert(router, RELEASE, owners=[owner])
    assert names_of(steps) == [handover.OWNER_TOLD, GUARD_ENDED]
    assert router.calls.count("abort") == 1
    assert "patch" not in router.calls


async def test_one_that_has_never_given_the_canary_up_is_told_when_it_gives_it_traffic_and_not_before(clock: HandClock) -> None:
    router = FakeRouter(clock)
    steps = await Guarding(reverting=procedure(clock)).reassert(router, RELEASE, owners=[HandOwner(router, answers=[SLOW])])
    assert (names_of(steps), router.calls.count("abort")) == ([GUARD_ENDED], 0)


async def test_one_that_takes_it_up_again_and_cannot_be_told_is_in_the_last_word(clock: HandClock) -> None:
    router = FakeRouter(clock)
    owner = HandOwner(router, answers=[GIVEN_UP, SLOW], aborts=[Forbidden("no")])
    [end] = await Guarding(reverting=procedure(clock)).reassert(router, RELEASE, owners=[owner])
    assert "looks failed, the last one: flagger (shop/web) could not be told to give the canary up (no)" in end.detail


async def test_a_patch_waits_for_who_would_serve_and_whose_the_routes_are_side_by_side(clock: HandClock) -> None:
    asked = asyncio.Event()

    class Waiting(FakeRouter):
        async def check_baseline(self, release: Release, *, located: str = "") -> str:
            await asked.wait()
            return "2 ready endpoints"

    class Asked(HandOwner):
        async def claims(self, release: Release) -> Claim | None:
            asked.set()
            return MINE

    router = Waiting(clock)
    outcome = await run(router, Asked(router))
    assert "2 ready endpoints" in outcome.reason


@pytest.mark.parametrize(
    ("written", "owner"),
    [
        ("", "flagger (shop/web)"),
        ("Canary web", "flagger (shop/web)"),
        ("Argo CD (Application shop)", "flagger (shop/web), Argo CD (Application shop)"),
    ],
)
async def test_beside_a_route_stand_those_that_claim_it_and_who_the_route_itself_says_it_is_of(
    router: FakeRouter, written: str, owner: str
) -> None:
    class Marked(HandRouter):
        async def locate(self, release: Release) -> Placement:
            placement = await super().locate(release)
            return replace(placement, routes=tuple(replace(one, owner=written) for one in placement.routes))

    found = await fanout.locate({"east": MeshCluster(router=Marked(), owners=(HandOwner(router),))}, RELEASE)
    assert [route.owner for route in found.routes] == [owner]


async def test_whose_the_routes_are_stands_among_what_could_not_be_read_where_it_is_not_known(router: FakeRouter) -> None:
    owners = (HandOwner(router, answers=[Forbidden("no")]),)
    found = await fanout.locate({"east": MeshCluster(router=HandRouter(), owners=owners)}, RELEASE)
    assert found.unread == ("whether flagger owns the routes could not be asked (no)",)


async def test_what_an_owner_that_was_told_took_back_by_itself_was_put_back_all_the_same(clock: HandClock) -> None:
    router = FakeRouter(clock, looks=["back at 95/5", None], patches=[False])
    steps = await Guarding(reverting=procedure(clock)).reassert(router, RELEASE, owners=[HandOwner(router)])
    assert names_of(steps) == [handover.OWNER_TOLD, PUT_BACK, GUARD_ENDED]
