"""The meshes of the demo as data: what is on the control planes, and what a pipeline writes there."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from daemon.demo import apiserver, consulmesh, istiomesh
from daemon.demo.acts import ACTS
from daemon.demo.children import DemoError
from daemon.demo.watchdog import settings
from daemon.meshes.consul.mesh import ConsulMesh
from daemon.meshes.istio.mesh import IstioMesh
from daemon.settings import settings_of
from tests.demo.samples import mesh
from tests.hand.servers import says, stub

VERSIONS = (ACTS[0].baseline, *(act.canary for act in ACTS))
Asks = Callable[[aiohttp.ClientSession, str], Awaitable[None]]


def test_every_version_of_the_acts_has_a_pod_that_its_subset_chooses() -> None:
    made = istiomesh.objects(VERSIONS, first="v1")
    pods = [item["metadata"]["labels"]["version"] for collection, item in made if collection.endswith("/pods")]
    (subsets,) = [item["spec"]["subsets"] for collection, item in made if collection.endswith("/destinationrules")]
    assert pods == [one["labels"]["version"] for one in subsets] == list(VERSIONS)


def test_a_share_of_0_leaves_a_version_out_of_a_virtualservice_and_in_a_splitter() -> None:
    (route,) = istiomesh._routed({"v1": 100, "v2": 0})["http"]
    assert [(one["destination"]["subset"], one["weight"]) for one in route["route"]] == [("v1", 100)]
    splits = consulmesh._splitter(VERSIONS, {"v1": 70, "v2": 30})["splits"]
    assert [(one["service_subset"], one["weight"]) for one in splits] == [("v1", 70), ("v2", 30), ("v3", 0), ("v4", 0)]


def test_the_settings_are_ones_that_verdictd_takes(tmp_path: Path) -> None:
    ways = {"kubernetes": {"auth": "kubeconfig", "kubeconfig": str(tmp_path / "kubeconfig")}}
    for kind, dialect, steering, more, taken in (
        ("istio", "istio", {"kind": "istio"}, ways, IstioMesh),
        ("consul", "consul", {"kind": "consul", "address": "http://127.0.0.1:3"}, {}, ConsulMesh),
    ):
        made = mesh(
            tmp_path, name=kind, telemetry={"dialect": dialect, "endpoints": ["http://127.0.0.1:2"]}, steering=steering, **more
        )
        found = settings_of(settings(mesh=made, folder=tmp_path), source="demo")
        assert isinstance(found.meshes[kind], taken)


@asynccontextmanager
async def refusing(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    async with stub(answer) as server:
        url = f"http://127.0.0.1:{server.port}"
        async with aiohttp.ClientSession(url) as session:
            yield session, url


def created(session: aiohttp.ClientSession, url: str) -> Awaitable[None]:
    del url
    return apiserver.create(session, "/api/v1/namespaces", {})


def put(session: aiohttp.ClientSession, url: str) -> Awaitable[None]:
    return consulmesh._put(session, url, {})


@pytest.mark.parametrize(
    ("asks", "status", "body", "said"),
    [
        (created, 403, "not you", r"answered 403 to POST /api/v1/namespaces: not you"),
        (put, 500, "weights sum to 70", "answered 500 to a config entry: weights sum to 70"),
        (put, 200, "false", "answered 200 to a config entry: false"),
    ],
)
async def test_a_control_plane_that_refuses_what_the_pipeline_writes_ends_the_demo(
    asks: Asks, status: int, body: str, said: str
) -> None:
    async with refusing(says(body, status=status)) as (session, url):
        with pytest.raises(DemoError, match=said):
            await asks(session, url)


@pytest.mark.parametrize("asks", [created, put])
async def test_a_control_plane_that_is_gone_ends_the_demo(asks: Asks) -> None:
    async with aiohttp.ClientSession("http://127.0.0.1:1") as session:
        with pytest.raises(DemoError, match="did not answer"):
            await asks(session, "http://127.0.0.1:1")


async def test_what_is_there_already_is_left() -> None:
    async with refusing(says("{}", status=409)) as (session, url):
        await created(session, url)
