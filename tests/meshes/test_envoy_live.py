"""The file mesh on a real Envoy with real requests: what the file says, what the proxy does, who answers."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import EnvoyTelemetry, Settings
from daemon.aio.clock import SystemClock
from daemon.doctor.diagnosis import Code
from daemon.doctor.examination import Examination
from daemon.engine.reasserting import PUT_BACK
from daemon.engine.reverting import PATCH_SENT, TRAFFIC_LEFT
from daemon.errors import Blocked, Conflict, InvalidInput, NotFound
from daemon.meshes.envoy import guardedfile
from daemon.meshes.envoy.mesh import EnvoyMesh
from daemon.meshes.envoy.router import EnvoyRouter
from daemon.model import Action, ArmSpec, Release
from tests.hand.procedures import guarded, reverting
from tests.mesh.traffic import Backend, Traffic, backend, said, traffic
from tests.servers.envoy import envoy
from tests.servers.run import free_ports, until

pytestmark = pytest.mark.live

Json = dict[str, Any]
RELEASE = Release(service="web", baseline=ArmSpec(service="v1"), canary=ArmSpec(service="v2"))


@dataclass
class FileMesh:
    routes: Path
    admin: str
    proxy: str
    backends: dict[str, Backend]

    def read(self) -> Json:
        text = self.routes.read_text()
        document: Json = json.loads(text) if self.routes.suffix == ".json" else yaml.safe_load(text)
        return document

    def write(self, document: Json) -> None:
        beside = self.routes.with_suffix(".new")
        beside.write_text(json.dumps(document))
        beside.rename(self.routes)


def cluster(name: str, *ports: int) -> Json:
    endpoints = [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}} for port in ports]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def bootstrap(*, routes: Path, admin_port: int, proxy_port: int, clusters: Sequence[Json]) -> Json:
    def address(port: int) -> Json:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "rds": {"route_config_name": "edge", "config_source": {"path_config_source": {"path": str(routes)}}},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "node": {"id": "edge", "cluster": "edge"},
        "admin": {"address": address(admin_port)},
        "static_resources": {
            "listeners": [{"name": "edge", "address": address(proxy_port), "filter_chains": [chain]}],
            "clusters": list(clusters),
        },
    }


def routes_document() -> Json:
    return {
        "version_info": "1",
        "resources": [
            {
                "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
                "name": "edge",
                "virtual_hosts": [
                    {
                        "name": "web",
                        "domains": ["*"],
                        "routes": [
                            {
                                "name": "pinned",
                                "match": {"prefix": "/", "headers": [{"name": "x-canary", "string_match": {"exact": "always"}}]},
                                "route": {"cluster": "v2"},
                            },
                            {"name": "other", "match": {"prefix": "/other"}, "route": {"cluster": "v1", "timeout": "7s"}},
                            {
                                "name": "split",
                                "match": {"prefix": "/"},
                                "route": {
                                    "weighted_clusters": {
                                        "clusters": [
                                            {
                                                "name": "v1",
                                                "weight": 70,
                                                "response_headers_to_add": [{"header": {"key": "x-arm", "value": "stable"}}],
                                            },
                                            {"name": "v2", "weight": 30},
                                        ]
                                    },
                                    "timeout": "3s",
                                    "request_mirror_policies": [{"cluster": "v2"}],
                                },
                            },
                        ],
                    }
                ],
            }
        ],
    }


@pytest.fixture(params=["routes.yaml", "routes.json"])
async def mesh(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[FileMesh]:
    """Envoy with routes from a file, two versions behind it, and a cluster that has no host."""
    admin_port, proxy_port = free_ports(2)
    async with backend("v1") as v1, backend("v2") as v2:
        routes = tmp_path / request.param
        document = routes_document()
        routes.write_text(json.dumps(document) if routes.suffix == ".json" else yaml.safe_dump(document))
        clusters = [cluster("v1", v1.port), cluster("v2", v2.port), cluster("empty")]
        config = tmp_path / "bootstrap.json"
        config.write_text(json.dumps(bootstrap(routes=routes, admin_port=admin_port, proxy_port=proxy_port, clusters=clusters)))
        async with envoy(tmp_path, config, admin_port) as running:
            yield FileMesh(routes, running.admin, f"http://127.0.0.1:{proxy_port}", {"v1": v1, "v2": v2})


@pytest.fixture
async def router(mesh: FileMesh) -> AsyncIterator[EnvoyRouter]:
    router = EnvoyRouter(routes_file=str(mesh.routes), admin=mesh.admin)
    yield router
    await router.close()


def both(seen: Traffic) -> bool:
    counts = seen.counts()
    return counts.get("v1", 0) > 50 and counts.get("v2", 0) > 50


async def test_the_canary_is_located_in_every_route_that_names_it(mesh: FileMesh, router: EnvoyRouter) -> None:
    placement = await router.locate(RELEASE)
    assert placement.canary_percent == 30.0
    assert len(placement.routes) == 3
    assert "1 ready endpoints" in await router.check_baseline(RELEASE)


async def test_before_there_is_a_release_the_router_says_what_it_would_change_and_whether_envoy_follows_it(
    mesh: FileMesh, router: EnvoyRouter
) -> None:
    assert await router.examine() == f"{mesh.routes} has the routes edge, which are in force; Envoy knows 3 clusters"
    document = mesh.read()
    document["resources"][0]["name"] = "other"
    mesh.write(document)
    with pytest.raises(NotFound, match=r"Envoy does not follow .*: of other nothing is in force"):
        await router.examine()


async def test_the_doctor_asks_a_mesh_of_one_envoy_without_a_release(mesh: FileMesh) -> None:
    async with traffic(mesh.proxy, per_second=100.0) as seen:
        await seen.until(lambda seen: len(seen.counts()) == 2)
        settings = Settings(
            telemetry={"edge": EnvoyTelemetry(endpoints=[mesh.admin])},
            meshes={
                name: EnvoyMesh(telemetry="edge", routes_file=file, admin=mesh.admin)
                for name, file in (("edge", str(mesh.routes)), ("gone", "/none.yaml"))
            },
        )
        findings = await Examination(settings=settings, cases=[], seconds=1.0, clock=SystemClock()).run()
    said = {(one.code, one.where): one for one in findings.diagnoses}
    assert said[Code.MESH, "meshes.edge"].found.endswith("Envoy knows 3 clusters")
    assert "/none.yaml" in said[Code.MESH_UNREACHABLE, "meshes.gone"].found
    assert {line.partition(":")[0] for line in said[Code.SERIES, "telemetry.edge"].more} == {"v1", "v2"}
    assert findings.count("fault") == 1


async def test_a_revert_moves_real_traffic_and_leaves_foreign_fields(mesh: FileMesh, router: EnvoyRouter) -> None:
    before = mesh.read()
    paths = {"/": {}, "/pinned": {"x-canary": "always"}, "/other": {}}
    async with traffic(mesh.proxy, per_second=300.0, paths=paths) as seen:
        await seen.until(both)
        outcome = await reverting().run(router, RELEASE)
        assert outcome.action is Action.REVERT, outcome.reason
        steps = {mark.step: mark.at for mark in outcome.steps}
        assert TRAFFIC_LEFT in steps
        left = await seen.only("v1")
        served = mesh.backends["v2"].served
        await seen.until(lambda traffic: len(traffic.answers) > left + 100)
        assert mesh.backends["v2"].served == served  # no mirrored request either
        last = seen.last("v2")
        assert last is not None
        said(f"rename -> last canary response: {1e3 * (last.at - steps[PATCH_SENT]):.1f} ms")
        assert {answer.version for answer in seen.answers[left:]} == {"v1"}
        assert {answer.status for answer in seen.answers} == {200}
    expected = copy.deepcopy(before)
    pinned, _, split = expected["resources"][0]["virtual_hosts"][0]["routes"]
    pinned["route"]["cluster"] = "v1"
    targets = split["route"]["weighted_clusters"]["clusters"]
    targets[0]["weight"], targets[1]["weight"] = 100, 0
    del split["route"]["request_mirror_policies"]
    assert mesh.read() == expected


async def test_a_second_revert_finds_nothing_to_do(mesh: FileMesh, router: EnvoyRouter) -> None:
    assert (await router.revert(RELEASE)).changed
    inode = mesh.routes.stat().st_ino
    assert not (await router.revert(RELEASE)).changed
    assert mesh.routes.stat().st_ino == inode


async def test_the_guard_takes_back_what_somebody_puts_back(mesh: FileMesh, router: EnvoyRouter) -> None:
    before = mesh.read()
    await reverting().run(router, RELEASE)

    async def meddle() -> None:
        await asyncio.sleep(0.4)
        mesh.write(before)

    async def has_left() -> bool:
        return await router.canary_gets_traffic(RELEASE) is None

    _, marks = await asyncio.gather(meddle(), guarded(router, RELEASE))
    assert PUT_BACK in [mark.step for mark in marks]
    await until(has_left, within=60.0)


async def test_a_baseline_that_envoy_does_not_know_is_never_written(mesh: FileMesh, router: EnvoyRouter) -> None:
    """Envoy itself takes such a file and answers 503."""
    before = mesh.routes.read_bytes()
    release = Release(service="web", baseline=ArmSpec(service="v0"), canary=ArmSpec(service="v2"))
    with pytest.raises(NotFound, match=r"no cluster 'v0' \(there are empty, v1, v2\)"):
        await router.locate(release)
    with pytest.raises(Blocked, match="no cluster 'v0'"):
        await router.check_baseline(release)
    with pytest.raises(Blocked, match="no cluster 'v0'"):
        await router.revert(release)
    assert (await reverting().run(router, release)).action is Action.BLOCKED
    assert mesh.routes.read_bytes() == before


async def test_a_baseline_without_hosts_blocks(mesh: FileMesh, router: EnvoyRouter) -> None:
    release = Release(service="web", baseline=ArmSpec(service="empty"), canary=ArmSpec(service="v2"))
    before = mesh.routes.read_bytes()
    assert (await reverting().run(router, release)).action is Action.BLOCKED
    assert mesh.routes.read_bytes() == before


async def test_a_change_between_read_and_rename_is_a_conflict_and_the_next_try_keeps_it(
    mesh: FileMesh, router: EnvoyRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = mesh.read()
    changed["resources"][0]["virtual_hosts"][0]["routes"][1]["route"]["timeout"] = "9s"
    original = guardedfile.replace
    meddled: list[bool] = []

    def meddle(*args: Any, **kwargs: Any) -> guardedfile.Renamed:
        if not meddled:
            meddled.append(True)
            mesh.write(changed)
        return original(*args, **kwargs)

    monkeypatch.setattr(guardedfile, "replace", meddle)
    with pytest.raises(Conflict):
        await router.revert(RELEASE)
    assert (await router.revert(RELEASE)).changed
    routes = mesh.read()["resources"][0]["virtual_hosts"][0]["routes"]
    assert routes[1]["route"]["timeout"] == "9s"
    assert routes[0]["route"]["cluster"] == "v1"


@pytest.mark.parametrize("fault", ["unreadable", "invalid"])
async def test_routes_that_envoy_refuses_are_seen_as_still_in_force(mesh: FileMesh, router: EnvoyRouter, fault: str) -> None:
    broken = mesh.read()
    if fault == "unreadable":
        broken["resources"][0]["virtual_hosts"][0]["routes"][1]["match"]["path"] = "/a-prefix-and-a-path"
    else:
        broken["resources"][0]["virtual_hosts"].append({"name": "web", "domains": ["*"]})
    mesh.routes.write_text(json.dumps(broken))  # in place, which Envoy does not look at: only our rename makes it try
    await router.revert(RELEASE)

    async def noticed() -> bool:
        return "refused 1 versions" in (await router.canary_gets_traffic(RELEASE) or "")

    await until(noticed, within=60.0)
    assert "edge/web/pinned" in (await router.canary_gets_traffic(RELEASE) or "")


async def test_an_envoy_whose_admin_is_away_is_reverted_all_the_same(mesh: FileMesh) -> None:
    router = EnvoyRouter(routes_file=str(mesh.routes), admin="http://127.0.0.1:1")
    outcome = await reverting(confirm_seconds=0.1).run(router, RELEASE)
    await router.close()
    assert outcome.action is Action.REVERT
    assert "could not be seen" in outcome.reason
    assert mesh.read()["resources"][0]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] == "v1"


@pytest.mark.parametrize(
    ("release", "error", "said"),
    [
        (Release(service="web", baseline=ArmSpec(service="v1"), canary=ArmSpec(service="v9")), NotFound, "'v9'"),
        (Release(service="web", baseline=ArmSpec(version="1"), canary=ArmSpec(service="v2")), InvalidInput, r"\$.baseline.service"),
        (Release(service="web", baseline=ArmSpec(service="v1"), canary=ArmSpec(version="2")), InvalidInput, r"\$.canary.service"),
        (
            Release(service="web", baseline=ArmSpec(service="v1"), canary=ArmSpec(service="v2"), route="inner"),
            NotFound,
            "'inner'",
        ),
    ],
)
async def test_what_cannot_be_located_is_named(
    mesh: FileMesh, router: EnvoyRouter, release: Release, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        await router.locate(release)


async def test_the_route_may_be_named(mesh: FileMesh, router: EnvoyRouter) -> None:
    release = Release(service="web", baseline=ArmSpec(service="v1"), canary=ArmSpec(service="v2"), route="edge")
    assert (await router.locate(release)).canary_percent == 30.0


async def test_arms_that_are_one_cluster_are_refused(router: EnvoyRouter) -> None:
    """Moving it from itself to itself would look like a success."""
    baseline, canary = ArmSpec(service="v2", workload="a"), ArmSpec(service="v2", workload="b")
    with pytest.raises(InvalidInput, match="are both the cluster v2"):
        await router.locate(Release(service="web", baseline=baseline, canary=canary))


async def test_without_an_answer_of_the_admin_the_baseline_is_not_known_and_the_canary_is_located(mesh: FileMesh) -> None:
    router = EnvoyRouter(routes_file=str(mesh.routes), admin="http://127.0.0.1:1")
    placement = await router.locate(RELEASE)
    assert placement.canary_percent == 30.0
    assert "is not known: 127.0.0.1:1: " in placement.baseline
    await router.close()
