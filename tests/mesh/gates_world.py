"""Gates on the way of real controllers: the templates of docs/gates.md, with the addresses and names of a test in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from yarl import URL

from config.settings import Gate, Gates
from daemon.kube.client import KubeClient
from daemon.kube.resources import Resource
from tests.http.gates.test_examples import documents, of_kind
from tests.http.test_one_canary import World, world
from tests.mesh.owners_world import Beside, Json

SECRET = "Letters0fTheControllers"
ANALYSIS_TEMPLATES = Resource(group="argoproj.io", version="v1alpha1", plural="analysistemplates", kind="AnalysisTemplate")
ANALYSIS_RUNS = Resource(group="argoproj.io", version="v1alpha1", plural="analysisruns", kind="AnalysisRun")
METRIC_TEMPLATES = Resource(group="flagger.app", version="v1beta1", plural="metrictemplates", kind="MetricTemplate")
SECRETS = Resource(group="", version="v1", plural="secrets", kind="Secret")


@asynccontextmanager
async def gated(folder: Path) -> AsyncIterator[World]:
    """An engine behind gates whose secret is in a file."""
    file = folder / "gate"
    file.write_text(SECRET)
    gate = Gate(secret_files=[str(file)])
    async with world(Gates(argo=gate, flagger=gate, prometheus=gate, kayenta=gate)) as here:
        yield here


def argo_s_question(url: str) -> tuple[Json, Beside]:
    """The analysis of a Rollout, and what it needs beside it. Asked once a second."""
    template = of_kind("AnalysisTemplate")
    [metric] = template["spec"]["metrics"]
    metric["interval"] = "1s"
    metric["provider"]["web"]["url"] = _at(url, metric["provider"]["web"]["url"])
    analysis: Json = of_kind("Rollout")["spec"]["strategy"]["canary"]["analysis"]
    return analysis, [(SECRETS, _secret("argo")), (ANALYSIS_TEMPLATES, _bare(template))]


def kayenta_s_question(url: str, *, namespace: str) -> Json:
    """An analysis by the provider kayenta of a Rollout in this namespace. It asks how it stands 15 s after it has begun."""
    [metric] = [one for one in documents() if "provider" in one]
    settings = metric["provider"]["kayenta"]
    settings["address"] = _at(url, settings["address"])
    for scope in settings["scopes"]:
        for arm in ("controlScope", "experimentScope"):
            scope[arm]["region"] = namespace
    return {"metadata": {"name": "by-kayenta"}, "spec": {"args": [{"name": "canary", "value": "7c9d5f"}], "metrics": [metric]}}


def flagger_s_questions(url: str, *, namespace: str) -> tuple[Json, Beside]:
    """The webhooks of a Canary and the metric of its analysis, and what these need beside it."""
    [canary] = [one for one in documents() if "analysis" in one]
    webhooks = [{**one, "url": _at(url, one["url"])} for one in canary["analysis"]["webhooks"]]
    template = of_kind("MetricTemplate")
    provider = template["spec"]["provider"]
    provider["address"] = _at(url, provider["address"])
    metric = {"name": "verdictd", "interval": "1m", "thresholdRange": {"min": 1}}
    metric["templateRef"] = {"name": template["metadata"]["name"], "namespace": namespace}
    beside = [(SECRETS, _secret("token")), (METRIC_TEMPLATES, _bare(template))]
    return {"webhooks": webhooks, "metrics": [metric]}, beside


async def has_begun(kube: KubeClient, namespace: str, name: str) -> bool:
    """Whether an analysis has begun to measure."""
    run = await kube.get(ANALYSIS_RUNS, namespace=namespace, name=name)
    return any(one.get("measurements") for one in run.get("status", {}).get("metricResults", []))


async def has_failed(kube: KubeClient, namespace: str, name: str) -> bool:
    """Whether an analysis says that the canary is bad, and not that it could not be asked about."""
    status = (await kube.get(ANALYSIS_RUNS, namespace=namespace, name=name)).get("status", {})
    assert status.get("phase") != "Error", status
    return bool(status.get("phase") == "Failed")


async def measured(kube: KubeClient, namespace: str, *, at_least: int) -> bool:
    """Whether an analysis has had so many good answers."""
    runs = (await kube.list(ANALYSIS_RUNS, namespace=namespace)).items
    results: list[Any] = [one for run in runs for one in run.get("status", {}).get("metricResults", [])]
    return sum(int(one.get("successful", 0)) for one in results) >= at_least


def _at(url: str, address: str) -> str:
    here = URL(url)
    assert here.host is not None
    return str(URL(address.replace("SECRET", SECRET)).with_host(here.host).with_port(here.port))


def _secret(key: str) -> Json:
    return {"metadata": {"name": "verdictd-gate"}, "stringData": {key: SECRET}}


def _bare(item: Json) -> Json:
    """In the namespace that it is created in."""
    return {"metadata": {"name": item["metadata"]["name"]}, "spec": item["spec"]}
