"""Which announcements are of one canary: pure, by what is said, by whom, and by the pods."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.engine import deciding, joining, lifecycle
from daemon.engine.joining import LATE_SECONDS, Arms, Newcomer
from daemon.engine.session import Decision, Session
from daemon.errors import InvalidInput
from daemon.interventions import Command
from daemon.model import ArmSpec, GitHubDeployment, GitLabCommit, Outcome, Release
from daemon.placement import Placement
from tests.hand.ports import route
from tests.hand.samples import POLICY, RELEASE

BEGAN = 1_000.0


def session(release: Release = RELEASE, **changes: Any) -> Session:
    begun = lifecycle.admitted(
        release,
        release_id="web-1",
        policy=POLICY,
        policy_hash="sha256:x",
        cluster="test",
        tick_seconds=1.0,
        split=False,
        now=BEGAN,
        sender="watch",
    )
    return replace(begun, **changes)


def says(sender: str = "gate flagger", release_id: str = "web-2", announced_at: float | None = None, **changes: Any) -> Newcomer:
    release = msgspec.structs.replace(RELEASE, **changes)
    return Newcomer(release=release, release_id=release_id, sender=sender, announced_at=announced_at)


def means(newcomer: Newcomer, *sessions: Session, now: float = BEGAN + 20.0) -> list[str]:
    """The releases that it surely means."""
    found = joining.candidates(newcomer, sessions, now=now)
    return [session.release_id for session, arms in found if arms is Arms.SAME]


def ended(outcome: Outcome, *, by: Any = "judge", release: Release = RELEASE) -> Session:
    return deciding.decided(session(release), Decision(outcome=outcome, by=by, reason="because", at=BEGAN + 10.0))


def test_who_announces_a_canary_that_is_watched_means_that_release_and_its_own_next_attempt_is_another() -> None:
    watched = session()
    assert means(says(), watched) == ["web-1"]
    assert means(says(sender="watch"), watched) == []
    joined = lifecycle.joined(watched, release_id="web-2", sender="gate flagger", now=BEGAN)
    assert joined.attempts == {"watch": "web-1", "gate flagger": "web-2"}
    assert means(says(), joined) == ["web-1"], "the same attempt"
    assert means(says(release_id="web-3"), joined) == []
    assert means(says(sender="event /ci by night"), joined) == ["web-1"]


@pytest.mark.parametrize(
    ("said", "known", "is_meant"),
    [
        ({"artifact": "web:v2"}, {}, True),
        ({}, {"artifact": "web:v2"}, True),
        ({"artifact": "web:v2"}, {"artifact": "example.com/web:v2"}, True),
        ({"artifact": "web:v3"}, {"artifact": "web:v2"}, False),
        ({"policy": "strict"}, {}, True),
        ({"mesh": None}, {}, True),
        ({"mesh": "other"}, {}, False),
        ({"strategy": "header", "weight": None}, {}, False),
        ({}, {"strategy": "header", "weight": None}, True),
        ({"protocol": "tcp"}, {}, False),
        ({"route": "web"}, {}, False),
        ({"route": "web"}, {"route": "web"}, True),
        ({"weight": 50.0}, {}, True),
    ],
)
def test_what_one_side_does_not_say_contradicts_nothing_and_what_contradicts_is_another_release(
    said: dict[str, Any], known: dict[str, Any], is_meant: bool
) -> None:
    watched = session(msgspec.structs.replace(RELEASE, **known))
    assert means(says(**said), watched) == (["web-1"] if is_meant else [])


def test_the_same_artifact_again_is_the_same_canary_while_it_is_watched_whoever_says_so() -> None:
    watched = session(msgspec.structs.replace(RELEASE, artifact="web:v2"))
    assert means(says(sender="watch", artifact="example.com/web:v2"), watched) == ["web-1"]
    decided = ended(Outcome.ROLLBACK, release=watched.release)
    assert means(says(sender="watch", artifact="web:v2"), decided) == [], "another try"


@pytest.mark.parametrize(
    ("canary", "baseline", "answer"),
    [
        (ArmSpec(service="web-v2"), ArmSpec(service="web-v1"), Arms.SAME),
        (ArmSpec(service="web-v2.shop.svc.cluster.local"), ArmSpec(service="web-v1.shop.svc"), Arms.SAME),
        (ArmSpec(service="web-v2"), ArmSpec(subset="v1"), Arms.SAME),
        (ArmSpec(service="web-v2", version="2"), ArmSpec(service="web-v1"), Arms.SAME),
        (ArmSpec(service="web-v3"), ArmSpec(service="web-v1"), Arms.OTHERS),
        (ArmSpec(service="web-v2"), ArmSpec(service="web-v0"), Arms.OTHERS),
        (ArmSpec(service="web-v1"), ArmSpec(service="web-v2"), Arms.OTHERS),
        (ArmSpec(subset="v2"), ArmSpec(subset="v1"), Arms.UNTOLD),
        (ArmSpec(workload="web-v2"), ArmSpec(service="web-v1"), Arms.UNTOLD),
    ],
)
def test_arms_are_compared_by_what_both_sides_say_of_them(canary: ArmSpec, baseline: ArmSpec, answer: Arms) -> None:
    other = msgspec.structs.replace(RELEASE, canary=canary, baseline=baseline)
    assert joining.compared(RELEASE, other) is answer
    assert joining.compared(other, RELEASE) is answer


def test_what_both_arms_have_in_common_tells_no_canary() -> None:
    one, other = (
        msgspec.structs.replace(RELEASE, baseline=ArmSpec(service="web", subset="v1"), canary=ArmSpec(service="web", **names))
        for names in ({"subset": "v2"}, {"labels": {"track": "canary"}})
    )
    assert joining.compared(one, other) is Arms.UNTOLD


_ARMS = st.builds(
    ArmSpec,
    service=st.sampled_from([None, "a", "b"]),
    subset=st.sampled_from([None, "a", "b"]),
    version=st.sampled_from([None, "1", "2"]),
    labels=st.sampled_from([{}, {"track": "a"}, {"track": "b", "app": "web"}]),
)
_RELEASES = st.builds(Release, service=st.just("web"), baseline=_ARMS, canary=_ARMS, artifact=st.sampled_from([None, "w:1", "w:2"]))


@given(_RELEASES, _RELEASES)
def test_arms_are_the_same_either_way_round_and_never_those_of_a_release_the_other_way_round(one: Release, other: Release) -> None:
    assert joining.compared(one, other) is joining.compared(other, one)
    turned = msgspec.structs.replace(other, baseline=other.canary, canary=other.baseline)
    assert {joining.compared(one, other), joining.compared(one, turned)} != {Arms.SAME}


def test_a_word_of_one_s_canary_that_is_one_of_the_other_s_baseline_leaves_it_untold() -> None:
    one = Release(service="web", baseline=ArmSpec(), canary=ArmSpec(subset="a", labels={"track": "a"}))
    other = Release(service="web", baseline=ArmSpec(labels={"track": "a"}), canary=ArmSpec(subset="a"))
    assert joining.compared(one, other) is joining.compared(other, one) is Arms.UNTOLD


@given(_RELEASES, st.lists(st.tuples(st.sampled_from(["watch", "api", "event /ci"]), _RELEASES), max_size=6))
def test_in_whatever_order_they_come_no_release_has_two_attempts_of_a_sender_that_knows_them_apart(
    first: Release, more: list[tuple[str, Release]]
) -> None:
    watched = [session(first)]
    for number, (sender, release) in enumerate(more, start=2):
        newcomer = Newcomer(release=release, release_id=f"web-{number}", sender=sender)
        found = means(newcomer, *watched)
        if not found:
            watched.append(replace(session(release), release_id=newcomer.release_id, submitted_at=BEGAN + number))
            continue
        [at] = [index for index, one in enumerate(watched) if one.release_id == found[0]]
        artifacts = {watched[at].release.artifact, release.artifact}
        versions = {watched[at].release.canary.version, release.canary.version}
        if sender in watched[at].attempts:
            assert len(artifacts) == 1 or len(versions) == 1, "what names the version says that it is the same"
        watched[at] = lifecycle.joined(watched[at], release_id=newcomer.release_id, sender=sender, now=BEGAN)


def test_who_comes_late_is_told_of_a_rollback_and_of_anything_else_only_where_the_version_is_surely_the_same() -> None:
    soon, late = BEGAN + 20.0, BEGAN + 11.0 + LATE_SECONDS
    named = msgspec.structs.replace(RELEASE, artifact="web:v2")
    for outcome in Outcome:
        assert means(says(), ended(outcome), now=soon) == (["web-1"] if outcome is Outcome.ROLLBACK else [])
        assert means(says(artifact="web:v2"), ended(outcome, release=named), now=soon) == ["web-1"]
        assert means(says(artifact="web:v2"), ended(outcome, release=named), now=late) == []
    assert means(says(release_id="web-1", sender="watch"), ended(Outcome.PROMOTE), now=late) == ["web-1"], "that very attempt"


def test_what_was_superseded_is_meant_by_nobody_nor_what_was_before_the_newest() -> None:
    assert means(says(), deciding.superseded(session(), "web-9", now=BEGAN)) == []
    assert means(says(), lifecycle.outdated(ended(Outcome.ROLLBACK), "web-9")) == []
    newer = replace(session(), release_id="web-9", submitted_at=BEGAN + 5.0)
    assert means(says(), session(), newer) == ["web-9"]
    other = replace(newer, release=msgspec.structs.replace(RELEASE, artifact="web:v2"))
    assert means(says(artifact="web:v3"), session(), other) == []
    assert means(says(sender="watch", release_id="web-1"), session(), other) == ["web-1"], "that very attempt"


def test_one_by_pods_and_one_by_a_route_are_each_meant_by_who_speaks_of_its_arms_whichever_is_the_newer() -> None:
    by_route = session()
    pods = msgspec.structs.replace(
        RELEASE, strategy="pods", weight=None, baseline=ArmSpec(workload="web"), canary=ArmSpec(workload="web-canary")
    )
    for began in (BEGAN - 5.0, BEGAN + 5.0):
        by_pods = replace(session(pods), release_id="web-9", submitted_at=began)
        assert means(says(), by_route, by_pods) == ["web-1"]
        named: dict[str, Any] = {"baseline": pods.baseline, "canary": pods.canary, "weight": None}
        assert means(says(strategy="pods", **named), by_route, by_pods) == ["web-9"]
        words = joining.candidates(says(**named), (by_route, by_pods), now=BEGAN + 20.0)
        assert [(one.release_id, arms) for one, arms in words] == [("web-9", Arms.SAME), ("web-1", Arms.UNTOLD)]


def test_an_announcement_of_long_before_the_watch_is_of_another_canary() -> None:
    assert means(says(announced_at=BEGAN - 300.0), session()) == ["web-1"]
    assert means(says(announced_at=BEGAN - LATE_SECONDS - 1.0), session()) == []


def test_one_that_joins_adds_what_nobody_has_said_and_a_second_policy_is_refused_by_its_name() -> None:
    both = joining.together(session(), says(artifact="web:v2", policy="strict", weight=50.0))
    assert (both.artifact, both.policy, both.weight) == ("web:v2", "strict", RELEASE.weight)
    strict = session(msgspec.structs.replace(RELEASE, policy="strict", artifact="web:v2"))
    assert joining.together(strict, says()) == strict.release
    with pytest.raises(InvalidInput) as caught:
        joining.together(strict, says(policy="lax"))
    assert str(caught.value) == (
        "$.policy: 'lax' is not 'strict', under which release web-1 of this canary is watched already; "
        "name the same policy wherever it is announced, or name it in one place only"
    )


def test_one_that_joins_adds_whom_to_tell_and_the_first_who_said_it_stays() -> None:
    hub, lab = GitHubDeployment(repository="acme/shop", deployment=42), GitLabCommit(project="acme/shop", commit="a" * 40)
    both = joining.together(session(), says(callback="https://ci.example/1", github=hub, gitlab=lab))
    assert (both.callback, both.github, both.gitlab) == ("https://ci.example/1", hub, lab)
    assert joining.together(session(both), says(callback="https://ci.example/2")) == both


@pytest.mark.parametrize(("one", "other", "both"), [(True, True, True), (True, False, False), (False, True, False)])
def test_a_release_is_observed_only_where_all_who_announce_it_say_so(one: bool, other: bool, both: bool) -> None:
    watched = session(msgspec.structs.replace(RELEASE, observe=one))
    assert joining.together(watched, says(observe=other)).observe is both


def test_under_a_policy_that_is_said_later_the_evidence_counts_from_then_and_the_verdict_says_so() -> None:
    strict = msgspec.structs.replace(RELEASE, policy="strict")
    watched = replace(session(), started_at=BEGAN, t=12.0, evidence=40.0)
    as_new = replace(session(strict), policy=msgspec.structs.replace(POLICY, alpha=0.001), policy_hash="sha256:y", boundary=1_000.0)
    after = lifecycle.added(watched, as_new=as_new, sender="api", now=BEGAN + 12.0)
    assert (after.release.policy, after.policy_hash, after.boundary, after.evidence) == ("strict", "sha256:y", 1_000.0, 1.0)
    assert (after.t, after.started_at, after.evidence_from) == (12.0, BEGAN, 12.0)
    told = deciding.decided(after, Decision(outcome=Outcome.PROMOTE, by="judge", reason="because", at=BEGAN + 30.0)).decision
    assert told is not None
    assert told.reason == "because; evidence counts from 12 s on: the policy strict of api was taken then"
    by_hand = deciding.commanded(after, Command(by="anna", command="promote"), now=BEGAN + 30.0).decision
    assert by_hand is not None
    assert by_hand.reason == "promoted by anna"


def test_who_joins_with_power_to_act_gives_it_and_the_evidence_stays() -> None:
    observed = session(msgspec.structs.replace(RELEASE, observe=True))
    policy = msgspec.structs.replace(POLICY, mode="observe")
    watched = replace(observed, policy=policy, policy_hash="sha256:o", started_at=BEGAN, t=12.0, evidence=40.0)
    both = joining.together(watched, says())
    after = lifecycle.added(watched, as_new=replace(session(both), policy=POLICY), sender="api", now=BEGAN + 12.0)
    assert (after.policy, after.policy_hash, after.release.observe) == (POLICY, "sha256:x", False)
    assert (after.evidence, after.evidence_from) == (40.0, 0.0)
    assert after.marks[-1].detail == "enforce of api"
    assert joining.together(watched, says(observe=True)).observe


def pods(*, baseline: str, canary: str) -> PodsByArm:
    def arm(names: str) -> ArmPods:
        return ArmPods(pods=tuple(ArmPod(name=one, namespace="shop", address="10.0.0.1", ready=True) for one in names))

    return PodsByArm(baseline=arm(baseline), canary=arm(canary))


@pytest.mark.parametrize(
    ("baseline", "canary", "answer"),
    [
        ("ab", "cd", True),
        ("a", "de", True),
        ("", "c", True),
        ("ab", "ef", False),
        ("ab", "ac", False),
        ("c", "d", False),
        ("", "", False),
    ],
)
def test_pods_are_of_one_canary_where_some_are_and_none_is_of_the_other_arm(baseline: str, canary: str, answer: bool) -> None:
    one, other = pods(baseline="ab", canary="cd"), pods(baseline=baseline, canary=canary)
    assert joining.same_pods(one, other) is answer
    assert joining.same_pods(other, one) is answer
    assert not joining.same_pods(one, None)


def test_one_that_joins_adds_revision_and_who_initiated_it_and_changes_what_was_said_in_nothing() -> None:
    both = joining.together(session(), says(revision="4f2a", initiated_by="ana"))
    assert (both.revision, both.initiated_by) == ("4f2a", "ana")
    assert joining.together(session(both), says(revision="77", initiated_by="ben")) == both


def test_what_a_sender_says_goes_before_what_git_s_tool_has_said_whoever_was_first_and_the_next_sender_changes_nothing() -> None:
    placement = Placement(routes=(route("web"),), canary_percent=10.0, revision="main@sha1:4f2a 1", initiated_by="Argo CD's sync")
    found = lifecycle.located(session(), placement, now=1_001.0)
    assert (found.release.revision, found.release.initiated_by) == ("main@sha1:4f2a 1", "Argo CD's sync")
    both = joining.together(found, says(revision="4f2a"))
    assert (both.revision, both.initiated_by) == ("4f2a", "Argo CD's sync"), "what is not said takes nothing away"
    after = replace(found, release=both)
    assert joining.together(after, says(revision="77")) == both
    assert joining.together(after, says(initiated_by="ana")).initiated_by == "ana"
    first = msgspec.structs.replace(RELEASE, revision="4f2a")
    said_first = lifecycle.located(session(first), placement, now=1_001.0)
    assert said_first.release == both
