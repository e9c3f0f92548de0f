"""Flagger: which Canary a release's routes are of, what it says of itself, and what is written to have it fail."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from daemon.delivery.flagger import CANARIES, Flagger
from daemon.errors import Conflict, Refused
from daemon.model import ArmSpec, Release
from daemon.placement import ObjectName
from daemon.ports.routing import Claim
from tests.kube.stub import status
from tests.meshes.cluster import Cluster, cluster

STATUS = "/apis/flagger.app/v1beta1/namespaces/shop/canaries/web/status"
RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-primary"), canary=ArmSpec(service="web-canary"))
ANALYSIS = {"interval": "30s", "threshold": 5}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as running:
        running.listed.add("canaries")
        yield running


@pytest.fixture
async def owner(api: Cluster) -> AsyncIterator[Flagger]:
    client = api.client()
    yield Flagger(client)
    await client.close()


def canary(api: Cluster, *, name: str = "web", phase: str = "Progressing", failed_checks: int = 0, **spec: Any) -> None:
    item = {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "web"}, "analysis": ANALYSIS, **spec},
        "status": {"phase": phase, "failedChecks": failed_checks, "canaryWeight": 10},
    }
    api.put(CANARIES, item)


def claim(**over: Any) -> Claim:
    named = ObjectName(kind="Canary", namespace="shop", name="web")
    return replace(Claim(object=named, reacts_within_seconds=35.0), **over)


@pytest.mark.parametrize(
    ("release", "spec"),
    [
        (RELEASE, {}),
        (replace(RELEASE, baseline=ArmSpec(version="v1"), canary=ArmSpec(version="v2")), {}),
        (replace(RELEASE, service="shop-front"), {}),
        (replace(RELEASE, service="front", baseline=ArmSpec(subset="a")), {"service": {"name": "front", "port": 80}}),
        (replace(RELEASE, service="front", canary=ArmSpec(service="web-canary.shop.svc.cluster.local")), {}),
    ],
)
async def test_a_canary_of_the_releases_service_or_of_the_arms_steps_their_weights(
    api: Cluster, owner: Flagger, release: Release, spec: dict[str, Any]
) -> None:
    canary(api, **spec)
    assert await owner.claims(release) == claim()


@pytest.mark.parametrize(
    ("release", "spec"),
    [
        (RELEASE, {"service": {"name": "front"}}),
        (RELEASE, {"targetRef": {"kind": "Deployment", "name": "api"}}),
        (RELEASE, {"targetRef": {}}),
        (replace(RELEASE, namespace="other"), {}),
        (replace(RELEASE, service="front", baseline=ArmSpec(), canary=ArmSpec(service="web-canary.other.svc")), {}),
    ],
)
async def test_a_canary_of_another_service_has_nothing_to_do_with_it(
    api: Cluster, owner: Flagger, release: Release, spec: dict[str, Any]
) -> None:
    canary(api, **spec)
    assert await owner.claims(release) is None


async def test_of_two_that_name_the_same_service_it_is_the_one_that_goes_on(api: Cluster, owner: Flagger) -> None:
    canary(api, phase="Failed")
    canary(api, name="web-next")
    assert await owner.claims(RELEASE) == claim(object=ObjectName(kind="Canary", namespace="shop", name="web-next"))


async def test_one_that_cannot_be_read_hides_no_other_and_is_said_where_no_other_owns_them(api: Cluster, owner: Flagger) -> None:
    canary(api, name="odd", service={"name": 7})
    with pytest.raises(Refused, match="odd: Expected `str`, got `int`"):
        await owner.claims(RELEASE)
    canary(api)
    assert await owner.claims(RELEASE) == claim()


async def test_a_cluster_without_the_kind_has_no_canaries(api: Cluster, owner: Flagger) -> None:
    api.listed.remove("canaries")
    assert await owner.claims(RELEASE) is None


@pytest.mark.parametrize(
    ("analysis", "seconds"),
    [({}, 65.0), ({"interval": "1m30s"}, 95.0), ({"interval": "1s"}, 15.0), ({"interval": "soon"}, 65.0), (None, 65.0)],
)
async def test_it_reacts_at_its_next_tick_of_which_the_shortest_is_10_s(
    api: Cluster, owner: Flagger, analysis: dict[str, Any] | None, seconds: float
) -> None:
    canary(api, **({"analysis": analysis} if analysis is not None else {"skipAnalysis": True}))
    assert await owner.claims(RELEASE) == claim(reacts_within_seconds=seconds)


@pytest.mark.parametrize(
    ("phase", "failed_checks", "state"),
    [
        ("Failed", 0, "aborted"),
        ("Progressing", 5, "aborted"),
        ("WaitingPromotion", 9, "aborted"),
        ("Progressing", 4, "active"),
        ("Promoting", 5, "active"),
        ("Initialized", 0, "active"),
    ],
)
async def test_one_that_has_failed_or_will_at_its_next_tick_has_given_the_canary_up(
    api: Cluster, owner: Flagger, phase: str, failed_checks: int, state: str
) -> None:
    canary(api, phase=phase, failed_checks=failed_checks)
    assert await owner.claims(RELEASE) == claim(state=state)


async def test_one_that_is_suspended_undoes_nothing(api: Cluster, owner: Flagger) -> None:
    canary(api, suspend=True)
    assert await owner.claims(RELEASE) == claim(puts_back=False)


@pytest.mark.parametrize("phase", ["Progressing", "WaitingPromotion"])
@pytest.mark.parametrize(
    ("spec", "checks"),
    [
        ({}, 5),
        ({"analysis": {"interval": "30s"}}, 1),
        ({"analysis": None, "canaryAnalysis": {"interval": "30s", "threshold": 3}}, 3),
    ],
)
async def test_it_is_told_by_its_count_of_failed_checks_and_by_nothing_else(
    api: Cluster, owner: Flagger, phase: str, spec: dict[str, Any], checks: int
) -> None:
    canary(api, phase=phase, failed_checks=0, **spec)
    before = api.get(CANARIES, "shop", "web")
    said = f"status.failedChecks is {checks}, and it ends the canary at its next tick, within 30 s"
    assert await owner.abort(RELEASE, claim()) == said
    after = api.get(CANARIES, "shop", "web")
    assert after["status"] == {**before["status"], "failedChecks": checks}
    assert after["spec"] == before["spec"]
    assert [path for method, path in api.requests if method == "PATCH"] == [STATUS]
    assert await owner.abort(RELEASE, claim()) == "it has failed already"
    assert api.count("PATCH") == 1


@pytest.mark.parametrize("phase", ["", "Initializing", "Initialized", "Waiting"])
async def test_one_that_gives_the_canary_nothing_yet_has_nothing_to_give_up(api: Cluster, owner: Flagger, phase: str) -> None:
    canary(api, phase=phase)
    assert await owner.abort(RELEASE, claim()) == f"it gives the canary nothing yet ({phase or 'no phase'})"
    assert api.count("PATCH") == 0


@pytest.mark.parametrize("phase", ["Promoting", "Finalising", "Succeeded"])
async def test_one_that_promotes_makes_the_baseline_the_canarys_version_and_that_is_refused(
    api: Cluster, owner: Flagger, phase: str
) -> None:
    canary(api, phase=phase)
    with pytest.raises(Refused, match=rf"promoted the canary \({phase}\): its primary is that version, or becomes it"):
        await owner.abort(RELEASE, claim())
    assert api.count("PATCH") == 0


@pytest.mark.parametrize("spec", [{"skipAnalysis": True}, {"analysis": None}])
async def test_one_that_skips_its_analysis_cannot_be_failed(api: Cluster, owner: Flagger, spec: dict[str, Any]) -> None:
    canary(api, **spec)
    with pytest.raises(Refused, match=r"set spec\.skipAnalysis to false"):
        await owner.abort(RELEASE, claim())
    assert api.count("PATCH") == 0


async def test_one_that_has_changed_since_it_was_read_may_be_about_another_version(api: Cluster, owner: Flagger) -> None:
    canary(api)
    api.faults["PATCH"] = [status(409, "the object has been modified")]
    with pytest.raises(Conflict):
        await owner.abort(RELEASE, claim())


async def test_releases_that_ask_at_the_same_time_share_their_question(api: Cluster, owner: Flagger) -> None:
    canary(api)
    found = await asyncio.gather(*(owner.claims(RELEASE) for _ in range(5)))
    assert found == [claim()] * 5
    assert sum(path.endswith("canaries") for _, path in api.requests) <= 2  # who came while it was asked shares the next one
