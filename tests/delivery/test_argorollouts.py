"""Argo Rollouts: which Rollout a release's routes are of, what it says of itself, and what is written to have it abort."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from daemon.delivery.argorollouts import DESTINATION_RULES, ArgoRollouts
from daemon.errors import Conflict, Forbidden, Refused
from daemon.kube.resources import ROLLOUTS
from daemon.model import ArmSpec, Release
from daemon.placement import ObjectName
from daemon.ports.routing import Claim
from tests.hand.servers import says
from tests.kube.stub import status
from tests.meshes.cluster import Cluster, cluster

STATUS = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web/status"
HOSTS = Release(service="web", namespace="shop", baseline=ArmSpec(service="web-stable"), canary=ArmSpec(service="web-canary"))
SUBSETS = replace(HOSTS, baseline=ArmSpec(subset="stable"), canary=ArmSpec(subset="canary"))
VERSIONS = replace(HOSTS, baseline=ArmSpec(version="v1"), canary=ArmSpec(version="v2"))
GOES_ON = {"currentPodHash": "new", "stableRS": "old"}
ABORTED: dict[str, Any] = {"abort": True, "abortedAt": "2026-01-01T00:00:00Z"}

BY_HOSTS = {"canary": {"canaryService": "web-canary", "stableService": "web-stable", "trafficRouting": {"istio": {}}}}
BY_SUBSETS = {
    "canary": {
        "trafficRouting": {
            "istio": {"destinationRule": {"name": "web", "canarySubsetName": "canary", "stableSubsetName": "stable"}}
        }
    }
}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as running:
        running.listed.add("rollouts")
        yield running


@pytest.fixture
async def owner(api: Cluster) -> AsyncIterator[ArgoRollouts]:
    client = api.client()
    yield ArgoRollouts(client, heard_within_seconds=0.05)
    await client.close()


def rollout(api: Cluster, strategy: dict[str, Any] | None = None, *, name: str = "web", **state: Any) -> None:
    item = {"metadata": {"name": name, "namespace": "shop"}, "spec": {"strategy": BY_HOSTS if strategy is None else strategy}}
    api.put(ROLLOUTS, {**item, "status": GOES_ON | state})


def rule(api: Cluster, host: str) -> None:
    api.put(DESTINATION_RULES, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"host": host}})


def claim(**over: Any) -> Claim:
    return replace(Claim(object=ObjectName(kind="Rollout", namespace="shop", name="web"), reacts_within_seconds=2.0), **over)


async def asked(api: Cluster, verb: str, *, times: int, by: asyncio.Task[str]) -> None:
    """Until it was asked so often, by who goes on."""
    while api.count(verb) < times:
        assert not by.done()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "strategy",
    [
        BY_HOSTS,
        {"canary": {"canaryService": "web-canary", "stableService": "somebody", "trafficRouting": {"smi": {}}}},
        {"canary": {"pingPong": {"pingService": "web-stable", "pongService": "web-canary"}, "trafficRouting": {"alb": {}}}},
    ],
)
async def test_a_rollout_that_names_the_arms_services_steps_their_weights(
    api: Cluster, owner: ArgoRollouts, strategy: dict[str, Any]
) -> None:
    rollout(api, strategy)
    assert await owner.claims(HOSTS) == claim()


@pytest.mark.parametrize("strategy", [{"blueGreen": {"activeService": "web-stable"}}, {"canary": {"canaryService": "web-canary"}}])
async def test_one_that_routes_no_traffic_undoes_nothing(api: Cluster, owner: ArgoRollouts, strategy: dict[str, Any]) -> None:
    rollout(api, strategy)
    assert await owner.claims(HOSTS) == claim(puts_back=False)


@pytest.mark.parametrize("release", [SUBSETS, VERSIONS])
@pytest.mark.parametrize("host", ["web", "web.shop", "web.shop.svc.cluster.local"])
async def test_a_rollout_whose_subsets_are_of_the_releases_service_steps_their_weights(
    api: Cluster, owner: ArgoRollouts, release: Release, host: str
) -> None:
    rollout(api, BY_SUBSETS)
    rule(api, host)
    assert await owner.claims(release) == claim()


async def test_its_rule_is_found_in_an_istio_that_serves_an_earlier_version(api: Cluster, owner: ArgoRollouts) -> None:
    api.groups = {"/apis/networking.istio.io/v1": {"gateways"}, "/apis/networking.istio.io/v1beta1": {"destinationrules"}}
    rollout(api, BY_SUBSETS)
    item = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"host": "web"}}
    api.put(dataclasses.replace(DESTINATION_RULES, version="v1beta1"), item)
    assert await owner.claims(SUBSETS) == claim()


async def test_a_rule_that_may_not_be_read_hides_no_other_rollout(api: Cluster, owner: ArgoRollouts) -> None:
    rollout(api, BY_SUBSETS, name="odd")
    api.forbidden.add("/apis/networking.istio.io/v1/namespaces/shop/destinationrules/web")
    with pytest.raises(Forbidden):
        await owner.claims(HOSTS)
    rollout(api)
    assert await owner.claims(HOSTS) == claim()


async def test_a_rollout_of_other_services_other_subsets_or_another_host_has_nothing_to_do_with_it(
    api: Cluster, owner: ArgoRollouts
) -> None:
    rollout(api, {"canary": {"canaryService": "api-canary", "stableService": "api", "trafficRouting": {"istio": {}}}}, name="api")
    rollout(api, BY_SUBSETS)
    assert await owner.claims(SUBSETS) is None, "its rule is not there"
    rule(api, "web.other.svc.cluster.local")
    assert await owner.claims(SUBSETS) is None
    rule(api, "web")
    assert await owner.claims(replace(SUBSETS, baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))) is None
    assert await owner.claims(replace(SUBSETS, namespace="other")) is None


async def test_a_cluster_without_the_kind_has_no_rollouts(api: Cluster, owner: ArgoRollouts) -> None:
    api.listed.remove("rollouts")
    assert await owner.claims(HOSTS) is None


async def test_an_object_that_is_no_rollout_is_said_and_not_passed_over(api: Cluster, owner: ArgoRollouts) -> None:
    rollout(api, {"canary": {"canaryService": 7}})
    with pytest.raises(Refused, match="web: Expected `str`, got `int`"):
        await owner.claims(HOSTS)
    rollout(api, name="another")
    assert await owner.claims(HOSTS) == claim(object=ObjectName(kind="Rollout", namespace="shop", name="another"))


async def test_one_that_was_aborted_has_given_the_canary_up(api: Cluster, owner: ArgoRollouts) -> None:
    rollout(api, **ABORTED)
    assert await owner.claims(HOSTS) == claim(state="aborted")
    assert await owner.abort(HOSTS, claim()) == "status.abort was set already"
    assert api.count("PATCH") == 0
    rollout(api, name="another")
    assert await owner.claims(HOSTS) == claim(object=ObjectName(kind="Rollout", namespace="shop", name="another"))


async def test_it_is_told_by_its_status_and_by_nothing_else(api: Cluster, owner: ArgoRollouts) -> None:
    rollout(api, phase="Paused")
    before = api.get(ROLLOUTS, "shop", "web")
    unheard = "status.abort is set, and it has not said within 0.05 s that it has aborted"
    assert await owner.abort(HOSTS, claim()) == unheard
    after = api.get(ROLLOUTS, "shop", "web")
    assert after["status"] == {**GOES_ON, "phase": "Paused", "abort": True}
    assert after["spec"] == before["spec"]
    assert {path for method, path in api.requests if method == "PATCH"} == {STATUS}


@pytest.mark.parametrize(
    ("before", "after"),
    [({}, {"promoteFull": False}), ({"promoteFull": False}, {}), ({"promoteFull": True}, {"promoteFull": False})],
)
async def test_one_that_has_not_heard_that_it_is_to_abort_goes_on_and_is_told_again_by_a_change_that_means_nothing(
    api: Cluster, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Its controller takes what a write of its own is answered for newer than what it was told meanwhile."""
    rollout(api, abort=True, **before)
    client = api.client()
    owner = ArgoRollouts(client, heard_within_seconds=30.0)
    assert await owner.claims(HOSTS) == claim()
    telling = asyncio.create_task(owner.abort(HOSTS, claim()))
    await asked(api, "PATCH", times=1, by=telling)
    assert api.get(ROLLOUTS, "shop", "web")["status"] == {**GOES_ON, "abort": True, **after}
    rollout(api, **ABORTED)
    assert await telling == "status.abort is set, and it has aborted"
    await client.close()


async def test_it_is_told_until_it_says_that_it_has_aborted_also_where_it_changes_meanwhile(api: Cluster) -> None:
    rollout(api)
    client = api.client()
    item = api.get(ROLLOUTS, "shop", "web")
    api.faults["PATCH"] = [says(item), status(409, "the object has been modified")]
    telling = asyncio.create_task(ArgoRollouts(client, heard_within_seconds=30.0).abort(HOSTS, claim()))
    await asked(api, "PATCH", times=3, by=telling)
    rollout(api, **ABORTED)
    assert await telling == "status.abort is set, and it has aborted"
    await client.close()


async def test_a_promotion_without_steps_is_ended_too_since_it_would_outdo_the_abort(api: Cluster) -> None:
    rollout(api, promoteFull=True)
    client = api.client()
    telling = asyncio.create_task(ArgoRollouts(client, heard_within_seconds=30.0).abort(HOSTS, claim()))
    await asked(api, "PATCH", times=1, by=telling)
    assert api.get(ROLLOUTS, "shop", "web")["status"] == {**GOES_ON, "abort": True, "promoteFull": False}
    rollout(api, **ABORTED)
    await telling
    await client.close()


async def test_one_that_its_controller_has_not_seen_yet_is_told_as_well(api: Cluster, owner: ArgoRollouts) -> None:
    api.put(ROLLOUTS, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"strategy": BY_HOSTS}})
    await owner.abort(HOSTS, claim())
    assert api.get(ROLLOUTS, "shop", "web")["status"]["abort"] is True


async def test_where_the_canary_has_become_the_stable_version_there_is_nothing_to_abort(api: Cluster, owner: ArgoRollouts) -> None:
    rollout(api, stableRS="new")
    with pytest.raises(Refused, match="made its newest version the stable one: take that back by `kubectl argo rollouts undo web`"):
        await owner.abort(HOSTS, claim())
    assert api.count("PATCH") == 0


async def test_one_that_has_changed_since_it_was_read_may_be_about_another_version(api: Cluster, owner: ArgoRollouts) -> None:
    rollout(api)
    api.faults["PATCH"] = [status(409, "the object has been modified")]
    with pytest.raises(Conflict):
        await owner.abort(HOSTS, claim())


async def test_it_is_waited_for_until_it_says_that_it_has_aborted(api: Cluster) -> None:
    """It may hear of the weights before it hears of the abort, and put them back."""
    rollout(api)
    client = api.client()
    telling = asyncio.create_task(ArgoRollouts(client, heard_within_seconds=30.0).abort(HOSTS, claim()))
    await asked(api, "GET", times=4, by=telling)  # it looks again and again
    rollout(api, **ABORTED)
    assert await telling == "status.abort is set, and it has aborted"
    await client.close()


async def test_where_it_cannot_be_read_whether_it_has_aborted_it_is_told_all_the_same(api: Cluster) -> None:
    rollout(api)
    client = api.client()
    item = api.get(ROLLOUTS, "shop", "web")
    api.faults["GET"] = [says(item), status(403, "may not read it")]
    told = await ArgoRollouts(client, heard_within_seconds=30.0).abort(HOSTS, claim())
    assert "whether it has aborted could not be read" in told
    await client.close()
    assert api.get(ROLLOUTS, "shop", "web")["status"]["abort"] is True
