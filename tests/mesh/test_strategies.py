"""Canaries behind a header, behind a mirror, and a blue-green switch, on a real istiod and Envoy: bad ones are taken back."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.model import Action, Outcome, Record, Strategy
from tests.hand.istio_objects import PORT, SERVICE, virtual_service
from tests.mesh.istio_world import IstioWorld
from tests.mesh.watchdog import Daemon, verdictd
from tests.servers.run import until

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.broad,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("strategies"),
]

RATE = 300.0
SHORT: dict[str, Any] = {"window_seconds": 6.0, "promotion": {"min_seconds": 2.0}}
TESTERS: dict[str, dict[str, str]] = {"/users": {}, "/testers": {"x-canary": "always"}}
Json = dict[str, Any]


def to(version: str, **more: Any) -> Json:
    return {"destination": {"host": SERVICE, "subset": version, "port": {"number": PORT}}, **more}


def routed(primary: Json, *, testers: bool = False) -> Json:
    """The world's VirtualService with another primary route, and with the testers' rule or without."""
    spec: Json = virtual_service()["spec"]
    pinned, reports, _ = spec["http"]
    return {**spec, "http": [*([pinned] if testers else []), reports, {"name": "primary", **primary}]}


async def announced(world: IstioWorld, daemon: Daemon, strategy: Strategy) -> str:
    release = msgspec.structs.replace(world.release, strategy=strategy, weight=None)
    return await daemon.announce(release, event_id=f"{strategy}-1")


def taken_back(record: Record, *, saying: str) -> None:
    verdict = record.verdict
    assert (verdict.outcome, verdict.action, verdict.leg) == (Outcome.ROLLBACK, Action.REVERT, "errors"), verdict.reason
    assert verdict.reason.split("; ")[1:] != []
    assert saying in verdict.reason


async def test_a_bad_canary_behind_a_header_is_taken_from_the_testers_and_nobody_else_notices(
    shared_istio_world: IstioWorld, tmp_path: Path
) -> None:
    world = shared_istio_world
    await world.replace_spec(routed({"route": [to("v1")]}, testers=True))
    async with world.traffic(per_second=RATE, paths=TESTERS) as seen, verdictd(world, tmp_path) as daemon:
        since = await seen.only("v1", path="/users")
        release_id = await announced(world, daemon, "header")
        await asyncio.sleep(3.0)
        world.break_canary(error_rate=0.2)
        record = await daemon.record(release_id)
        await seen.only("v1")
    taken_back(record, saying="compared are requests that the canary's rule picks out with all others: who sends them may differ")
    assert {one.version for one in seen.answers[since:] if one.path == "/users"} == {"v1"}
    pinned, *_, primary = (await world.virtual_service())["spec"]["http"]
    assert pinned["match"] == [{"headers": {"x-canary": {"exact": "always"}}}]
    assert [one["destination"]["subset"] for one in (*pinned["route"], *primary["route"])] == ["v1", "v1"]


async def test_a_bad_canary_behind_a_mirror_gets_no_copies_any_more_and_no_user_had_an_answer_of_it(
    shared_istio_world: IstioWorld, tmp_path: Path
) -> None:
    world = shared_istio_world
    copy = {"destination": {"host": SERVICE, "subset": "v2", "port": {"number": PORT}}, "percentage": {"value": 50.0}}
    await world.replace_spec(routed({"route": [to("v1")], "mirrors": [copy]}))
    canary = world.backends["v2"]
    async with world.traffic(per_second=RATE) as seen, verdictd(world, tmp_path) as daemon:
        since = await seen.only("v1")
        before = canary.served
        release_id = await announced(world, daemon, "mirror")
        await asyncio.sleep(3.0)
        world.break_canary(error_rate=0.2)
        record = await daemon.record(release_id)
        assert canary.served > before

        async def is_quiet() -> bool:
            copies, answers = canary.served, len(seen.answers)
            await seen.until(lambda traffic: len(traffic.answers) > answers + RATE)
            return canary.served == copies

        await until(is_quiet, within=60.0)
    taken_back(record, saying="compared are copies of requests: no user had an answer of the canary's")
    assert {(one.version, one.status) for one in seen.answers[since:]} == {("v1", 200)}
    primary = (await world.virtual_service())["spec"]["http"][-1]
    assert (primary.get("mirrors", []), len(primary["route"])) == ([], 1)


async def test_a_bad_green_is_switched_back_to_the_blue_that_it_is_compared_with(
    shared_istio_world: IstioWorld, tmp_path: Path
) -> None:
    world = shared_istio_world
    await world.replace_spec(routed({"route": [to("v1", weight=100), to("v2", weight=0)]}))
    async with world.traffic(per_second=RATE) as seen, verdictd(world, tmp_path) as daemon:
        since = await seen.only("v1")
        release_id = await announced(world, daemon, "blue-green")
        await asyncio.sleep(5.0)
        world.break_canary(error_rate=0.2)
        await world.replace_spec(routed({"route": [to("v1", weight=0), to("v2", weight=100)]}))
        await seen.until(lambda traffic: any(one.version == "v2" for one in traffic.answers[since:]))
        record = await daemon.record(release_id)
        await seen.only("v1")
    taken_back(record, saying="once the baseline serves nothing, the canary is compared with what that had served")
    primary = (await world.virtual_service())["spec"]["http"][-1]
    assert [(one["destination"]["subset"], one["weight"]) for one in primary["route"]] == [("v1", 100), ("v2", 0)]


async def test_what_no_tester_asks_for_is_inconclusive_and_says_so(shared_istio_world: IstioWorld, tmp_path: Path) -> None:
    world = shared_istio_world
    await world.replace_spec(routed({"route": [to("v1")]}, testers=True))
    async with world.traffic(per_second=RATE), verdictd(world, tmp_path, policy=SHORT) as daemon:
        record = await daemon.record(await announced(world, daemon, "header"))
    assert (record.verdict.outcome, record.verdict.action) == (Outcome.INCONCLUSIVE, Action.NONE)
    assert record.verdict.reason.endswith("; no request came that the canary's rule picks out")
