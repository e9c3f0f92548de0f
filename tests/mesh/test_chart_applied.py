"""The chart on a real API server: what it renders is taken, and Helm installs, refuses and upgrades it.

No kubelet runs here: what the pods would run is run as processes (``tests.mesh.kubelet``).
"""

import asyncio
import base64
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from tests.hand.istio_cluster import delete, post
from tests.mesh.kubelet import get, played_check
from tests.packaging.chart import CHART, NAMESPACE, RELEASE, VARIANTS, asked, commands, helm, pods, variant
from tests.packaging.manifests import Json, the
from tests.servers.crds import install_crds
from tests.servers.kube_apiserver import KubeApiServer, cluster
from tests.servers.locate import require_crds

pytestmark = [pytest.mark.mesh, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("chart")]

CORE = f"/api/v1/namespaces/{NAMESPACE}"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/verdictd"
INGRESSES = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/ingresses"
_PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}
_CLUSTERS = {"ClusterRole", "ClusterRoleBinding"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    """A cluster with the definitions of the Prometheus operator, the manifests' own namespace, which holds pods to what they
    need, and two that are watched."""
    async with cluster(tmp_path_factory.mktemp("cluster")) as server:
        for definitions in ("servicemonitors", "prometheusrules"):
            await install_crds(server, require_crds(definitions))
        await post(server, "/api/v1/namespaces", the("Namespace"))
        for name in ("shop", "blog"):
            await post(server, "/api/v1/namespaces", {"metadata": {"name": name}})
        yield server


@pytest.fixture
def kubeconfig(api: KubeApiServer, tmp_path: Path) -> Path:
    return api.write_kubeconfig(tmp_path / "kubeconfig")


def path_of(document: Json) -> str:
    kind, version, metadata = document["kind"], document["apiVersion"], document["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    within = "" if kind in _CLUSTERS else f"/namespaces/{metadata['namespace']}"
    return f"{root}{within}/{_PLURALS.get(kind, kind.lower() + 's')}/{metadata['name']}"


async def applied(api: KubeApiServer, document: Json) -> None:
    """What `kubectl apply --server-side --dry-run=server` would do, with unknown fields refused."""
    headers = {"Content-Type": "application/apply-patch+yaml"}
    query = {"dryRun": "All", "fieldManager": "test", "fieldValidation": "Strict"}
    async with (
        api.session() as session,
        session.patch(path_of(document), params=query, json=document, headers=headers) as answer,
    ):
        assert answer.status in {200, 201}, (document["kind"], await answer.text())
        await answer.read()


@pytest.mark.parametrize("name", VARIANTS)
async def test_the_api_server_takes_all_of_it_and_admits_the_pods_at_the_strictest_level(api: KubeApiServer, name: str) -> None:
    found = await asyncio.to_thread(variant, name)
    for document in found:
        await applied(api, document)
    for number, pod in enumerate(pods(found)):
        # The account is made by the same release, which is not there in a dry run.
        spec = {key: value for key, value in pod["spec"].items() if key != "serviceAccountName"} | {"serviceAccountName": "default"}
        metadata = {**pod["metadata"], "name": f"pod-{number}", "namespace": NAMESPACE}
        await applied(api, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


async def installed(
    api: KubeApiServer, kubeconfig: Path, folder: Path, *words: str | Path
) -> tuple["subprocess.CompletedProcess[str]", tuple[int, str]]:
    """Helm's answer, and how the check that it waits for has ended and what it said."""
    words = ("install", words[0], CHART, "--namespace", NAMESPACE, *words[1:])
    async with asyncio.TaskGroup() as both:
        installing = both.create_task(asyncio.to_thread(asked, *words, kubeconfig=kubeconfig))
        checking = both.create_task(played_check(api, namespace=NAMESPACE, folder=folder))
    return installing.result(), checking.result()


async def test_settings_that_only_the_daemon_knows_to_be_wrong_stop_the_installation(
    api: KubeApiServer, kubeconfig: Path, tmp_path: Path
) -> None:
    wrong = ("--set", "config.meshes.istio.telemetry=elsewhere", "--set", "fullnameOverride=verdictd")
    done, (code, said) = await installed(api, kubeconfig, tmp_path, "wrong", *wrong)
    assert code == 64
    assert "meshes.istio.telemetry names 'elsewhere', which is not under telemetry (prometheus); add it there" in said
    assert done.returncode != 0
    assert "job verdictd-check failed" in done.stderr
    async with api.session() as session, session.get(DEPLOYMENT) as answer:
        await answer.read()
        assert answer.status == 404
    await asyncio.to_thread(helm, "uninstall", "wrong", "--namespace", NAMESPACE, kubeconfig=kubeconfig)
    assert await left_of(api, "wrong") == ["verdictd-check jobs"], "there to be read"


async def test_a_daemon_that_the_plain_manifests_run_is_ended_before_the_chart_runs_another_beside_it(
    api: KubeApiServer, kubeconfig: Path
) -> None:
    """One of 0.1 knows of no other, and gives way to none."""
    await post(api, DEPLOYMENT.rpartition("/")[0], the("Deployment"))
    words = ("install", "another", CHART, "--namespace", NAMESPACE, "--dry-run=server")
    try:
        done = await asyncio.to_thread(asked, *words, kubeconfig=kubeconfig)
        assert done.returncode != 0
        assert "deployment/verdictd in the namespace verdictd runs a daemon that Helm has not installed" in done.stderr
        assert done.stderr.rstrip().endswith("kubectl -n verdictd delete deployment/verdictd")
        assert (await asyncio.to_thread(asked, *words, "--set", "check.enabled=false", kubeconfig=kubeconfig)).returncode == 0
    finally:
        await delete(api, DEPLOYMENT)
    done = await asyncio.to_thread(asked, *words, kubeconfig=kubeconfig)
    assert done.returncode == 0, done.stderr


async def test_upgrades_bind_and_expose_and_the_token_is_kept_as_the_volume_is_over_upgrades_and_what_is_uninstalled(
    api: KubeApiServer, kubeconfig: Path, tmp_path: Path
) -> None:
    done, (code, said) = await installed(api, kubeconfig, tmp_path, RELEASE)
    assert (code, said.strip()[-24:], done.returncode) == (0, ": a usable settings file", 0)
    the_notes_end_with_the_two_commands_that_are_needed_next(done.stdout)
    before = (await get(api, f"{CORE}/secrets/verdictd-token"))["data"]["token"]
    assert len(base64.b64decode(before)) == 64
    within = ("--namespace", NAMESPACE)
    for upgrade in commands("helm upgrade"):
        await asyncio.to_thread(helm, *upgrade[1:], "--no-hooks", kubeconfig=kubeconfig)
    settings = yaml.safe_load((await get(api, f"{CORE}/configmaps/verdictd"))["data"]["verdictd.yaml"])
    assert (settings["sources"]["cluster"]["mode"], settings["policies"]["default"]["mode"]) == ("enforce", "enforce")
    assert (await get(api, f"{CORE}/secrets/verdictd-token"))["data"]["token"] == before
    (ingress,) = (await get(api, INGRESSES))["items"]
    assert settings["http"]["public_url"] == f"https://{ingress['spec']['tls'][0]['hosts'][0]}"
    bound = await get(api, "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/rolebindings")
    assert [one["roleRef"]["name"] for one in bound["items"]] == ["verdictd-enforce"]
    await asyncio.to_thread(helm, "uninstall", RELEASE, *within, kubeconfig=kubeconfig)
    assert await left_of(api, RELEASE) == ["verdictd-token secrets", "verdictd persistentvolumeclaims"]
    await asyncio.to_thread(helm, "install", RELEASE, CHART, *within, "--no-hooks", kubeconfig=kubeconfig)
    assert (await get(api, f"{CORE}/secrets/verdictd-token"))["data"]["token"] == before


async def left_of(api: KubeApiServer, release: str) -> list[str]:
    """What there is of a release, by its labels."""
    kinds = ("secrets", "persistentvolumeclaims", "configmaps", "services", "serviceaccounts")
    paths = [f"{CORE}/{kind}" for kind in kinds]
    paths += [f"/apis/{group}/namespaces/{NAMESPACE}/{kind}" for group, kind in (("apps/v1", "deployments"), ("batch/v1", "jobs"))]
    paths += [INGRESSES, f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies"]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    paths += [f"{rbac}/{kind}" for kind in ("rolebindings", "clusterroles", "clusterrolebindings")]
    return [
        f"{one['metadata']['name']} {path.rsplit('/', 1)[1]}"
        for path in paths
        for one in (await get(api, path))["items"]
        if one["metadata"].get("labels", {}).get("app.kubernetes.io/instance") == release
    ]


def the_notes_end_with_the_two_commands_that_are_needed_next(said: str) -> None:
    notes = said.split("NOTES:")[1].strip()
    exec_in = f"  kubectl -n {NAMESPACE} exec deploy/verdictd -- verdictd"
    commands = [line for line in notes.splitlines() if line.startswith("  kubectl ")]
    assert commands == [f"{exec_in} doctor --config /etc/verdictd/verdictd.yaml", f"{exec_in} status"]
    assert notes.endswith(commands[-1])
