"""What the documents have somebody do with kubectl is done, by kubectl itself, on a real API server; helm says whether it takes the
values that they set.

No kubelet is there, and no controller: what looks into a pod or at a Deployment's past is read only (``tests.docs.kubernetes``).
Helm's own commands are played in ``test_install_page`` and ``test_chart_applied``.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.docs import shell
from tests.docs.programs import PLUMBING
from tests.docs.shell import Call, Called, Script
from tests.docs.test_commands import GIVEN, typed
from tests.hand import istio_objects
from tests.hand.istio_cluster import post
from tests.packaging.chart import helm
from tests.packaging.installation import ROOT
from tests.servers.crds import install_crds
from tests.servers.kube_apiserver import KubeApiServer, cluster
from tests.servers.locate import require, require_crds

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("kubectl"),
    pytest.mark.timeout(180),
]

NAMESPACES: Final = ("shop", "ci", "argocd", "flagger-system", "flux-system")
"""Of the reader's; the page makes that of verdictd."""
TOOLS: Final = (
    ("argoproj.io", "v1alpha1", "Application"),
    ("tekton.dev", "v1", "Task"),
    ("notification.toolkit.fluxcd.io", "v1beta3", "Provider"),
    ("notification.toolkit.fluxcd.io", "v1beta3", "Alert"),
    ("kustomize.toolkit.fluxcd.io", "v1", "Kustomization"),
)
"""What other tools define and we do not have: any field is one."""
NOT_HERE: Final = (("exec",), ("logs",), ("rollout", "undo"), ("argo",), ("describe",))
"""What needs a kubelet, a controller or a plugin."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KubeApiServer]:
    """A cluster in which somebody uses Istio, Argo, Flagger, Flux and Tekton, before verdictd comes."""
    require("kubectl")
    async with cluster(tmp_path_factory.mktemp("cluster")) as server:
        for definitions in ("istio", "argo-rollouts", "flagger"):
            await install_crds(server, require_crds(definitions))
        file = tmp_path_factory.mktemp("tools") / "tools.yaml"
        await install_crds(server, await asyncio.to_thread(written, file))
        for name in NAMESPACES:
            await post(server, "/api/v1/namespaces", {"metadata": {"name": name}})
        await post(server, "/api/v1/namespaces/argocd/configmaps", {"metadata": {"name": "argocd-notifications-cm"}})
        application = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "shop"}}
        await post(server, "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications", application)
        route = istio_objects.virtual_service()
        route["metadata"] = {"name": "web"}
        await post(server, "/apis/networking.istio.io/v1/namespaces/shop/virtualservices", route)
        labels = {"app": "web", "track": "canary"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "reg/web:2"}]}}
        second = {"metadata": {"name": "web-canary"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
        await post(server, "/apis/apps/v1/namespaces/shop/deployments", second)
        yield server


def written(file: Path) -> Path:
    file.write_text("\n---\n".join(json.dumps(definition(*one)) for one in TOOLS), encoding="utf-8")
    return file


def definition(group: str, version: str, kind: str) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


def read(folder: Path) -> list[tuple[Script, Called]]:
    """What bash would call on each page."""
    (folder / "web.yaml").touch()
    scripts = [*typed()]
    return [*zip(scripts, shell.called(scripts, folder=folder, env=GIVEN), strict=True)]


def here(script: Script, calls: Sequence[Call]) -> bool:
    """Whether it is kubectl's, whole, and can be done in this cluster."""
    if not any(call.program == "kubectl" for call in calls) or {call.program for call in calls} - {"kubectl"} - PLUMBING:
        return False
    words = [call.words[2:] if call.words[0] == "-n" else call.words for call in calls if call.program == "kubectl"]
    named = script.inline and any(all(word.startswith("-") for word in one[1:]) for one in words)
    return not named and not any(one[: len(begins)] == begins for one in words for begins in NOT_HERE)


def done(folder: Path) -> Iterator[Script]:
    """The scripts in the order of somebody who installs it, uses it, and takes it away; each once."""
    found = {script.text: script for script, one in read(folder) if here(script, one.calls)}
    pages = ("deploy/README.md", "docs/install.md")
    yield from sorted(found.values(), key=lambda script: (" delete " in script.text, script.page not in pages, script.page))


async def test_kubectl_does_what_the_pages_have_it_do(api: KubeApiServer, tmp_path: Path) -> None:
    config = await asyncio.to_thread(api.write_kubeconfig, tmp_path / "kubeconfig")
    env = {**GIVEN, "KUBECONFIG": str(config), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    scripts = [*done(tmp_path)]
    wrong = []
    for script in scripts:
        if " delete " in script.text:
            await claimed(api)
        code, said = await ended(script, env)
        if code or "(NotFound)" in said:
            wrong.append(f"{script.place}: {script.text.strip()} ends with {code}: {said}")
    assert not wrong, "\n\n".join(wrong)
    assert {script.page for script in scripts} >= {"deploy/README.md", "docs/watching.md", "docs/tools/flagger.md"}


async def claimed(api: KubeApiServer) -> None:
    """The broker's volume, which no controller here would let go of."""
    path = "/api/v1/namespaces/verdictd/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await post(api, path, {"metadata": {"name": "verdictd"}, "spec": spec})
    headers = {"Content-Type": "application/merge-patch+json"}
    async with (
        api.session() as admin,
        admin.patch(f"{path}/verdictd", json={"metadata": {"finalizers": None}}, headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def ended(script: Script, env: dict[str, str]) -> tuple[int | None, str]:
    """How bash ends with it in the checkout, and what was said."""
    process = await asyncio.create_subprocess_exec(
        shell.BASH, "-euo", "pipefail", "-c", script.text, cwd=ROOT, env=env,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_helm_takes_the_values_that_the_pages_set(tmp_path: Path) -> None:
    """An upgrade's go over those of the installation before it, as --reset-then-reuse-values has it."""
    calls = [call for _, one in read(tmp_path) for call in one.calls if call.program == "helm" and len(call.words) > 1]
    values = {call.words[0]: [word for word in call.words if "=" in word] for call in calls}
    assert {"install", "upgrade", "test", "uninstall"} <= values.keys()
    settings = [("--set", value) for value in values["install"]]
    for call in calls:
        verb, *rest = call.words
        helps = await asyncio.to_thread(helm, verb, "--help")
        assert [word for word in rest if word.startswith("--") and f" {word} " not in helps.replace("\n", " ")] == []
        if verb in {"install", "upgrade"}:
            over = [("--set", word) for word in rest if "=" in word]
            flat = [word for pair in [*settings, *over] for word in pair]
            assert "kind: Deployment" in await asyncio.to_thread(helm, "template", rest[0], rest[1], *flat)
