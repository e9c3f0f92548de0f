"""One release in several clusters: each is located, taken back and guarded by itself, whatever becomes of the others."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from config.settings import Limits
from daemon.engine import fanout, reasserting, reverting
from daemon.engine.dependencies import MeshCluster
from daemon.engine.fanout import FanOut
from daemon.engine.reverting import Reverting, RevertOutcome
from daemon.engine.takenback import UndoLog
from daemon.errors import Blocked, Forbidden, InvalidInput, NotFound, Unavailable
from daemon.model import Action, Release, TimedStep
from daemon.placement import PatchReceipt, Placement
from tests.hand.clock import HandClock
from tests.hand.ports import HandRouter, route
from tests.hand.routers import FakeRouter
from tests.hand.samples import RELEASE

LIMITS = Limits(revert_attempts=3, confirm_seconds=2.0, guard_seconds=5.0, insist_seconds=60.0)


class Located(HandRouter):
    """A mesh that says where it is."""

    def __init__(self, name: str, *, percent: float = 10.0) -> None:
        super().__init__()
        self.name = name
        self.canary_percent = percent

    async def locate(self, release: Release) -> Placement:
        placement = await super().locate(release)
        return msgspec.structs.replace(
            placement, located=f"the arms in {self.name}", elsewhere=("a mirror",), unread=("the gateways",)
        )


def clusters(**routers: HandRouter | FakeRouter) -> Mapping[str, MeshCluster]:
    return {name: MeshCluster(router=router) for name, router in routers.items()}


def fan_out(clock: HandClock, *, limits: Limits = LIMITS) -> FanOut:
    return FanOut(reverting=Reverting(clock=clock, limits=limits, random=lambda: 0.5))


async def test_the_routes_of_all_clusters_are_located_and_the_weight_is_that_of_the_first() -> None:
    placement = await fanout.locate(clusters(east=Located("east"), west=Located("west", percent=30.0)), RELEASE)
    assert list(map(str, placement.routes)) == [
        "east: route of web: 10 % of the traffic",
        "west: route of web: 30 % of the traffic",
    ]
    assert placement.canary_percent == 10.0
    assert placement.baseline == "east: 3 ready endpoints; west: 3 ready endpoints"
    assert placement.remarks == (
        "may still reach the canary, and is not touched: east: a mirror; west: a mirror",
        "could not be read: east: the gateways; west: the gateways",
    )


async def test_of_one_cluster_nothing_is_said_that_a_router_did_not_say() -> None:
    router = HandRouter()
    assert await fanout.locate(clusters(only=router), RELEASE) == await router.locate(RELEASE)


async def test_a_further_cluster_without_the_canary_stops_no_watch_and_is_told_while_the_first_one_must_have_it() -> None:
    without = Located("without")
    without.missing = NotFound("no route names the canary")
    placement = await fanout.locate(clusters(east=Located("east"), west=without), RELEASE)
    assert [one.cluster for one in placement.routes] == ["east"]
    assert placement.baseline.endswith("west: no route names the canary")
    with pytest.raises(NotFound):
        await fanout.locate(clusters(west=without, east=Located("east")), RELEASE)


async def test_a_further_cluster_that_hangs_holds_a_watch_up_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Located):
        async def locate(self, release: Release) -> Placement:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr(fanout, "FURTHER_SECONDS", 0.01)
    placement = await fanout.locate(clusters(east=Located("east"), west=Hanging("west")), RELEASE)
    assert "west: what is routed to the canary was not known within 0.01 s" in placement.baseline


async def test_every_router_is_told_its_own_words_of_the_arms(clock: HandClock) -> None:
    east, west = Located("east"), Located("west")
    both = clusters(east=east, west=west)
    located = (await fanout.locate(both, RELEASE)).located
    outcome = await fan_out(clock).run(both, RELEASE, located=located)
    assert (outcome.action, east.told, west.told) == (Action.REVERT, {"the arms in east"}, {"the arms in west"})


async def test_a_session_that_was_kept_before_there_were_further_clusters_has_the_first_ones_words(clock: HandClock) -> None:
    east, west = Located("east"), Located("west")
    await fan_out(clock).run(clusters(east=east, west=west), RELEASE, located='{"arms":"v2"}')
    assert (east.told, west.told) == ({'{"arms":"v2"}'}, {""})


def steps(outcome: RevertOutcome, step: str) -> list[str]:
    return [one.detail for one in outcome.steps if one.step == step]


async def test_a_cluster_that_cannot_be_reached_is_retried_alone_while_the_others_stand(clock: HandClock) -> None:
    east, west = FakeRouter(clock), FakeRouter(clock, patches=[Unavailable("away")], looks=["route x: 10 %"])
    outcome = await fan_out(clock).run(clusters(east=east, west=west), RELEASE)
    assert (east.calls.count("patch"), west.calls.count("patch")) == (1, LIMITS.revert_attempts)
    assert outcome.action is Action.FAILED
    assert "east: 2 ready endpoints; web: v2 -> v1; no route in force sends to the canary" in outcome.reason
    assert "west: the traffic could not be taken back (3 tried): away" in outcome.reason
    assert steps(outcome, reverting.PATCH_SENT) == ["east: web: v2 -> v1"]


async def test_a_cluster_that_hangs_holds_up_no_other(clock: HandClock) -> None:
    west = HandRouter()
    asked = asyncio.Event()

    async def hang(release: Release, *, located: str = "") -> str:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    west.check_baseline = hang  # type: ignore[method-assign]  # one method of it hangs
    east = HandRouter()
    procedure = FanOut(reverting=Reverting(clock=clock, limits=LIMITS, random=lambda: 0.5, baseline_seconds=60.0))
    running = asyncio.ensure_future(procedure.run(clusters(west=west, east=east), RELEASE))
    await asked.wait()
    while east.canary_percent > 0:
        await asyncio.sleep(0)
    assert not running.done()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_what_was_taken_back_is_guarded_while_another_cluster_is_still_tried(clock: HandClock) -> None:
    """East's canary is given traffic again while west is away."""
    east = FakeRouter(clock, looks=[None, "back at 95/5", None])
    west = FakeRouter(clock, patches=[*[Unavailable("away")] * 8, True])
    outcome = await fan_out(clock, limits=msgspec.structs.replace(LIMITS, revert_attempts=9)).run(
        clusters(east=east, west=west), RELEASE
    )
    assert outcome.action is Action.REVERT, outcome.reason
    assert steps(outcome, reasserting.PUT_BACK) == ["east: back at 95/5"]
    assert steps(outcome, reasserting.GUARD_ENDED) == []


@pytest.mark.parametrize(
    ("further", "action"),
    [
        ({"baseline": Blocked("no such Service")}, Action.REVERT),
        ({"patches": [NotFound("no such subset")], "looks": [NotFound("no such subset")]}, Action.REVERT),
        ({"baseline": Blocked("nobody is ready"), "looks": ["route x: 10 %"]}, Action.FAILED),
        ({"patches": [Forbidden("not yours")], "looks": [Unavailable("away")]}, Action.FAILED),
    ],
)
async def test_a_further_cluster_where_nothing_is_routed_to_the_canary_is_no_failure(
    clock: HandClock, further: dict[str, object], action: Action
) -> None:
    both = clusters(east=FakeRouter(clock), west=FakeRouter(clock, **further))  # type: ignore[arg-type]  # answers of several kinds
    outcome = await fan_out(clock).run(both, RELEASE)
    assert outcome.action is action, outcome.reason


async def test_where_nobody_would_serve_in_any_cluster_all_of_it_is_blocked(clock: HandClock) -> None:
    both = clusters(
        east=FakeRouter(clock, baseline=Blocked("nobody"), looks=["route x: 10 %"]),
        west=FakeRouter(clock, baseline=Blocked("nobody"), looks=["route x: 10 %"]),
    )
    assert (await fan_out(clock).run(both, RELEASE)).action is Action.BLOCKED


async def test_the_guard_goes_on_with_what_failed_and_keeps_the_rest_at_the_same_time(clock: HandClock) -> None:
    east = FakeRouter(clock, patches=[False, True], looks=[None, "back at 95/5", None])
    west = FakeRouter(clock, patches=[Unavailable("away"), Unavailable("away"), True])
    told = await fan_out(clock).guard(clusters(east=east, west=west), RELEASE, located="", failed=True)
    assert [step.at for step in told] == sorted(step.at for step in told)
    assert [(step.step, step.detail.partition(":")[0]) for step in told if step.step != reasserting.GUARD_ENDED] == [
        (reverting.NOTHING_TO_TAKE_BACK, "east"),
        (reverting.TRAFFIC_LEFT, "east"),
        (reasserting.PUT_BACK, "east"),
        (reverting.PATCH_SENT, "west"),
        (reverting.PATCH_ACKNOWLEDGED, "west"),
        (reverting.TRAFFIC_LEFT, "west"),
    ]


async def test_arms_that_are_no_arms_are_refused_by_the_first_cluster() -> None:
    same = Located("east")
    same.missing = InvalidInput("both are the same")
    with pytest.raises(InvalidInput):
        await fanout.locate(clusters(east=same, west=Located("west")), RELEASE)
    assert str(route("r")) == "r: 10 % of the traffic"


async def test_a_session_that_was_kept_when_there_were_further_clusters_has_the_words_of_those_that_are_left(
    clock: HandClock,
) -> None:
    east, west = Located("east"), Located("west")
    located = (await fanout.locate(clusters(east=east, west=west), RELEASE)).located
    await fan_out(clock).run(clusters(west=west), RELEASE, located=located)
    assert west.told == {"the arms in west"}


class Broken(Located):
    """A router with a defect in each of its methods."""

    async def locate(self, release: Release) -> Placement:
        raise KeyError("spec")

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        raise KeyError("spec")

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        raise KeyError("spec")


async def test_a_defect_in_a_further_cluster_stops_no_watch_and_is_told() -> None:
    placement = await fanout.locate(clusters(east=Located("east"), west=Broken("west")), RELEASE)
    assert [one.cluster for one in placement.routes] == ["east"]
    assert placement.baseline.endswith("west: a defect of the mesh's adapter: KeyError: 'spec'")


@pytest.mark.parametrize("order", [("east", "west"), ("west", "east")])
async def test_a_defect_in_one_cluster_keeps_no_other_from_being_taken_back_and_guarded(
    clock: HandClock, order: tuple[str, ...]
) -> None:
    east = FakeRouter(clock, baseline=Unavailable("away"), patches=[Unavailable("away"), True])
    routers: dict[str, HandRouter | FakeRouter] = {"east": east, "west": Broken("west")}
    both = clusters(**{name: routers[name] for name in order})
    outcome = await fan_out(clock).run(both, RELEASE)
    assert (outcome.action, east.calls.count("patch")) == (Action.FAILED, 2)
    assert "west: the traffic could not be taken back (3 tried): a defect of the mesh's adapter: KeyError: 'spec'" in outcome.reason
    assert steps(outcome, reverting.PATCH_SENT) == ["east: web: v2 -> v1"]
    told = await fan_out(clock).guard(both, RELEASE, located="", failed=True)
    assert sorted(step.detail.partition(":")[0] for step in told if step.step == reasserting.GUARD_ENDED) == ["east", "west"]


async def test_a_revert_that_a_newer_release_has_overtaken_is_not_guarded_while_another_cluster_is_still_tried(
    clock: HandClock,
) -> None:
    """The newer canary may use the same subset."""
    east = FakeRouter(clock, looks=[None, "the newer canary at 95/5"])
    west = FakeRouter(clock, patches=[*[Unavailable("away")] * 8, True])
    limits = msgspec.structs.replace(LIMITS, revert_attempts=9)
    outcome = await fan_out(clock, limits=limits).run(clusters(east=east, west=west), RELEASE, overtaken=lambda: True)
    assert (outcome.action, east.calls.count("patch")) == (Action.REVERT, 1)


async def test_a_revert_that_is_hindered_is_so_in_a_further_cluster_too_though_nothing_is_routed_to_it_there(
    clock: HandClock,
) -> None:
    east, west = FakeRouter(clock), FakeRouter(clock, looks=[None])

    async def frozen() -> str:
        return "frozen by ana"

    outcome = await fan_out(clock).run(clusters(east=east, west=west), RELEASE, undo_log=UndoLog(hindered=frozen))
    assert (outcome.action, outcome.reason) == (Action.NONE, "east: frozen by ana; west: frozen by ana")
    assert (east.calls, west.calls) == ([], [])


async def held(clock: HandClock, **further: Sequence[str | None]) -> RevertOutcome:
    """A revert that was done in two clusters, looked at for as long as an owner takes; ``further``: what is found in one."""
    done = RevertOutcome(action=Action.REVERT, steps=(), attempts=1, reason="done", reacts_within_seconds=2.0)
    both = clusters(**{name: FakeRouter(clock, looks=further.get(name, (None,))) for name in ("east", "west")})
    return await fan_out(clock).hold(both, RELEASE, done, located="")


async def test_a_revert_that_stays_in_all_clusters_says_how_long_that_was_looked_at(clock: HandClock) -> None:
    outcome = await held(clock, west=["back at 95/5", None])
    assert outcome.action is Action.REVERT
    assert outcome.reason.startswith("done; it stayed so for 2 s (")
    assert "west: put back 1 times and taken back each time" in outcome.reason
    assert steps(outcome, reasserting.PUT_BACK) == ["west: back at 95/5"]


async def test_a_revert_that_somebody_undoes_again_and_again_in_one_cluster_is_not_done(clock: HandClock) -> None:
    outcome = await held(clock, west=["back at 95/5"])
    assert outcome.action is Action.FAILED
    assert outcome.reason.startswith("done; but it does not stay so: ")


@pytest.mark.parametrize(
    ("west", "step", "detail"),
    [
        ([Unavailable("away")] * 2 + [True], "reverted_late", "east: "),
        ([Unavailable("away")] * 500, "revert_given_up", "west: away"),
    ],
)
async def test_what_became_of_a_failed_revert_is_told_once_it_is_known_of_all_clusters(
    clock: HandClock, west: list[bool | Exception], step: str, detail: str
) -> None:
    both = clusters(east=FakeRouter(clock, patches=[False]), west=FakeRouter(clock, patches=west))  # type: ignore[arg-type]  # several kinds
    told: list[TimedStep] = []
    await fan_out(clock).guard(both, RELEASE, located="", failed=True, retried=told.append)
    assert [one.step for one in told] == [step]
    assert told[0].detail.startswith(detail)
    assert ("east" in told[0].detail) is (step == "reverted_late")
