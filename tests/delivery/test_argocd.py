"""What an Application of Argo CD says of its source, and of what it is told to leave alone."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from daemon.delivery.argocd import APPLICATIONS, source
from daemon.errors import NotFound, Refused
from daemon.kube.client import KubeClient
from daemon.placement import ObjectName
from tests.meshes.cluster import Cluster, cluster

SHOP = ObjectName(kind="Application", name="shop")
ROUTE = ObjectName(kind="VirtualService", namespace="shop", name="web")
REVISION = "731f7eaddfb6af01cb2173e18f0f75b0ba780ef1"
REPO = {"repoURL": "https://git.example.com/shop.git", "path": "deploy", "targetRevision": "main"}
WEIGHTS = ".spec.http[].route[].weight"
IGNORED = {"group": "networking.istio.io", "kind": "VirtualService", "jqPathExpressions": [WEIGHTS]}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as running:
        running.listed.add(APPLICATIONS.plural)
        yield running


@pytest.fixture
async def kube(api: Cluster) -> AsyncIterator[KubeClient]:
    client = api.client(timeout_seconds=20.0)
    yield client
    await client.close()


def application(
    api: Cluster, *, namespace: str = "argocd", name: str = "shop", sync: Any = None, status: Any = None, **spec: Any
) -> None:
    metadata = {"namespace": namespace, "name": name}
    found = {
        **(status or {}),
        "sync": {"status": "Synced", "revision": REVISION} if sync is None else sync,
        "health": {"status": "Healthy"},
    }
    spec = {"project": "default", **({} if "sources" in spec else {"source": REPO}), **spec}
    api.put(APPLICATIONS, {"kind": "Application", "metadata": metadata, "spec": spec, "status": found})


async def test_it_is_found_by_its_name_and_says_repository_path_and_revision(api: Cluster, kube: KubeClient) -> None:
    application(api)
    application(api, name="other")
    assert str(await source(kube, SHOP)) == f"https://git.example.com/shop.git, deploy, at revision {REVISION}"


async def test_one_of_another_namespace_is_asked_there(api: Cluster, kube: KubeClient) -> None:
    application(api, namespace="team", source={**REPO, "path": "", "chart": "web"})
    found = await source(kube, ObjectName(kind="Application", namespace="team", name="shop"))
    assert found.of == "https://git.example.com/shop.git, chart web"


async def test_several_sources_are_said_with_their_revisions(api: Cluster, kube: KubeClient) -> None:
    other = {"repoURL": "https://charts.example.com", "chart": "web"}
    application(api, sources=[REPO, other], sync={"status": "Synced", "revisions": [REVISION, "1.4.0"]})
    assert str(await source(kube, SHOP)) == (
        f"https://git.example.com/shop.git, deploy and https://charts.example.com, chart web, at revision {REVISION} and 1.4.0"
    )


async def test_what_an_address_holds_of_credentials_is_not_told(api: Cluster, kube: KubeClient) -> None:
    application(api, source={"repoURL": "https://robot:hunter2@git.example.com:8443/shop.git"})
    assert (await source(kube, SHOP)).of == "https://git.example.com:8443/shop.git"


async def test_an_address_in_sshs_own_form_is_told(api: Cluster, kube: KubeClient) -> None:
    application(api, source={"repoURL": "git@git.example.com:team/shop.git"})
    assert (await source(kube, SHOP)).of == "git@git.example.com:team/shop.git"


@pytest.mark.parametrize(
    ("policy", "applied_again"),
    [
        (None, "it is applied again when somebody syncs it"),
        ({"automated": {}}, "it is applied again at the next sync, as of a new revision"),
        ({"automated": {"selfHeal": True, "prune": True}}, "it is applied again at once, since it heals itself"),
        ({"automated": {"selfHeal": True, "enabled": False}}, "it is applied again when somebody syncs it"),
    ],
)
async def test_when_it_is_applied_again_is_as_it_is_synced(api: Cluster, kube: KubeClient, policy: Any, applied_again: str) -> None:
    application(api, **({"syncPolicy": policy} if policy is not None else {}))
    assert (await source(kube, SHOP)).applied_again == applied_again


@pytest.mark.parametrize(
    ("rule", "spared"),
    [
        (IGNORED, (WEIGHTS,)),
        ({"group": "*", "kind": "*", "jsonPointers": ["/spec/http"]}, ("/spec/http",)),
        ({**IGNORED, "name": "web", "namespace": "shop"}, (WEIGHTS,)),
        ({**IGNORED, "managedFieldsManagers": ["verdictd"]}, (WEIGHTS, "all that verdictd has written")),
        ({**IGNORED, "managedFieldsManagers": ["kubectl"]}, (WEIGHTS,)),
        ({**IGNORED, "name": "we"}, ()),
        ({**IGNORED, "namespace": "other"}, ()),
        ({**IGNORED, "kind": "Virtual"}, ()),
    ],
)
async def test_differences_that_it_ignores_are_spared_in_the_objects_that_are_meant(
    api: Cluster, kube: KubeClient, rule: dict[str, Any], spared: tuple[str, ...]
) -> None:
    application(api, ignoreDifferences=[rule])
    assert (await source(kube, SHOP)).spared(ROUTE) == spared


async def test_a_sync_writes_what_is_ignored_unless_it_is_told_to_respect_that(api: Cluster, kube: KubeClient) -> None:
    application(api, ignoreDifferences=[IGNORED])
    assert (await source(kube, SHOP)).unspared == "a sync writes them all the same without RespectIgnoreDifferences=true"
    application(api, ignoreDifferences=[IGNORED], syncPolicy={"syncOptions": ["RespectIgnoreDifferences=true"]})
    assert (await source(kube, SHOP)).unspared == ""


async def test_one_that_is_not_there_or_may_be_several_is_not_known(api: Cluster, kube: KubeClient) -> None:
    with pytest.raises(NotFound, match="there is no Application shop"):
        await source(kube, SHOP)
    for namespace in ("argocd", "team"):
        application(api, namespace=namespace)
    with pytest.raises(Refused, match="Applications shop in the namespaces argocd, team, and which one is meant is not marked"):
        await source(kube, SHOP)


NEWER = "9b1e0c77ab30c1b4fce4ab3b2fd1c6ddc9ab1c52"
ANA = {"initiatedBy": {"username": "ana"}}
PAST = [{"id": 1, "revision": "older", "initiatedBy": {"username": "ben"}}, {"id": 2, "revision": REVISION, **ANA}]


def ran(phase: str, **more: Any) -> dict[str, Any]:
    return {"operationState": {"phase": phase, "operation": ANA, "syncResult": {"revision": NEWER}, **more}, "history": PAST}


@pytest.mark.parametrize(
    ("status", "deployed", "initiated_by"),
    [
        ({}, REVISION, ""),
        (ran("Succeeded"), NEWER, "ana"),
        (ran("Running"), NEWER, "ana"),
        (ran("Running", syncResult=None), REVISION, "ana"),
        (ran("Succeeded", operation={"initiatedBy": {"automated": True}}), NEWER, "Argo CD's automated sync"),
        (ran("Succeeded", operation={"initiatedBy": {}}), NEWER, ""),
        (ran("Succeeded", operation={}), NEWER, ""),
        (ran("Succeeded", syncResult={"revisions": [NEWER, "1.4.0"]}), f"{NEWER} and 1.4.0", "ana"),
        (ran("Failed", operation={"initiatedBy": {"username": "zoe"}}), REVISION, "ana"),
        ({**ran("Error"), "history": []}, REVISION, ""),
        ({"history": PAST}, REVISION, "ana"),
    ],
)
async def test_it_says_which_revision_its_last_sync_has_applied_and_who_had_it_do_so(
    api: Cluster, kube: KubeClient, status: Any, deployed: str, initiated_by: str
) -> None:
    application(api, status=status)
    found = await source(kube, SHOP)
    assert (found.deployed or found.revision, found.initiated_by) == (deployed, initiated_by)
    assert found.revision == REVISION, "what must change in Git is what it is compared with"
