"""A session's transitions: pure, one at a time."""

import hashlib
from dataclasses import replace

import msgspec
import pytest

from analyzers.counts import Signal
from analyzers.judge import start
from analyzers.ruling import Ruling
from daemon import recordings
from daemon.engine import deciding, keptforms, lifecycle
from daemon.engine.feed import view
from daemon.engine.session import Session
from daemon.interventions import Command
from daemon.measurements import Reading
from daemon.model import Action, Outcome, Stage, TimedStep
from daemon.placement import ObjectName, Placement
from tests.hand.ports import route
from tests.hand.samples import BOUNDS, POLICY, RELEASE, arm, gap, healthy


@pytest.fixture
def locating() -> Session:
    return lifecycle.admitted(
        RELEASE, release_id="web-1", policy=POLICY, policy_hash="sha256:x", cluster="test", tick_seconds=1.0, split=False, now=100.0
    )


@pytest.fixture
def watching(locating: Session) -> Session:
    return lifecycle.located(locating, Placement(routes=(route("a"), route("b")), canary_percent=10.0), now=101.0)


def ruling(outcome: str) -> Ruling:
    return msgspec.convert(
        {
            "outcome": outcome,
            "tick": 1,
            "t": 1.0,
            "evidence": 200.0,
            "boundary": 100.0,
            "legs": {},
            "leg": "errors",
            "reason": "because",
        },
        Ruling,
    )


def test_the_verdict_is_told_on_who_owns_the_routes_and_then_on_the_routes(locating: Session) -> None:
    rollout = ObjectName(kind="Rollout", namespace="shop", name="web")
    placement = Placement(routes=(route("a"), route("b")), canary_percent=10.0, owners=(rollout,))
    located = lifecycle.located(locating, placement, now=101.0)
    assert [one.name for one in located.routes] == ["web", "a", "b"]
    assert located.routes[0] == rollout


def test_who_writes_the_routes_by_itself_is_a_step_of_its_own_and_is_shown(locating: Session) -> None:
    owned = [msgspec.structs.replace(route(name), owner="Flux (Kustomization flux-system/apps)") for name in ("a", "b")]
    located = lifecycle.located(locating, Placement(routes=(*owned, route("c")), canary_percent=10.0), now=101.0)
    assert [mark.step for mark in located.marks] == ["submitted", "located", "owned", "watching"]
    assert view(located).owner == "Flux (Kustomization flux-system/apps)"
    nobody = lifecycle.located(locating, Placement(routes=(route("c"),), canary_percent=10.0), now=101.0)
    assert view(nobody).owner == ""


def test_the_watch_begins_when_the_routes_are_known(watching: Session) -> None:
    assert watching.stage is Stage.WATCHING
    assert watching.started_at == 101.0
    assert [m.step for m in watching.marks] == ["submitted", "located", "watching"]
    assert watching.marks[1].detail == "a: 10 % of the traffic; b: 10 % of the traffic"


def test_a_sample_lies_on_the_sessions_own_time_line_and_is_counted_and_digested(watching: Session) -> None:
    after, sample = lifecycle.sampled(watching, healthy(), now=102.5)
    assert (sample.t, sample.seconds) == (1.5, 1.0)
    assert (after.ticks, after.gaps, after.canary_requests, after.baseline_requests) == (1, 0, 100, 900)
    assert after.bounds_ms == BOUNDS
    assert after.digest == hashlib.sha256(recordings.line(sample)).hexdigest()
    again, second = lifecycle.sampled(after, healthy(), now=103.5)
    assert again.digest == hashlib.sha256(after.digest.encode() + recordings.line(second)).hexdigest()


def test_a_clock_that_goes_back_does_not_take_the_time_line_with_it(watching: Session) -> None:
    after, _ = lifecycle.sampled(watching, healthy(), now=103.0)
    _, sample = lifecycle.sampled(after, healthy(), now=90.0)
    assert sample.t == 2.0


def test_a_gap_is_a_tick_without_information(watching: Session) -> None:
    after, sample = lifecycle.sampled(watching, gap("away"), now=102.0)
    assert (sample.baseline, sample.canary, sample.gap) == (None, None, "away")
    assert (after.ticks, after.gaps, after.last_gap) == (1, 1, "away")


def test_half_an_answer_is_counted_as_a_gap(watching: Session) -> None:
    after, sample = lifecycle.sampled(watching, Reading(seconds=1.0, baseline=arm(10), bounds_ms=BOUNDS), now=102.0)
    assert sample.canary is None
    assert after.gaps == 1


FROM_PROM = "read from telemetry prom instead of the proxies: none of the 2 proxies of the canary can be read: timed out"


def test_from_where_it_was_read_is_said_in_the_steps_the_status_and_the_verdict(watching: Session) -> None:
    instead = msgspec.structs.replace(healthy(), fallback=FROM_PROM)
    session, _ = lifecycle.sampled(watching, healthy(), now=102.0)
    assert (session.fallback, view(session).fallback) == ("", "")
    for now in (103.0, 104.0):
        session, _ = lifecycle.sampled(session, instead, now=now)
    assert (session.fallback, view(session).fallback) == (FROM_PROM, FROM_PROM)
    back, _ = lifecycle.sampled(session, healthy(), now=110.0)
    assert (back.fallback, view(back).fallback) == ("", "")
    assert [(mark.step, mark.at, mark.detail) for mark in back.marks[3:]] == [
        ("telemetry_fallback", 103.0, FROM_PROM),
        ("telemetry_direct", 110.0, ""),
    ]
    decided = deciding.judged(back, start(back.terms), ruling("promote"), now=111.0)
    assert decided.decision is not None
    assert decided.decision.reason == f"because; for some of the time, from 2 s on, it was {FROM_PROM}"
    by_hand = deciding.commanded(back, Command(by="anna", command="promote", reason="enough"), now=111.0)
    assert by_hand.decision is not None
    assert by_hand.decision.reason == "promoted by anna: enough", "a person's word is theirs"


def test_a_source_that_comes_and_goes_all_day_does_not_fill_the_record(watching: Session) -> None:
    session = watching
    for turn in range(100):
        reading = msgspec.structs.replace(healthy(), fallback=FROM_PROM if turn % 2 else "")
        session, _ = lifecycle.sampled(session, reading, now=102.0 + turn)
    assert len(session.marks) == 3 + 20


def test_bounds_that_change_in_the_middle_make_the_tick_null(watching: Session) -> None:
    after, _ = lifecycle.sampled(watching, healthy(), now=102.0)
    changed = msgspec.structs.replace(healthy(), bounds_ms=(1.0, 2.0))
    after, sample = lifecycle.sampled(after, changed, now=103.0)
    assert sample.baseline is None
    assert "bounds changed" in (sample.gap or "")
    assert after.bounds_ms == BOUNDS


def test_bounds_may_become_known_later(watching: Session) -> None:
    early = Reading(seconds=1.0, baseline=msgspec.structs.replace(healthy()).baseline, canary=arm(1))
    after, _ = lifecycle.sampled(watching, early, now=102.0)
    assert after.bounds_ms == ()
    after, _ = lifecycle.sampled(after, healthy(), now=103.0)
    assert after.bounds_ms == BOUNDS


@pytest.mark.parametrize(
    ("outcome", "stage", "meaning"),
    [("promote", Stage.PUBLISHING, "promote"), ("inconclusive", Stage.PUBLISHING, "hold"), ("rollback", Stage.REVERTING, None)],
)
def test_a_final_ruling_decides(watching: Session, outcome: str, stage: Stage, meaning: str | None) -> None:
    after = deciding.judged(watching, start(watching.terms), ruling(outcome), now=105.0)
    assert after.stage is stage
    assert after.decision is not None
    assert after.decision.at == 105.0
    assert (after.verdict.meaning if after.verdict else None) == meaning


def test_an_inconclusive_end_in_the_dark_says_why_it_was_dark(watching: Session) -> None:
    dark, _ = lifecycle.sampled(watching, gap("prometheus is away"), now=102.0)
    after = deciding.judged(dark, start(dark.terms), ruling("inconclusive"), now=105.0)
    assert after.verdict is not None
    assert "prometheus is away" in after.verdict.reason


def test_what_an_inconclusive_verdict_means_is_the_policys_word(watching: Session) -> None:
    lenient = msgspec.structs.replace(POLICY, on_inconclusive="promote")
    session = replace(watching, policy=lenient)
    after = deciding.judged(session, start(session.terms), ruling("inconclusive"), now=105.0)
    assert after.verdict is not None
    assert (after.verdict.outcome, after.verdict.meaning) == (Outcome.INCONCLUSIVE, "promote")


def test_a_watch_that_was_cancelled_or_superseded_never_counts_as_promoted(watching: Session) -> None:
    session = replace(watching, policy=msgspec.structs.replace(POLICY, on_inconclusive="promote"))
    cancelled = deciding.commanded(session, Command(command="cancel", by="eve"), now=105.0)
    for after in (cancelled, deciding.superseded(session, "web-2", now=105.0)):
        assert after.verdict is not None
        assert (after.verdict.outcome, after.verdict.meaning) == (Outcome.INCONCLUSIVE, "hold")


@pytest.mark.parametrize(
    ("action", "stage"),
    [
        (Action.REVERT, Stage.GUARDING),
        (Action.FAILED, Stage.GUARDING),
        (Action.BLOCKED, Stage.PUBLISHING),
        (Action.NONE, Stage.PUBLISHING),
    ],
)
def test_what_was_taken_back_or_should_have_been_is_guarded(watching: Session, action: Action, stage: Stage) -> None:
    decided = deciding.judged(watching, start(watching.terms), ruling("rollback"), now=105.0)
    told = lifecycle.published(
        deciding.reverted(decided, action, [TimedStep(step="patch_sent", at=105.1)], reason="said"), now=106.0
    )
    assert told.stage is stage
    assert told.verdict is not None
    assert told.verdict.reason == "because; said"


def test_the_last_canary_response_is_seen_once_after_a_revert(watching: Session) -> None:
    decided = deciding.judged(watching, start(watching.terms), ruling("rollback"), now=105.0)
    reverted = deciding.reverted(decided, Action.REVERT, [])
    silent = Reading(seconds=1.0, baseline=arm(100), canary=arm(0))
    assert lifecycle.aftermath(decided, silent, now=106.0) is decided
    assert lifecycle.aftermath(reverted, healthy(), now=106.0) is reverted
    assert lifecycle.aftermath(reverted, gap(), now=106.0) is reverted
    after = lifecycle.aftermath(reverted, silent, now=106.0)
    assert after.marks[-1].step == "canary_silent"
    assert lifecycle.aftermath(after, silent, now=107.0) is after


def test_a_releases_own_deadline_shortens_the_window_and_never_lengthens_it(locating: Session) -> None:
    for deadline, window in ((10.0, 10.0), (1000.0, POLICY.window_seconds), (None, POLICY.window_seconds)):
        session = replace(locating, release=msgspec.structs.replace(RELEASE, deadline=deadline))
        assert session.window_seconds == window


def test_a_checkpoint_brings_back_the_same_session(watching: Session) -> None:
    after, _ = lifecycle.sampled(watching, healthy(), now=102.0)
    decided = deciding.judged(after, start(after.terms), ruling("rollback"), now=105.0)
    for session in (watching, after, deciding.reverted(decided, Action.REVERT, [])):
        back = keptforms.decode(keptforms.encode(session), now=0.0).session
        kept = replace(session, settled=session.verdict is not None)  # a verdict that has been kept is durable
        assert keptforms.encode(back) == keptforms.encode(kept)
        assert (back.stage, back.marks, back.digest, back.verdict) == (
            session.stage,
            session.marks,
            session.digest,
            session.verdict,
        )


def test_what_stands_beside_the_counts_is_kept_as_steps_and_told_in_the_verdict(watching: Session) -> None:
    out_of_memory = Signal(kind="out_of_memory", about="canary", effect="holds", words="web-v2-0 ran out of memory")
    rejected = Signal(kind="config_rejected", about="mesh", effect="excuses", words="istiod's configuration is rejected")

    def ticked(session: Session, *signals: Signal, now: float) -> Session:
        return lifecycle.sampled(session, msgspec.structs.replace(healthy(), signals=signals), now=now)[0]

    one = ticked(watching, rejected, now=102.0)
    one = ticked(one, replace(rejected, words="it is rejected again"), now=103.0)
    one = ticked(one, out_of_memory, now=104.0)
    assert [(mark.step, mark.at, mark.detail) for mark in one.marks[3:]] == [
        ("signal", 102.0, "mesh config_rejected: istiod's configuration is rejected"),
        ("signal", 104.0, "canary out_of_memory: web-v2-0 ran out of memory"),
        ("signal_over", 104.0, "mesh config_rejected: it is rejected again"),
    ]
    assert view(one).signals == (out_of_memory,)
    again = keptforms.decode(keptforms.encode(one), now=1.0).session
    assert replace(again, judge=None) == replace(one, judge=None)
    verdict = deciding.judged(again, start(one.terms), ruling("inconclusive"), now=105.0).verdict
    assert verdict is not None
    assert verdict.signals == (out_of_memory,)
    assert verdict.reason == "because; from 1 s on, for some time: istiod's configuration is rejected"


def test_signals_that_come_and_go_all_day_are_kept_only_so_often(watching: Session) -> None:
    one = watching
    for number in range(50):
        signals = (Signal(kind="not_ready", about="canary", effect="holds", words="it is not ready"),) if number % 2 else ()
        one = lifecycle.sampled(one, msgspec.structs.replace(healthy(), signals=signals), now=102.0 + number)[0]
    assert sum(mark.step.startswith("signal") for mark in one.marks) == 20
