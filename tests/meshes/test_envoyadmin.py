"""The admin endpoint's answers that a real Envoy does not give on demand, and the routes file that cannot be used."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from daemon.errors import Forbidden, InvalidInput, NotFound, Refused, TimedOut, Unavailable
from daemon.meshes.envoy.admin import EnvoyAdmin
from daemon.meshes.envoy.router import EnvoyRouter
from daemon.model import ArmSpec, Release
from tests.config import strangers
from tests.hand.servers import Answer, Stub, lines, says, silence, stub

RELEASE = Release(service="web", baseline=ArmSpec(service="v1"), canary=ArmSpec(service="v2"))


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[tuple[Stub, EnvoyAdmin]]:
    async with stub() as server:
        client = EnvoyAdmin(server.url + "/", timeout_seconds=20.0)
        yield server, client
        await client.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (says("no", status=403), Forbidden),
        (says("what?", status=404), NotFound),
        (says("oops", status=503), Unavailable),
        (says("<html>"), Unavailable),
        (says(["list"]), Unavailable),
        (says('{"x":' * 50_000), Unavailable),
        (says({"cluster_statuses": [7]}), Unavailable),
        (says({"cluster_statuses": [{"name": "v1", "host_statuses": [{"health_status": 7}]}]}), Unavailable),
        (lines("{", then="break"), Unavailable),
    ],
)
async def test_every_fault_becomes_an_error_of_ours(admin: tuple[Stub, EnvoyAdmin], answer: Answer, error: type[Exception]) -> None:
    server, client = admin
    server.answers = [answer]
    with pytest.raises(error):
        await client.clusters()


async def test_an_answer_that_does_not_come_is_waited_for_as_long_as_is_said(admin: tuple[Stub, EnvoyAdmin]) -> None:
    server, _ = admin
    client = EnvoyAdmin(server.url, timeout_seconds=0.2)
    server.answers = [silence()]
    with pytest.raises(TimedOut):
        await client.clusters()
    await client.close()


async def test_an_answer_without_end_is_refused(admin: tuple[Stub, EnvoyAdmin]) -> None:
    server, _ = admin
    client = EnvoyAdmin(server.url, max_bytes=1000)
    server.answers = [says("x" * 5000)]
    with pytest.raises(Refused, match="more than 1000"):
        await client.routes_in_force()
    await client.close()


async def test_a_long_answer_is_read_beside_the_event_loop(admin: tuple[Stub, EnvoyAdmin]) -> None:
    server, client = admin
    server.answers = [says({"cluster_statuses": [{"name": f"v{n}", "host_statuses": [{}]} for n in range(10_000)]})]
    assert len(await client.clusters()) == 10_000


async def test_hosts_that_envoy_would_not_send_to_do_not_count(admin: tuple[Stub, EnvoyAdmin]) -> None:
    healths: list[dict[str, object]] = [
        {},
        {"eds_health_status": "HEALTHY"},
        {"eds_health_status": "DEGRADED"},
        {"eds_health_status": "UNHEALTHY"},
        {"eds_health_status": "DRAINING"},
        {"eds_health_status": "HEALTHY", "failed_active_health_check": True},
        {"failed_outlier_check": True},
        {"failed_active_degraded_check": False},
    ]
    hosts = [{"health_status": health} for health in healths]
    server, client = admin
    server.answers = [says({"cluster_statuses": [{"name": "v1", "host_statuses": hosts}, {"name": "empty"}]})]
    assert await client.clusters() == {"v1": 4, "empty": 0}


async def test_the_stats_of_refusals_are_only_a_note(admin: tuple[Stub, EnvoyAdmin], tmp_path: Path) -> None:
    """The routes in force are what counts; when the second question fails, the answer to the first still stands."""
    server, _ = admin
    route = {"name": "all", "route": {"cluster": "v2"}}
    dump = {"configs": [{"route_config": {"name": "edge", "virtual_hosts": [{"name": "web", "routes": [route]}]}}]}
    server.answers = [says(dump), says("oops", status=503)]
    router = EnvoyRouter(routes_file=str(tmp_path / "routes.yaml"), admin=server.url)
    assert await router.canary_gets_traffic(RELEASE) == "edge/web/all: 100 % of the traffic"
    await router.close()


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("routes.yaml", "a: [", Unavailable),
        ("routes.yaml", "- a list", Refused),
        ("routes.yaml", "a: !!python/object/apply:os.getcwd []", Unavailable),
        ("routes.yaml", "[" * 200_000, Unavailable),
        ("routes.yaml", strangers.ALIAS_BOMB, Unavailable),
        ("routes.yaml", strangers.MERGE_BOMB, Unavailable),
        ("routes.yaml", "a: " + "1:" * 50_000 + "1", Unavailable),
        ("routes.json", "{", Unavailable),
        ("routes.json", "[" * 100_000, Unavailable),
        ("routes.json", "[]", Refused),
        ("routes.yaml", "resources: []", Refused),
    ],
)
async def test_a_routes_file_that_cannot_be_used_is_an_error_of_ours(
    tmp_path: Path, name: str, content: str, error: type[Exception]
) -> None:
    (tmp_path / name).write_text(content)
    router = EnvoyRouter(routes_file=str(tmp_path / name), admin="http://127.0.0.1:1")
    with pytest.raises(error):
        await router.locate(RELEASE)
    await router.close()


@pytest.mark.parametrize("address", ["", "127.0.0.1:9901", "http://[::1", "http://envoy:port"])
async def test_an_admin_that_is_no_address_is_refused_when_the_router_is_made(address: str) -> None:
    with pytest.raises(InvalidInput, match=r"meshes\.edge\.admin"):
        EnvoyRouter(routes_file="routes.yaml", admin=address, name="edge")


async def test_a_redirect_of_the_admin_is_refused_with_its_setting(admin: tuple[Stub, EnvoyAdmin]) -> None:
    server, _ = admin

    async def moved(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/x"})

    server.answers = [moved]
    router = EnvoyRouter(routes_file="routes.yaml", admin=server.url, name="edge")
    with pytest.raises(Refused, match=r"put the final address into meshes\.edge\.admin"):
        await router.check_baseline(RELEASE)
    await router.close()
