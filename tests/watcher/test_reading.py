"""What stands around routes, read from an API server: what is not there, may not be read, or has another form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from daemon.delivery import owners
from daemon.delivery.ownerkind import Owning
from daemon.discovery.owned import Owned
from daemon.errors import TransientError, VerdictdError
from daemon.kube.client import KubeClient
from daemon.kube.resources import PODS, REPLICA_SETS, ROLLOUTS, SERVICES, WORKLOADS
from daemon.meshes.istio.mesh import DESTINATION_RULES
from daemon.watcher.reading import Around, Cluster, together
from tests.meshes.cluster import Cluster as Stub
from tests.meshes.cluster import cluster
from tests.watcher.test_owners import replica_set, rollout
from tests.watcher.world import NAMESPACE, deployment, destination_rule, service

OWNING = [kind.owning for kind in owners.kinds().values() if kind.owning is not None]
DEPLOYMENTS = WORKLOADS[0]


@pytest.fixture
async def stub(tmp_path: Path) -> AsyncIterator[Stub]:
    async with cluster(tmp_path) as running:
        running.listed |= {"deployments", "statefulsets", "daemonsets", "replicasets", "rollouts"}
        running.groups["/apis/argoproj.io/v1alpha1"] = {"rollouts"}
        yield running


@pytest.fixture
async def kube(stub: Stub) -> AsyncIterator[KubeClient]:
    client = stub.client()
    yield client
    await client.close()


async def read(kube: KubeClient) -> Around:
    return await Cluster(kube, owning=OWNING).around(NAMESPACE)


async def test_services_workloads_and_owners_are_read_and_a_kind_that_is_not_there_has_no_objects(
    stub: Stub, kube: KubeClient
) -> None:
    stub.put(SERVICES, service(annotations={"verdictd.io/policy": "strict"}))
    stub.put(DEPLOYMENTS, deployment("web-v1", image="reg/web:1"))
    found = await read(kube)
    assert found.surroundings.services == {(NAMESPACE, "web"): {"app": "web"}}
    assert [one.name for one in found.surroundings.workloads] == ["web-v1"]
    assert found.annotations[NAMESPACE, "web"] == {"verdictd.io/policy": "strict"}
    assert not found.surroundings.unread


async def test_replica_sets_are_read_only_where_a_rollout_has_made_them(stub: Stub, kube: KubeClient) -> None:
    def made(revision: str, by: str, **spec: Any) -> None:
        item = replica_set(revision)
        metadata = {**item["metadata"], "ownerReferences": [{"kind": by, "name": "web"}]}
        stub.put(REPLICA_SETS, {**item, "metadata": metadata, "spec": {**item["spec"], **spec}})

    made("111", "Rollout")
    assert not (await read(kube)).surroundings.workloads
    stub.put(ROLLOUTS, rollout("222"))
    made("222", "Rollout", replicas=0)
    made("333", "Deployment")
    found = (await read(kube)).surroundings
    assert [one.name for one in found.workloads] == ["web-111"]
    assert [str(one) for one in found.owned] == ["Rollout shop/web"]


async def test_what_may_not_be_read_or_has_another_form_is_said_and_the_rest_is_read(stub: Stub, kube: KubeClient) -> None:
    stub.forbidden.add(DEPLOYMENTS.path(namespace=NAMESPACE))
    stub.put(SERVICES, service())
    stub.put(ROLLOUTS, {**rollout("222"), "status": "unwell"})
    found = (await read(kube)).surroundings
    assert found.services
    rollouts, deployments = found.unread
    assert rollouts.startswith("Rollout shop/web: the Rollout cannot be read: ")
    assert deployments.startswith("deployments.apps of shop could not be read: ")


async def test_an_owner_whose_reader_has_a_defect_is_said_and_the_rest_is_read(stub: Stub, kube: KubeClient) -> None:
    def unreadable(item: Any) -> Owned:
        raise ZeroDivisionError

    stub.put(SERVICES, service())
    stub.put(ROLLOUTS, rollout("222"))
    found = (await Cluster(kube, owning=[Owning(resource=ROLLOUTS, read=unreadable)]).around(NAMESPACE)).surroundings
    assert found.services
    assert found.unread == ("Rollout shop/web cannot be read, through a defect (ZeroDivisionError)",)


async def test_what_the_api_server_does_not_say_now_is_not_taken_for_not_there(stub: Stub, kube: KubeClient) -> None:
    stub.failing[SERVICES.path(namespace=NAMESPACE)] = 1
    with pytest.raises(TransientError):
        await read(kube)


async def test_what_is_meant_in_routes_is_all_of_its_kind_or_why_not(stub: Stub, kube: KubeClient) -> None:
    there = Cluster(kube, owning=OWNING)
    stub.put(DESTINATION_RULES, destination_rule("v1"))
    beside = await there.beside(DESTINATION_RULES)
    rules = beside[DESTINATION_RULES]
    assert not isinstance(rules, VerdictdError)
    assert [one["metadata"]["name"] for one in rules] == ["web"]
    stub.forbidden.add(DESTINATION_RULES.path())
    assert isinstance((await there.beside(DESTINATION_RULES))[DESTINATION_RULES], VerdictdError)


def test_several_namespaces_are_one_world_and_what_is_said_of_all_is_said_once() -> None:
    one = Around(annotations={("a", "web"): {"x": "1"}})
    other = Around(annotations={("b", "web"): {"x": "2"}})
    assert together([one, other]).annotations == {("a", "web"): {"x": "1"}, ("b", "web"): {"x": "2"}}


async def test_it_watches_where_it_is_told(kube: KubeClient) -> None:
    source: Any = Cluster(kube, owning=OWNING).source(PODS, NAMESPACE)
    assert (source.resource, source.namespace) == (PODS, NAMESPACE)
