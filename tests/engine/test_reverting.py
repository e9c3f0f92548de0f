"""The revert procedure against a router that answers what it is told, on a clock that nobody waits for."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Limits
from daemon.engine import reverting
from daemon.engine.reverting import Reverting, RevertOutcome
from daemon.errors import (
    Blocked,
    Conflict,
    Forbidden,
    NotFound,
    Refused,
    Throttled,
    TimedOut,
    Unauthenticated,
    Unavailable,
    VerdictdError,
)
from daemon.model import Action, ArmSpec, Release, TimedStep
from daemon.placement import PatchReceipt, Undo
from tests.hand.clock import HandClock
from tests.hand.routers import FakeRouter, names_of, partly, written

RELEASE = Release(service="web", baseline=ArmSpec(service="v1"), canary=ArmSpec(service="v2"))
LIMITS = Limits(revert_attempts=4, confirm_seconds=2.0, guard_seconds=10.0)


async def run(router: FakeRouter, *, limits: Limits = LIMITS, baseline_seconds: float = 1.0) -> RevertOutcome:
    procedure = Reverting(clock=router.clock, limits=limits, random=lambda: 0.5, baseline_seconds=baseline_seconds)
    return await procedure.run(router, RELEASE)


async def test_a_revert_asks_for_the_baseline_then_patches_then_sees_the_traffic_leave(clock: HandClock) -> None:
    router = FakeRouter(clock)
    outcome = await run(router)
    assert outcome.action is Action.REVERT
    assert outcome.attempts == 1
    assert router.calls == ["baseline", "patch", "look"]
    assert names_of(outcome.steps) == [
        reverting.BASELINE_CHECKED,
        reverting.PATCH_SENT,
        reverting.PATCH_ACKNOWLEDGED,
        reverting.TRAFFIC_LEFT,
    ]
    assert clock.slept == []


async def test_nobody_behind_the_baseline_blocks_the_revert(clock: HandClock) -> None:
    router = FakeRouter(clock, baseline=Blocked("no ready endpoints"))
    outcome = await run(router)
    assert outcome.action is Action.BLOCKED
    assert names_of(outcome.steps) == [reverting.BASELINE_CHECKED]
    assert outcome.attempts == 0
    assert "patch" not in router.calls
    assert "no ready endpoints" in outcome.reason


@pytest.mark.parametrize(
    ("baseline", "said"),
    [
        ("not known: of a ServiceEntry", "ServiceEntry"),
        (Unavailable("admin is away"), "admin is away"),
        (Forbidden("endpointslices"), "endpointslices"),
        ("3 ready endpoints", "3 ready"),
    ],
)
async def test_an_unknown_baseline_does_not_hold_the_patch_up_and_is_said(
    clock: HandClock, baseline: str | VerdictdError, said: str
) -> None:
    outcome = await run(FakeRouter(clock, baseline=baseline))
    assert outcome.action is Action.REVERT
    assert said in outcome.steps[0].detail
    assert said in outcome.reason


async def test_a_baseline_check_that_breaks_is_said_and_the_traffic_taken_back(clock: HandClock) -> None:
    router = FakeRouter(clock, baseline=KeyError("metadata"))
    outcome = await run(router)
    assert (outcome.action, router.calls[:2]) == (Action.REVERT, ["baseline", "patch"])
    assert "through a defect of verdictd (KeyError)" in outcome.reason


async def test_a_baseline_check_that_hangs_is_given_up_and_the_traffic_taken_back(clock: HandClock) -> None:
    router = FakeRouter(clock, hang=True)
    outcome = await run(router, baseline_seconds=0.01)
    assert outcome.action is Action.REVERT
    assert "not known within 0.01 s" in outcome.reason


async def test_a_conflict_is_tried_again_at_once(clock: HandClock) -> None:
    outcome = await run(FakeRouter(clock, patches=[Conflict("changed"), Conflict("changed"), True]))
    assert outcome.action is Action.REVERT
    assert outcome.attempts == 3
    assert clock.slept == [0.0, 0.0]


async def test_conflicts_without_end_are_slowed_down_and_bounded(clock: HandClock) -> None:
    outcome = await run(FakeRouter(clock, patches=[Conflict("changed")]), limits=Limits(revert_attempts=6))
    assert outcome.action is Action.FAILED
    assert outcome.attempts == 6
    assert clock.slept[:3] == [0.0, 0.0, 0.0]
    assert all(pause > 0 for pause in clock.slept[3:])
    assert "changed" in outcome.reason


@pytest.mark.parametrize(
    ("patches", "told"),
    [
        ([Unavailable("503"), TimedOut("slow"), True], ["503"]),
        ([Conflict("changed"), Conflict("changed"), True], []),
        ([Conflict("changed")] * 4, ["changed"]),
        ([Conflict("changed"), TimedOut("slow"), True], ["slow"]),
        ([True], []),
    ],
)
async def test_a_revert_that_does_not_get_through_is_said_at_once_and_not_at_its_end(
    clock: HandClock, caplog: pytest.LogCaptureFixture, patches: list[bool | VerdictdError], told: list[str]
) -> None:
    await run(FakeRouter(clock, patches=patches))
    said = [one for one in caplog.records if one.message == "the revert does not get through, it is tried again"]
    assert [vars(one)["reason"] for one in said] == told


@pytest.mark.parametrize(("asked", "waited"), [(0.3, 0.3), (3600.0, 5.0), (-1.0, 0.0)])
async def test_a_throttling_server_is_given_the_time_it_asks_for_within_bounds(
    clock: HandClock, asked: float, waited: float
) -> None:
    outcome = await run(FakeRouter(clock, patches=[Throttled("slow", retry_after_seconds=asked), True]))
    assert outcome.action is Action.REVERT
    assert clock.slept == [waited]


async def test_transient_errors_back_off_growing(clock: HandClock) -> None:
    outcome = await run(FakeRouter(clock, patches=[Unavailable("500"), TimedOut("slow"), Unavailable("500"), True]))
    assert outcome.action is Action.REVERT
    assert clock.slept == pytest.approx([0.0375, 0.075, 0.15])


async def test_who_is_not_known_tries_again_since_credentials_are_renewed_and_is_forbidden_in_the_end(clock: HandClock) -> None:
    unknown = Unauthenticated("401")
    limits = msgspec.structs.replace(LIMITS, revert_attempts=10)
    assert (await run(FakeRouter(clock, patches=[*[unknown] * 9, True]), limits=limits)).action is Action.REVERT
    assert sum(clock.slept) > 5.0, "a token is written a little late"
    outcome = await run(FakeRouter(clock, patches=[unknown]), limits=limits)
    assert (outcome.action, outcome.attempts, outcome.is_forbidden) == (Action.FAILED, 10, True)


@pytest.mark.parametrize("error", [Forbidden("no"), NotFound("gone"), Refused("422")])
async def test_what_cannot_succeed_is_not_tried_again(clock: HandClock, error: VerdictdError) -> None:
    router = FakeRouter(clock, patches=[error])
    outcome = await run(router)
    assert outcome.action is Action.FAILED
    assert outcome.attempts == 1
    assert str(error) in outcome.reason


async def test_a_router_that_refuses_to_do_harm_blocks(clock: HandClock) -> None:
    outcome = await run(FakeRouter(clock, patches=[Blocked("unknown cluster")]))
    assert outcome.action is Action.BLOCKED
    assert "unknown cluster" in outcome.reason


async def test_an_object_that_could_not_be_written_is_tried_again_and_all_that_was_written_is_told(clock: HandClock) -> None:
    patches: list[bool | VerdictdError | PatchReceipt] = [
        partly(clock, "one", two=Unavailable("500")),
        partly(clock, "three", two=Conflict("changed")),
        True,
    ]
    outcome = await run(FakeRouter(clock, patches=patches))
    assert (outcome.action, outcome.attempts) == (Action.REVERT, 3)
    [sent] = [step for step in outcome.steps if step.step == reverting.PATCH_SENT]
    assert sent.detail == "one: v2 -> v1; three: v2 -> v1; web: v2 -> v1"


async def test_objects_of_one_name_in_two_groups_are_both_told(clock: HandClock) -> None:
    """As HTTPRoutes are, which are the Gateway API's and Linkerd's."""
    one = written(clock, "web")
    undos = [Undo(object=one.object, values=(), resource=f"httproutes.{group}") for group in ("gateway.example", "policy.example")]
    both = PatchReceipt(parts=tuple(msgspec.structs.replace(one, undo=undo) for undo in undos), sent_at=1.0, acknowledged_at=1.0)
    outcome = await run(FakeRouter(clock, patches=[both]))
    [sent] = [step for step in outcome.steps if step.step == reverting.PATCH_SENT]
    assert sent.detail == "web: v2 -> v1; web: v2 -> v1"


async def test_what_was_written_stands_and_is_told_where_another_object_is_sure_to_fail(clock: HandClock) -> None:
    router = FakeRouter(clock, patches=[partly(clock, "one", two=Conflict("changed"), three=Forbidden("no")), Forbidden("no")])
    outcome = await run(router)
    assert (outcome.action, outcome.attempts) == (Action.FAILED, 2), "the conflict is tried again, whatever the other one is"
    assert outcome.reason == "the traffic could not be taken back (2 tried): no; it was elsewhere: one: v2 -> v1"
    assert names_of(outcome.steps) == [reverting.BASELINE_CHECKED, reverting.PATCH_SENT, reverting.PATCH_ACKNOWLEDGED]


async def test_an_object_that_may_do_harm_does_not_block_what_was_written_elsewhere(clock: HandClock) -> None:
    outcome = await run(FakeRouter(clock, patches=[partly(clock, "one", two=Blocked("unknown cluster"))]))
    assert outcome.action is Action.FAILED, "somebody must go on with it"


async def test_nothing_left_to_take_back_is_a_revert_that_says_so(clock: HandClock) -> None:
    outcome = await run(FakeRouter(clock, patches=[False]))
    assert outcome.action is Action.REVERT
    assert reverting.NOTHING_TO_TAKE_BACK in names_of(outcome.steps)
    assert reverting.PATCH_SENT not in names_of(outcome.steps)


async def test_what_is_not_touched_and_what_could_not_be_read_is_said_to_the_last_word(clock: HandClock) -> None:
    receipt = PatchReceipt(
        parts=(written(clock, "web"),), sent_at=1.0, acknowledged_at=2.0, elsewhere=("shop/other",), unread=("parts/cart: 403",)
    )
    outcome = await run(FakeRouter(clock, patches=[receipt]))
    remarks = ("may still reach the canary, and is not touched: shop/other", "could not be read: parts/cart: 403")
    assert (outcome.action, outcome.remarks) == (Action.REVERT, remarks)
    assert outcome.reason.endswith(f"; no route that could be read sends to the canary; {'; '.join(remarks)}")
    assert outcome.steps[-1] == TimedStep(step=reverting.TRAFFIC_LEFT, at=clock.time, detail="; ".join(remarks))


async def test_what_a_second_try_could_not_read_is_said_with_what_the_first_one_wrote(clock: HandClock) -> None:
    first = partly(clock, "web", api=Unavailable("500"))
    second = PatchReceipt(nothing="nothing is left", sent_at=1.0, acknowledged_at=2.0, unread=("parts/cart: 403",))
    outcome = await run(FakeRouter(clock, patches=[first, second]))
    assert outcome.remarks == ("could not be read: parts/cart: 403",)
    assert "web: v2 -> v1; no route that could be read" in outcome.reason


async def test_weights_put_back_before_we_looked_are_taken_back_again(clock: HandClock) -> None:
    outcome = await run(FakeRouter(clock, patches=[True, True, False], looks=["route x: 10 %", None]))
    assert outcome.action is Action.REVERT
    assert names_of(outcome.steps).count(reverting.PATCH_SENT) == 2
    assert outcome.attempts == 1


async def test_traffic_that_does_not_leave_in_time_is_a_failed_revert(clock: HandClock) -> None:
    outcome = await run(FakeRouter(clock, patches=[True, False, Conflict("x")], looks=["route x: 10 %"]))
    assert outcome.action is Action.FAILED
    assert "route x: 10 %" in outcome.reason
    assert clock.time == pytest.approx(1_000.0 + LIMITS.confirm_seconds)


async def test_a_patch_whose_effect_cannot_be_seen_counts_and_says_so(clock: HandClock) -> None:
    outcome = await run(FakeRouter(clock, looks=[Unavailable("admin is away")]))
    assert outcome.action is Action.REVERT
    assert "could not be seen" in outcome.reason
    assert reverting.TRAFFIC_LEFT not in names_of(outcome.steps)


_PATCHES = st.sampled_from(
    [True, False, Conflict("c"), Unavailable("u"), TimedOut("t"), Throttled("r", retry_after_seconds=1.0), Forbidden("f")]
)
_LOOKS = st.sampled_from([None, "route x: 10 %", Unavailable("u"), NotFound("n")])


@given(patches=st.lists(_PATCHES, min_size=1, max_size=8), looks=st.lists(_LOOKS, min_size=1, max_size=8))
async def test_whatever_the_mesh_answers_the_revert_ends_in_bounded_time(
    patches: list[bool | VerdictdError], looks: list[str | VerdictdError | None]
) -> None:
    router = FakeRouter(HandClock(1_000.0), patches=patches, looks=looks)
    outcome = await run(router)
    assert outcome.action in {Action.REVERT, Action.FAILED}
    assert outcome.attempts <= LIMITS.revert_attempts
    assert router.clock.time - 1_000.0 <= LIMITS.confirm_seconds + 5.0 * LIMITS.revert_attempts
    if outcome.action is Action.REVERT and reverting.TRAFFIC_LEFT in names_of(outcome.steps):
        assert router.calls[-1] == "look"
