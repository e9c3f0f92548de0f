"""How a canary gets its traffic: routes of another strategy are told, and a verdict says what was compared with what."""

import re
from dataclasses import replace
from typing import Any, Literal

import msgspec
import pytest

from daemon.engine import deciding, lifecycle, strategies
from daemon.engine.session import Session
from daemon.errors import InvalidInput, NotFound
from daemon.interventions import Command
from daemon.measurements import Reading
from daemon.meshes.unsteered import UnsteeredRouter
from daemon.model import Action, ArmSpec, Outcome, Release, Stage, Strategy
from daemon.placement import BY_HAND, ObjectName, Placement, RouteReference
from tests.engine.test_session import ruling
from tests.engine.test_weights import weights_of
from tests.hand.clock import HandClock
from tests.hand.ports import HandRouter, HandTelemetry, Scene, running, until, verdict_of
from tests.hand.samples import ID, POLICY, RELEASE, arm, failing, healthy


def reference(kind: Literal["weight", "pin", "mirror"], percent: float) -> RouteReference:
    return RouteReference(object=ObjectName(kind="Route", name=kind), kind=kind, percent=percent)


SPLIT, ALL, NONE = reference("weight", 5.0), reference("weight", 100.0), reference("weight", 0.0)
PIN, COPY, NO_COPY = reference("pin", 100.0), reference("mirror", 100.0), reference("mirror", 0.0)


@pytest.mark.parametrize(
    ("strategy", "routes"),
    [
        ("canary", (SPLIT, PIN, COPY)),
        ("canary", (NONE,)),
        ("header", (PIN, NONE)),
        ("header", (NONE,)),
        ("header", (PIN, COPY)),
        ("mirror", (COPY, NONE)),
        ("blue-green", (NONE, COPY)),
        ("blue-green", (ALL, PIN)),
        ("pods", ()),
    ],
)
def test_routes_of_a_strategy_are_watched(strategy: Strategy, routes: tuple[RouteReference, ...]) -> None:
    assert strategies.misfit(strategy, routes) == ""


@pytest.mark.parametrize(
    ("strategy", "routes", "said"),
    [
        ("header", (PIN, SPLIT), r"gets a share of all requests \(weight: 5 % of the traffic\); name the strategy canary"),
        ("header", (NONE, COPY), r"gets copies only \(mirror: 100 % mirrored\); name the strategy mirror"),
        ("mirror", (COPY, PIN), r"users' own requests reach the canary too \(pin: .*\); name the strategy canary or header"),
        ("mirror", (NONE, NO_COPY), "no copies are sent to the canary; name the strategy canary"),
        ("blue-green", (SPLIT,), r"gets a share of all requests \(weight: 5 % of the traffic\); name the strategy canary"),
    ],
)
def test_routes_of_another_strategy_are_told(strategy: Strategy, routes: tuple[RouteReference, ...], said: str) -> None:
    assert re.match(f"the routes are not those of the strategy {strategy}: .*{said}$", strategies.misfit(strategy, routes))


@pytest.mark.parametrize("strategy", ["header", "mirror", "blue-green"])
def test_a_weight_is_refused_where_there_is_no_share_of_all_requests(strategy: Strategy) -> None:
    with pytest.raises(InvalidInput) as caught:
        strategies.check(msgspec.structs.replace(RELEASE, strategy=strategy, weight=5.0), POLICY)
    assert (caught.value.path, caught.value.fix) == ("$.weight", "leave it out")
    strategies.check(msgspec.structs.replace(RELEASE, strategy=strategy, weight=None), POLICY)


def test_a_mirror_is_refused_under_a_policy_that_leaves_copies_out() -> None:
    failures = msgspec.structs.replace(POLICY.failures, mirrored="excused")
    policy = msgspec.structs.replace(POLICY, failures=failures)
    with pytest.raises(InvalidInput, match="leaves copies of requests out") as caught:
        strategies.check(msgspec.structs.replace(RELEASE, strategy="mirror", weight=None), policy)
    assert caught.value.path == "$.policy"
    strategies.check(RELEASE, policy)


def watching(strategy: Strategy) -> Session:
    release = msgspec.structs.replace(RELEASE, strategy=strategy, weight=None)
    session = lifecycle.admitted(
        release, release_id="web-1", policy=POLICY, policy_hash="x", cluster="test", tick_seconds=1.0, split=False, now=100.0
    )
    return lifecycle.located(session, Placement(routes=(PIN,), canary_percent=100.0), now=101.0)


@pytest.mark.parametrize(
    ("strategy", "canary", "baseline", "said"),
    [
        ("canary", 10, 10, ""),
        ("canary", 0, 10, ""),
        ("canary", 10, 0, "; the baseline served nothing while it was watched: there is nothing to compare latency with"),
        ("header", 10, 0, "; the baseline served nothing while it was watched: there is nothing to compare latency with"),
        ("header", 0, 10, "; no request came that the canary's rule picks out"),
        ("header", 10, 10, "; compared are requests that the canary's rule picks out with all others: who sends them may differ"),
        ("mirror", 0, 10, "; no copy of a request came"),
        ("mirror", 10, 10, "; compared are copies of requests: no user had an answer of the canary's"),
        ("blue-green", 0, 10, "; the traffic was never switched to the canary"),
        ("blue-green", 10, 0, "; the baseline served nothing while it was watched: there is nothing to compare latency with"),
        (
            "blue-green",
            10,
            10,
            "; once the baseline serves nothing, the canary is compared with what that had served while it was watched",
        ),
    ],
)
def test_a_verdict_says_what_was_compared(strategy: Strategy, canary: int, baseline: int, said: str) -> None:
    session = replace(watching(strategy), canary_requests=canary, baseline_requests=baseline)
    assert session.judge is not None
    after = deciding.judged(session, session.judge, ruling("promote"), now=110.0)
    assert after.verdict is not None
    assert (after.verdict.outcome, after.verdict.reason) == (Outcome.PROMOTE, f"because{said}")


def test_what_a_person_decides_and_what_was_never_watched_compares_nothing() -> None:
    session = watching("mirror")
    by_hand = deciding.commanded(session, Command(command="promote", by="me"), now=110.0)
    assert by_hand.verdict is not None
    assert by_hand.verdict.reason == "promoted by me"
    lost = deciding.not_located(replace(session, started_at=None), "not there", now=110.0)
    assert lost.verdict is not None
    assert lost.verdict.reason == "not there"


async def test_a_release_whose_routes_are_never_those_of_its_strategy_is_not_watched() -> None:
    scene = Scene()
    release = msgspec.structs.replace(RELEASE, strategy="mirror", weight=None)
    async with running(scene) as engine:
        await engine.submit(release, release_id="web-1")
        await until(lambda: scene.sink.verdicts)
    [verdict] = scene.sink.verdicts
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "the routes are not those of the strategy mirror: users' own requests reach the canary too" in verdict.reason
    assert scene.clock.monotonic() > 4.0, "they may be written after the event"


async def test_a_rules_weight_is_no_share_of_all_requests() -> None:
    """Else a canary that gets all of a few testers' requests would be told to lose nearly all that it is given.

    A switch falls into a tick, of which no mean weight says how many requests it had before.
    """
    clock = HandClock()
    for strategy, weight in (("canary", 10.0), ("header", None), ("blue-green", None)):
        weights = weights_of(HandRouter(), clock)
        await weights.look([watching(msgspec.convert(strategy, Strategy))])
        assert weights.of("web-1", since=clock.now(), until=clock.now()) == weight


REVISIONS = msgspec.structs.replace(
    RELEASE,
    strategy="pods",
    weight=None,
    policy="observe",
    baseline=ArmSpec(labels={"istio.io/rev": "1-24"}),
    canary=ArmSpec(labels={"istio.io/rev": "1-25"}),
)


def of_pods(reading: Reading) -> Scene:
    """A mesh whose routes name no such arms."""
    scene = Scene(telemetry=HandTelemetry([reading]), pods=UnsteeredRouter(kind="pods"))
    scene.policies["observe"] = msgspec.structs.replace(POLICY, mode="observe")
    scene.router.missing = NotFound("no route names them")
    return scene


@pytest.mark.parametrize(
    ("reading", "outcome", "said"),
    [
        (failing(), Outcome.ROLLBACK, f"name a workload to compare it alone; {BY_HAND}"),
        (healthy(), Outcome.PROMOTE, "name a workload to compare it alone"),
        (msgspec.structs.replace(healthy(), canary=arm(0)), Outcome.INCONCLUSIVE, "no request came to the canary's pods"),
    ],
)
async def test_a_change_of_the_mesh_is_judged_by_pods_and_what_to_do_is_said_since_no_route_leads_away(
    reading: Reading, outcome: Outcome, said: str
) -> None:
    async with running(of_pods(reading)) as engine:
        await engine.submit(REVISIONS, release_id=ID)
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action) == (outcome, Action.NONE)
    assert verdict.reason.endswith(said)


def test_a_green_that_was_switched_to_at_once_is_told_why_it_is_not_promoted() -> None:
    session = replace(watching("blue-green"), canary_requests=10, baseline_requests=10)
    said = "; once the baseline serves nothing, the canary is compared with what that had served while it was watched"
    assert strategies.compared(session, Outcome.ROLLBACK) == said
    shown = "; what is asked for a promotion is shown only in seconds in which both serve"
    assert strategies.compared(session, Outcome.INCONCLUSIVE) == said + shown


def test_a_workload_that_is_compared_alone_is_named() -> None:
    session = replace(watching("pods"), canary_requests=10, baseline_requests=10, workload="web")
    assert strategies.compared(session, Outcome.PROMOTE) == "; compared are pods of web"


async def test_a_person_who_takes_a_change_of_the_mesh_back_is_told_that_no_route_can() -> None:
    async with running(of_pods(healthy())) as engine:
        await engine.submit(REVISIONS, release_id=ID)
        await until(lambda: engine.views()[0].stage is Stage.WATCHING)
        await engine.command(ID, Command(command="rollback", by="me"))
        verdict = await verdict_of(engine)
    assert (verdict.outcome, verdict.action) == (Outcome.ROLLBACK, Action.BLOCKED)


@pytest.mark.parametrize(
    ("changes", "path", "fix"),
    [
        ({"policy": "default"}, "$.strategy", "set observe: true, or name a policy whose mode is observe"),
        ({"canary": ArmSpec(subset="v2")}, "$.canary.subset", "name labels, a workload or a Service"),
        ({"weight": 5.0}, "$.weight", "leave it out"),
    ],
)
async def test_what_contradicts_arms_that_are_pods_is_refused(changes: dict[str, Any], path: str, fix: str) -> None:
    async with running(of_pods(healthy())) as engine:
        with pytest.raises(InvalidInput) as caught:
            await engine.submit(msgspec.structs.replace(REVISIONS, **changes), release_id=ID)
    assert caught.value.path == path
    assert caught.value.fix.startswith(fix)


async def test_arms_that_are_pods_are_refused_on_a_mesh_that_knows_none() -> None:
    scene = of_pods(healthy())
    scene.pods = None
    async with running(scene) as engine:
        with pytest.raises(InvalidInput, match="the mesh's pods are not known here") as caught:
            await engine.submit(REVISIONS, release_id=ID)
    assert caught.value.path == "$.strategy"


@pytest.mark.parametrize(
    ("baseline", "canary", "said"),
    [
        (
            ArmSpec(workload="web", labels={"pod-template-hash": "6d"}),
            ArmSpec(workload="web", labels={"pod-template-hash": "7e"}),
            "no route: undo the rollout with `kubectl -n shop rollout undo deployment/web`",
        ),
        (
            ArmSpec(workload="web-blue"),
            ArmSpec(workload="web-green"),
            "no route: scale web-green of namespace shop down, or take it out of the Service",
        ),
        (
            ArmSpec(workload="web", labels={"pod-template-hash": "6d"}),
            ArmSpec(workload="web-canary", labels={"pod-template-hash": "7e"}),
            "no route: scale it down with `kubectl -n shop scale deployment/web-canary --replicas=0`",
        ),
        (ArmSpec(workload="web", labels={"rev": "1"}), ArmSpec(workload="web", labels={"rev": "2"}), BY_HAND),
        (ArmSpec(labels={"rev": "1"}), ArmSpec(workload="web", labels={"rev": "2"}), BY_HAND),
    ],
)
def test_what_takes_back_by_hand_what_no_route_does_depends_on_what_is_new(baseline: ArmSpec, canary: ArmSpec, said: str) -> None:
    release = Release(service="web", namespace="shop", baseline=baseline, canary=canary, strategy="pods")
    assert strategies.by_hand(release) == said
