"""What Flux's own objects say of their source: in the shapes of kustomize-controller and helm-controller."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from daemon.delivery.flux import HELM_RELEASES, KUSTOMIZATIONS, source
from daemon.errors import NotFound, Refused
from daemon.kube.client import KubeClient
from daemon.kube.resources import Resource
from daemon.placement import ObjectName
from tests.kube.stub import status
from tests.meshes.cluster import Cluster, cluster

APPS = ObjectName(kind="Kustomization", namespace="flux-system", name="apps")
WEB = ObjectName(kind="HelmRelease", namespace="shop", name="web")
ROUTE = ObjectName(kind="VirtualService", namespace="shop", name="web")
REVISION = "main@sha1:4f2a731f7eaddfb6af01cb2173e18f0f75b0ba78"
OWNED = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as running:
        for resource in (KUSTOMIZATIONS, HELM_RELEASES):
            running.listed.add(resource.plural)
            running.groups[f"/apis/{resource.group}/{resource.version}"] = {resource.plural}
        yield running


@pytest.fixture
async def kube(api: Cluster) -> AsyncIterator[KubeClient]:
    client = api.client(timeout_seconds=20.0)
    yield client
    await client.close()


def put(api: Cluster, resource: Resource, at: ObjectName, spec: Any, status: Any, **labels: str) -> None:
    metadata = {"namespace": at.namespace, "name": at.name, "labels": labels}
    api.put(resource, {"kind": at.kind, "metadata": metadata, "spec": spec, "status": status})


def kustomization(api: Cluster, *, revision: str = REVISION, **spec: Any) -> None:
    spec = {"interval": "10m0s", "path": "./shop", "prune": True, "sourceRef": {"kind": "GitRepository", "name": "apps"}, **spec}
    conditions = [{"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded"}]
    found = {"lastAppliedRevision": revision, "lastAttemptedRevision": "main@sha1:newer", "conditions": conditions}
    put(api, KUSTOMIZATIONS, APPS, spec, found if revision else {"lastAttemptedRevision": "main@sha1:newer"})


def helm_release(api: Cluster, spec: dict[str, Any], **labels: str) -> None:
    history = [
        {"chartName": "web", "chartVersion": "1.4.0", "version": 7, "status": "deployed"},
        {"chartName": "web", "chartVersion": "1.3.9", "version": 6, "status": "superseded"},
    ]
    chart = {"spec": {"chart": "web", "version": "1.x", "sourceRef": {"kind": "HelmRepository", "name": "charts"}}}
    put(api, HELM_RELEASES, WEB, {"interval": "5m", "chart": chart, **spec}, {"history": history}, **labels)


async def test_a_kustomization_says_the_source_that_it_names_and_the_revision_that_it_applied_last(
    api: Cluster, kube: KubeClient
) -> None:
    kustomization(api)
    found = await source(kube, APPS)
    assert str(found) == f"GitRepository flux-system/apps, ./shop, at revision {REVISION}"
    assert found.applied_again == "it is applied again at each reconciliation, every 10m0s"
    assert found.spared(ROUTE) == ()


async def test_a_source_of_another_namespace_is_named_by_it(api: Cluster, kube: KubeClient) -> None:
    kustomization(api, sourceRef={"kind": "OCIRepository", "name": "apps", "namespace": "sources"}, path="")
    assert str(await source(kube, APPS)) == f"OCIRepository sources/apps, at revision {REVISION}"


async def test_of_an_artifact_that_was_made_from_git_the_revision_there_is_what_was_deployed(
    api: Cluster, kube: KubeClient
) -> None:
    status = {"lastAppliedRevision": "latest@sha256:5c", "lastAppliedOriginRevision": "main@sha1:77"}
    put(api, KUSTOMIZATIONS, APPS, {"interval": "10m"}, status)
    found = await source(kube, APPS)
    assert (found.revision, found.deployed, found.initiated_by) == ("latest@sha256:5c", "main@sha1:77", "")


async def test_one_that_has_applied_nothing_yet_says_so(api: Cluster, kube: KubeClient) -> None:
    kustomization(api, revision="")
    assert str(await source(kube, APPS)) == "GitRepository flux-system/apps, ./shop, of which no revision is applied"


async def test_one_that_is_suspended_applies_nothing_meanwhile(api: Cluster, kube: KubeClient) -> None:
    kustomization(api, suspend=True)
    assert (await source(kube, APPS)).applied_again == "it is not applied again while that is suspended"


@pytest.mark.parametrize(
    ("target", "spared"),
    [
        (None, ("/spec/http",)),
        ({"kind": "VirtualService"}, ("/spec/http",)),
        ({"kind": "VirtualService", "namespace": "shop", "name": "w.*"}, ("/spec/http",)),
        ({"kind": "Deployment"}, ()),
        ({"name": "other"}, ()),
        ({"name": "("}, ()),
    ],
)
async def test_what_it_ignores_is_spared_in_the_objects_that_are_meant(
    api: Cluster, kube: KubeClient, target: Any, spared: tuple[str, ...]
) -> None:
    kustomization(api, ignore=[{"paths": ["/spec/http"], **({"target": target} if target else {})}])
    assert (await source(kube, APPS)).spared(ROUTE) == spared


async def test_a_helm_release_says_its_chart_and_where_it_comes_from_itself(api: Cluster, kube: KubeClient) -> None:
    kustomization(api)
    helm_release(api, {}, **OWNED)
    found = await source(kube, WEB)
    assert str(found) == (
        "chart web of HelmRepository shop/charts, at revision 1.4.0; "
        f"HelmRelease shop/web itself comes from GitRepository flux-system/apps, ./shop, at revision {REVISION}"
    )
    assert found.applied_again == "it is applied again at its next upgrade, since it is not told to look for drift"


async def test_a_helm_release_whose_kustomization_cannot_be_read_says_that_of_it(api: Cluster, kube: KubeClient) -> None:
    helm_release(api, {"chart": None, "chartRef": {"kind": "OCIRepository", "name": "web"}}, **OWNED)
    path = KUSTOMIZATIONS.path(namespace="flux-system", name="apps")
    api.faults[f"GET {path}"] = [status(403, "may not")]
    said = str(await source(kube, WEB))
    assert said.startswith("chart web of OCIRepository shop/web, at revision 1.4.0; HelmRelease shop/web is applied by Flux")
    assert "of which no more could be read (" in said


@pytest.mark.parametrize(
    ("spec", "applied_again"),
    [
        ({"driftDetection": {"mode": "enabled"}}, "it is applied again at each reconciliation, every 5m"),
        ({"driftDetection": {"mode": "warn"}}, "it is applied again at its next upgrade, since it is not told to look for drift"),
        ({"suspend": True, "driftDetection": {"mode": "enabled"}}, "it is not applied again while that is suspended"),
    ],
)
async def test_a_helm_release_is_applied_again_as_it_looks_for_drift(
    api: Cluster, kube: KubeClient, spec: dict[str, Any], applied_again: str
) -> None:
    helm_release(api, spec)
    assert (await source(kube, WEB)).applied_again == applied_again


async def test_drift_that_a_helm_release_ignores_is_spared(api: Cluster, kube: KubeClient) -> None:
    ignored = {"paths": ["/spec/http/0/route"], "target": {"kind": "VirtualService"}}
    helm_release(api, {"driftDetection": {"mode": "enabled", "ignore": [ignored]}})
    assert (await source(kube, WEB)).spared(ROUTE) == ("/spec/http/0/route",)


async def test_one_that_is_not_there_or_is_not_named_whole_is_not_known(api: Cluster, kube: KubeClient) -> None:
    with pytest.raises(NotFound):
        await source(kube, APPS)
    with pytest.raises(Refused, match="Kustomization apps names no namespace"):
        await source(kube, ObjectName(kind="Kustomization", name="apps"))
    put(api, KUSTOMIZATIONS, APPS, {"interval": 5}, {})
    with pytest.raises(Refused, match=r"Kustomization apps: .*interval"):
        await source(kube, APPS)
