"""Every strategy on a real istiod and Envoy: a bad canary is taken back, a good one promoted, and what cannot be judged is said.

All are releases of one daemon, one after the other, under policies that are quick.
"""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from daemon.model import Action, ArmSpec, Outcome, Record, Stage, Strategy
from tests.hand.istio_objects import CORE, PORT, SERVICE, VERSIONS, virtual_service
from tests.mesh.istio_world import IstioWorld
from tests.mesh.watchdog import Daemon, verdictd
from tests.servers.run import until

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.broad,
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("strategies"),
]

RATE = 300.0
TESTERS: dict[str, dict[str, str]] = {"/users": {}, "/testers": {"x-canary": "always"}}
_QUICK: dict[str, Any] = {"window_seconds": 60.0, "warmup_seconds": 0.0, "promotion": {"min_seconds": 3.0, "min_requests": 300}}
_WIDE = {"errors": {"max_rate": 0.05, "above_baseline": 0.05}, "latency": {"typical": 5.0, "slow_end": 8.0}}
POLICIES: dict[str, Any] = {
    "strict": {**_QUICK, "promotion": {"min_seconds": 50.0}},
    "lenient": {**_QUICK, "tolerances": _WIDE},
    "short": {**_QUICK, "window_seconds": 4.0},
    "observe": {**_QUICK, "mode": "observe", "tolerances": _WIDE},
}
MORE = {"policies": POLICIES, "limits": {"guard_seconds": 1.0}}
REVISION = "istio.io/rev"
_NUMBERS = itertools.count()
Json = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(module_istio_world: IstioWorld, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Daemon]:
    async with verdictd(module_istio_world, tmp_path_factory.mktemp("daemon"), more=MORE) as running:
        yield running


def to(version: str, **more: Any) -> Json:
    return {"destination": {"host": SERVICE, "subset": version, "port": {"number": PORT}}, **more}


def split(canary: int) -> Json:
    return {"route": [to("v1", weight=100 - canary), to("v2", weight=canary)]}


def copied(**more: Any) -> Json:
    """All of it to the baseline, and half of it to the canary too."""
    return {"route": [to("v1")], "mirrors": [{**to("v2"), "percentage": {"value": 50.0}}], **more}


def routed(primary: Json, *first: Json) -> Json:
    """The world's VirtualService with another primary route, and with these before it."""
    spec: Json = virtual_service()["spec"]
    _, reports, _ = spec["http"]
    return {**spec, "http": [*first, reports, {"name": "primary", **primary}]}


def pinned() -> Json:
    """What sends the testers to the canary."""
    found: Json = virtual_service()["spec"]["http"][0]
    return found


async def announced(world: IstioWorld, daemon: Daemon, strategy: Strategy, *, policy: str, **more: Any) -> str:
    """By the release's id; returns once its watch has begun."""
    release = msgspec.structs.replace(world.release, strategy=strategy, weight=None, policy=policy, **more)
    release_id = await daemon.announce(release, event_id=f"{strategy}-{next(_NUMBERS)}")

    async def is_watched() -> bool:
        view = await daemon.view(release_id)
        return view.ticks > 1 or view.verdict is not None

    await until(is_watched, within=60.0)
    return release_id


async def ended(daemon: Daemon, release_id: str) -> Record:
    """Its record, once nothing is done about it any more: a revert that is guarded would undo what the next test writes."""
    record = await daemon.record(release_id)

    async def is_over() -> bool:
        return (await daemon.view(release_id)).stage is Stage.ENDED

    await until(is_over, within=60.0)
    return record


def taken_back(record: Record, *, saying: str) -> None:
    verdict = record.verdict
    assert (verdict.outcome, verdict.action, verdict.leg) == (Outcome.ROLLBACK, Action.REVERT, "errors"), verdict.reason
    assert saying in verdict.reason


def promoted(record: Record, *, saying: str) -> None:
    verdict = record.verdict
    assert (verdict.outcome, verdict.action) == (Outcome.PROMOTE, Action.NONE), verdict.reason
    assert verdict.reason.endswith(saying)


def not_judged(record: Record, *, saying: str) -> None:
    verdict = record.verdict
    assert (verdict.outcome, verdict.action) == (Outcome.INCONCLUSIVE, Action.NONE), verdict.reason
    assert verdict.reason.endswith(f"; {saying}")


OF_TESTERS = "compared are requests that the canary's rule picks out with all others: who sends them may differ"
OF_COPIES = "compared are copies of requests: no user had an answer of the canary's"
OF_BEFORE = "once the baseline serves nothing, the canary is compared with what that had served while it was watched"
NO_BASELINE = "the baseline served nothing while it was watched: there is nothing to compare latency with"


async def test_a_canary_whose_baseline_serves_nothing_is_inconclusive_and_that_is_said(
    shared_istio_world: IstioWorld, daemon: Daemon
) -> None:
    world = shared_istio_world
    await world.replace_spec(routed(split(100)))
    async with world.traffic(per_second=RATE) as seen:
        await seen.only("v2")
        record = await ended(daemon, await announced(world, daemon, "canary", policy="short"))
    not_judged(record, saying=NO_BASELINE)


async def test_a_bad_canary_behind_a_header_is_taken_from_the_testers_and_nobody_else_notices(
    shared_istio_world: IstioWorld, daemon: Daemon
) -> None:
    world = shared_istio_world
    await world.replace_spec(routed({"route": [to("v1")]}, pinned()))
    async with world.traffic(per_second=RATE, paths=TESTERS) as seen:
        since = await seen.only("v1", path="/users")
        release_id = await announced(world, daemon, "header", policy="strict")
        world.break_canary(error_rate=0.2)
        record = await ended(daemon, release_id)
        await seen.only("v1")
    taken_back(record, saying=OF_TESTERS)
    assert {one.version for one in seen.answers[since:] if one.path == "/users"} == {"v1"}
    first, *_, primary = (await world.virtual_service())["spec"]["http"]
    assert first["match"] == [{"headers": {"x-canary": {"exact": "always"}}}]
    assert [one["destination"]["subset"] for one in (*first["route"], *primary["route"])] == ["v1", "v1"]


async def test_a_good_canary_behind_a_header_is_promoted_and_its_rule_left_alone(
    shared_istio_world: IstioWorld, daemon: Daemon
) -> None:
    world = shared_istio_world
    await world.replace_spec(spec := routed({"route": [to("v1")]}, pinned()))
    async with world.traffic(per_second=RATE, paths=TESTERS) as seen:
        await seen.only("v1", path="/users")
        promoted(await ended(daemon, await announced(world, daemon, "header", policy="lenient")), saying=OF_TESTERS)
    assert (await world.virtual_service())["spec"] == spec


async def test_what_no_tester_asks_for_is_inconclusive_and_says_so(shared_istio_world: IstioWorld, daemon: Daemon) -> None:
    world = shared_istio_world
    await world.replace_spec(routed({"route": [to("v1")]}, pinned()))
    async with world.traffic(per_second=RATE) as seen:
        await seen.only("v1")
        record = await ended(daemon, await announced(world, daemon, "header", policy="short"))
    not_judged(record, saying="no request came that the canary's rule picks out")


async def test_a_bad_canary_behind_a_mirror_gets_no_copies_any_more_and_no_user_had_an_answer_of_it(
    shared_istio_world: IstioWorld, daemon: Daemon
) -> None:
    world = shared_istio_world
    await world.replace_spec(routed(copied()))
    canary = world.backends["v2"]
    async with world.traffic(per_second=RATE) as seen:
        since = await seen.only("v1")
        before = canary.served
        release_id = await announced(world, daemon, "mirror", policy="strict")
        world.break_canary(error_rate=0.2)
        record = await ended(daemon, release_id)
        assert canary.served > before

        async def is_quiet() -> bool:
            copies, answers = canary.served, len(seen.answers)
            await seen.until(lambda traffic: len(traffic.answers) > answers + RATE)
            return canary.served == copies

        await until(is_quiet, within=60.0)
    taken_back(record, saying=OF_COPIES)
    assert {(one.version, one.status) for one in seen.answers[since:]} == {("v1", 200)}
    primary = (await world.virtual_service())["spec"]["http"][-1]
    assert (primary.get("mirrors", []), len(primary["route"])) == ([], 1)


async def test_a_good_canary_behind_a_mirror_is_promoted_and_its_mirror_left_alone(
    shared_istio_world: IstioWorld, daemon: Daemon
) -> None:
    world = shared_istio_world
    await world.replace_spec(spec := routed(copied()))
    async with world.traffic(per_second=RATE) as seen:
        await seen.only("v1")
        promoted(await ended(daemon, await announced(world, daemon, "mirror", policy="lenient")), saying=OF_COPIES)
    assert (await world.virtual_service())["spec"] == spec


async def test_a_mirror_of_requests_that_nobody_sends_is_inconclusive_and_says_so(
    shared_istio_world: IstioWorld, daemon: Daemon
) -> None:
    world = shared_istio_world
    await world.replace_spec(routed({"route": [to("v1")]}, copied(match=pinned()["match"])))
    async with world.traffic(per_second=RATE) as seen:
        await seen.only("v1")
        record = await ended(daemon, await announced(world, daemon, "mirror", policy="short"))
    not_judged(record, saying="no copy of a request came")


async def weights(world: IstioWorld) -> list[tuple[str, int]]:
    primary = (await world.virtual_service())["spec"]["http"][-1]
    return [(one["destination"]["subset"], one["weight"]) for one in primary["route"]]


async def test_a_bad_green_is_switched_back_to_the_blue_that_it_is_compared_with(
    shared_istio_world: IstioWorld, daemon: Daemon
) -> None:
    world = shared_istio_world
    await world.replace_spec(routed(split(0)))
    async with world.traffic(per_second=RATE) as seen:
        since = await seen.only("v1")
        release_id = await announced(world, daemon, "blue-green", policy="strict")
        world.break_canary(error_rate=0.2)
        await world.replace_spec(routed(split(100)))
        await seen.until(lambda traffic: any(one.version == "v2" for one in traffic.answers[since:]))
        record = await ended(daemon, release_id)
        await seen.only("v1")
    taken_back(record, saying=OF_BEFORE)
    assert await weights(world) == [("v1", 100), ("v2", 0)]


async def test_a_good_green_that_testers_ask_before_the_switch_is_promoted(shared_istio_world: IstioWorld, daemon: Daemon) -> None:
    world = shared_istio_world
    await world.replace_spec(spec := routed(split(0), pinned()))
    async with world.traffic(per_second=RATE, paths=TESTERS) as seen:
        await seen.only("v1", path="/users")
        record = await ended(daemon, await announced(world, daemon, "blue-green", policy="lenient"))
    promoted(record, saying=OF_BEFORE)
    assert (await world.virtual_service())["spec"] == spec


async def test_a_green_that_is_never_switched_to_is_inconclusive_and_says_so(
    shared_istio_world: IstioWorld, daemon: Daemon
) -> None:
    world = shared_istio_world
    await world.replace_spec(routed(split(0)))
    async with world.traffic(per_second=RATE) as seen:
        await seen.only("v1")
        record = await ended(daemon, await announced(world, daemon, "blue-green", policy="short"))
    not_judged(record, saying="the traffic was never switched to the canary")


@pytest_asyncio.fixture(loop_scope="module")
async def revised(shared_istio_world: IstioWorld) -> AsyncIterator[IstioWorld]:
    """Both pods are of one workload, and the second one has a new revision of the control plane; each gets half of the requests."""
    world, before = shared_istio_world, {one: exporter.workload for one, exporter in shared_istio_world.exporters.items()}
    await world.replace_spec(routed(split(50)))
    for version, revision in zip(VERSIONS, ("1-24", "1-25"), strict=True):
        world.exporters[version].workload = SERVICE
        await labelled(world, version, {REVISION: revision, "service.istio.io/workload-name": SERVICE})
    yield world
    for version, workload in before.items():
        world.exporters[version].workload = workload
        await labelled(world, version, {REVISION: None, "service.istio.io/workload-name": None})


async def labelled(world: IstioWorld, version: str, labels: dict[str, str | None]) -> None:
    path, headers = f"{CORE}/pods/{SERVICE}-{version}-0", {"Content-Type": "application/merge-patch+json"}
    async with world.api.session() as session, session.patch(path, json={"metadata": {"labels": labels}}, headers=headers) as said:
        said.raise_for_status()


ARMS = {"baseline": ArmSpec(labels={REVISION: "1-24"}), "canary": ArmSpec(labels={REVISION: "1-25"})}


async def test_pods_that_a_bad_revision_was_given_first_are_told_and_no_route_is_touched(
    revised: IstioWorld, daemon: Daemon
) -> None:
    async with revised.traffic(per_second=RATE):
        release_id = await announced(revised, daemon, "pods", policy="observe", **ARMS)
        revised.break_canary(error_rate=0.3)
        verdict = (await ended(daemon, release_id)).verdict
    assert (verdict.outcome, verdict.action, verdict.leg) == (Outcome.ROLLBACK, Action.NONE, "errors"), verdict.reason
    assert "; compared are pods of web; take the change back where it was made" in verdict.reason
    assert await weights(revised) == [("v1", 50), ("v2", 50)]


async def test_pods_that_a_good_revision_was_given_first_are_found_no_worse(revised: IstioWorld, daemon: Daemon) -> None:
    async with revised.traffic(per_second=RATE):
        record = await ended(daemon, await announced(revised, daemon, "pods", policy="observe", **ARMS))
    promoted(record, saying="; compared are pods of web")
