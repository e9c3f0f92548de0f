"""The tools of Git in one cluster: each mark is read by its own tool, and by none that nobody knows."""

from pathlib import Path

import pytest

from daemon.delivery.argocd import APPLICATIONS
from daemon.delivery.flux import HELM_RELEASES, KUSTOMIZATIONS
from daemon.delivery.gittools import BUILT_IN, ClusterGitTools
from daemon.errors import Refused
from daemon.kube.resources import ROLLOUTS, WORKLOADS, Resource
from daemon.placement import Applier, ObjectName
from tests.meshes.cluster import cluster


@pytest.mark.parametrize(
    ("tool", "resource", "spec", "said"),
    [
        ("Argo CD", APPLICATIONS, {"source": {"repoURL": "https://git.example.com/shop"}}, "https://git.example.com/shop, "),
        ("Flux", KUSTOMIZATIONS, {"sourceRef": {"kind": "Bucket", "name": "apps"}}, "Bucket ops/apps, "),
        ("Flux", HELM_RELEASES, {"chart": {"spec": {"chart": "web"}}}, "chart web, "),
    ],
    ids=str,
)
async def test_a_mark_is_read_by_its_own_tool(tmp_path: Path, tool: str, resource: Resource, spec: object, said: str) -> None:
    async with cluster(tmp_path) as api:
        api.groups[f"/apis/{resource.group}/{resource.version}"] = {resource.plural}
        api.put(resource, {"kind": resource.kind, "metadata": {"namespace": "ops", "name": "apps"}, "spec": spec})
        kube = api.client(timeout_seconds=20.0)
        try:
            named = ObjectName(kind=resource.kind, namespace="ops", name="apps")
            assert str(await ClusterGitTools(kube).source(Applier(tool=tool, object=named))).startswith(said)
            with pytest.raises(Refused, match=r"Other \(\w+ ops/apps\): nothing here reads what that applies"):
                await ClusterGitTools(kube).source(Applier(tool="Other", object=named))
        finally:
            await kube.close()


MARKED = {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "ops"}}


@pytest.mark.parametrize("resource", [WORKLOADS[0], WORKLOADS[1], ROLLOUTS], ids=str)
async def test_what_applies_a_workload_is_read_off_it_whatever_its_kind(tmp_path: Path, resource: Resource) -> None:
    async with cluster(tmp_path) as api:
        for one in (*WORKLOADS, ROLLOUTS):
            api.groups.setdefault(f"/apis/{one.group}/{one.version}", set()).add(one.plural)
        for name, marks in (("web", MARKED), ("alone", {})):
            api.put(resource, {"kind": resource.kind, "metadata": {"namespace": "shop", "name": name, **marks}})
        kube = api.client(timeout_seconds=20.0)
        try:
            git = ClusterGitTools(kube)
            found = [await git.applier(ObjectName(kind="workload", namespace="shop", name=one)) for one in ("web", "alone", "gone")]
        finally:
            await kube.close()
    by = Applier(tool="Flux", object=ObjectName(kind="Kustomization", namespace="ops", name="apps"))
    assert found == [by, None, None]


def test_they_may_read_and_nothing_else() -> None:
    verbs = {verb for kind in BUILT_IN for right in kind.rights for verb in right.verbs}
    assert verbs == {"get", "list"}
