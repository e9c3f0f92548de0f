"""Routes that Git's tools apply: said beside the route and in the verdict's words, and looked at on after a revert."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from tests.delivery.test_owners import revert
from tests.meshes.cluster import Cluster, cluster
from tests.meshes.objects import service, to, two_versions, versions, virtual_service

FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
SAID = "shop/web http #0: 50 % of the traffic (owned by Flux (Kustomization flux-system/apps))"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as running:
        for resource, item in (versions("v1", "v2"), service("web", app="web"), *two_versions()):
            running.put(resource, item)
        apply(running)
        yield running


def apply(api: Cluster, **labels: str) -> None:
    """What is in Git, once more."""
    resource, item = virtual_service(to("web", "v1", 50), to("web", "v2", 50))
    api.put(resource, {**item, "metadata": {**item["metadata"], "labels": labels or FLUX}})


def weights(api: Cluster) -> list[int]:
    item: dict[str, Any] = api.get(VIRTUAL_SERVICES, "shop", "web")
    return [target["weight"] for target in item["spec"]["http"][0]["route"]]


def apply_after_looks(api: Cluster, *, times: int) -> None:
    """What is in Git is applied again each time that a look has found nothing of it, so often and no more."""
    looks, left = "GET /apis/networking.istio.io/v1/virtualservices", times

    async def look(request: web.Request) -> web.StreamResponse:
        nonlocal left
        api.faults.pop(looks)
        answer = await api.handle(request)
        if left and weights(api) == [100, 0]:
            left -= 1
            apply(api)
        api.faults[looks] = [look]
        return answer

    api.faults[looks] = [look]


async def test_a_dry_run_says_what_applies_the_route(api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await revert(api, tmp_path, "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["routes"] == [SAID]


async def test_a_revert_says_what_must_change_and_how_long_it_is_taken_back_until_then(
    api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await revert(api, tmp_path, "--yes", owner_reaction_seconds=0.2) == 0
    told = capsys.readouterr()
    assert "shop/web: applied by Flux (Kustomization flux-system/apps), whose source must change" in told.out
    assert "until then the traffic is taken back again, for 2 s and no longer" in told.out
    assert "it stayed so for 0.2 s" in told.out
    assert "looking for 0.2 s whether the routes' owner undoes that" in told.err


async def test_what_is_applied_again_is_taken_back_while_it_is_looked_at(
    api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply_after_looks(api, times=1)
    assert await revert(api, tmp_path, "--yes", owner_reaction_seconds=1.0) == 0
    assert weights(api) == [100, 0]
    assert "it stayed so for 1 s (put back 1 times and taken back each time" in capsys.readouterr().out


async def test_a_war_without_end_ends_the_command_as_failed(
    api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply_after_looks(api, times=1_000)
    assert await revert(api, tmp_path, "--yes", owner_reaction_seconds=1.0) == 69
    assert "but it does not stay so: put back" in capsys.readouterr().out


async def test_a_route_that_nobody_applies_is_not_looked_at_on(
    api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(api, app="web")
    assert await revert(api, tmp_path, "--yes") == 0
    assert "looking for" not in capsys.readouterr().err
