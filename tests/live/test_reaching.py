"""A real Prometheus that does not talk to everybody: passwords, certificates, proxies that let only reading through, outages."""

import asyncio
import json
import logging
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from config.settings import PrometheusTelemetry
from daemon.measurements import Reading, Watch
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Release
from daemon.ports.telemetry import Telemetry
from daemon.standing import Standing
from daemon.telemetry.factory import telemetry_from
from daemon.telemetry.history.watching import history_from
from daemon.telemetry.outage import LONGEST_PAUSE_SECONDS
from tests.hand.certificates import Authority, Pair
from tests.hand.clock import HandClock
from tests.hand.servers import serving
from tests.live.pastworld import Version, past, scrapes, write_past
from tests.servers.prometheus import prometheus
from tests.servers.run import LOOPBACK, free_ports

pytestmark = [pytest.mark.live, pytest.mark.timeout(90)]

NOTHING_YET = "baseline: no series yet"
FIRST, SECOND = "first pass", "second pass"
BCRYPT = {
    FIRST: "$2b$04$abcdefghijklmnopqrstuup6GLPuM7ehomp76C.VzkGRTFRpamsoq",
    SECOND: "$2b$04$abcdefghijklmnopqrstuu4mU3XwJwQBLXDQcmcdC/j.aRDiPlTgi",
}
WATCH = Watch(
    release_id="web-1",
    release=Release(
        service="checkout", namespace="shop", baseline=ArmSpec(workload="checkout-v1"), canary=ArmSpec(workload="checkout-v2")
    ),
)


@asynccontextmanager
async def reached(url: str, **settings: Any) -> AsyncIterator[Telemetry]:
    """The telemetry of the daemon, set up so."""
    made = PrometheusTelemetry(url=url, dialect="istio", **{"tick_seconds": 1.0, "timeout_seconds": 10.0, **settings})
    async with telemetry_from(made, clock=HandClock(), name="prom", schemas=schemas()) as telemetry:
        yield telemetry


async def gap(telemetry: Telemetry) -> str:
    """Why a tick brings nothing."""
    return (await telemetry.read([WATCH]))["web-1"].gap or ""


def users(password: str) -> dict[str, object]:
    return {"basic_auth_users": {"verdictd": BCRYPT[password]}}


# --- who we are ------------------------------------------------------------------------------------------------------------


async def test_a_password_is_read_anew_and_told_to_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECOND}\n", encoding="utf-8")
    async with prometheus(tmp_path / "server", [], web=users(FIRST)) as server:
        async with reached(server.url) as stranger:
            said = await gap(stranger)
            assert "answered 401" in said
            assert "it was shown none: telemetry.prom.token_file, or username and password_file, name some" in said
        async with reached(server.url, username="verdictd", password_file=str(file)) as telemetry:
            said = await gap(telemetry)
            assert f"answered 401: Unauthorized; it was shown the name verdictd and the password in {file}" in said
            assert SECOND not in said
            file.write_text(FIRST, encoding="utf-8")
            assert (await gap(telemetry)).startswith(NOTHING_YET)
            (tmp_path / "server" / "web.yml").write_text(json.dumps(users(SECOND)), encoding="utf-8")
            assert "answered 401" in await gap(telemetry)
            file.write_text(SECOND, encoding="utf-8")
            assert (await gap(telemetry)).startswith(NOTHING_YET)


def put(pair: Pair, *, at: Pair) -> None:
    """Another certificate and its key in the place of these."""
    shutil.copy(pair.certificate, at.certificate)
    shutil.copy(pair.key, at.key)


async def test_certificates_of_both_sides_are_renewed_while_it_runs(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "a", "first"), Authority(tmp_path / "b", "second")
    server_pair, client_pair = (
        Pair(tmp_path / "server.pem", tmp_path / "server.key"),
        Pair(tmp_path / "me.pem", tmp_path / "me.key"),
    )
    put(ours.signed("prometheus", usage="serverAuth"), at=server_pair)
    put(ours.signed("verdictd", usage="clientAuth"), at=client_pair)
    trusted = tmp_path / "ca.pem"
    shutil.copy(ours.pair.certificate, trusted)
    tls = {"cert_file": str(server_pair.certificate), "key_file": str(server_pair.key)}
    asking = {"client_ca_file": str(trusted), "client_auth_type": "RequireAndVerifyClientCert"}
    shown = {"client_certificate_file": str(client_pair.certificate), "client_key_file": str(client_pair.key)}
    async with prometheus(tmp_path / "server", [], web={"tls_server_config": {**tls, **asking}}) as server:
        async with reached(server.url) as telemetry:
            assert "its certificate is not trusted: " in (said := await gap(telemetry))
            assert "name its authority in telemetry.prom.ca_file" in said
        async with reached(server.url, ca_file=str(trusted)) as telemetry:
            assert "it was shown none: name one in telemetry.prom.client_certificate_file" in await gap(telemetry)
        async with reached(server.url, ca_file=str(trusted), **shown) as telemetry:
            assert (await gap(telemetry)).startswith(NOTHING_YET)
            put(theirs.signed("prometheus", usage="serverAuth"), at=server_pair)
            put(theirs.signed("verdictd", usage="clientAuth"), at=client_pair)
            shutil.copy(theirs.pair.certificate, trusted)
            assert (await gap(telemetry)).startswith(NOTHING_YET)
            client_pair.key.write_text("half of", encoding="utf-8")
            assert "me.pem cannot be used with its key" in await gap(telemetry)
            put(theirs.signed("verdictd-again", usage="clientAuth"), at=client_pair)
            assert (await gap(telemetry)).startswith(NOTHING_YET)


# --- what stands in between ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def reading_only(upstream: str, *, token: Callable[[], str], status: int) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that lets only reading through, for who has a token and names a namespace, as OpenShift's does."""
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.method)
        if request.headers.get("Authorization") != f"Bearer {token()}":
            return web.Response(status=401, text="Unauthorized\n")
        if request.method != "GET":
            return web.Response(status=status, text="Forbidden (user=verdictd, verb=create, resource=prometheuses)\n")
        if request.query.get("namespace") != "shop":
            return web.Response(status=400, text='Bad Request. The "namespace" query parameter must be provided.\n')
        passed = {key: value for key, value in request.query.items() if key != "namespace"}
        async with client.get(upstream + request.path, params=passed) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type=answer.content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with aiohttp.ClientSession() as client, serving(app) as port:
        yield f"http://{LOOPBACK}:{port}", seen


@pytest.mark.parametrize("status", [403, 405])
async def test_a_proxy_that_lets_only_reading_through_is_read_by_get(tmp_path: Path, status: int) -> None:
    token = "opaque-one"
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    async with prometheus(tmp_path / "server", []) as server, reading_only(server.url, token=lambda: token, status=status) as it:
        url, seen = it
        async with reached(url, token_file=str(file)) as telemetry:
            wanting = "Forbidden (user=verdictd" if status == 403 else 'The "namespace" query parameter must be provided'
            assert wanting in await gap(telemetry)
        async with reached(url, token_file=str(file), query={"namespace": "shop"}) as telemetry:
            seen.clear()
            assert (await gap(telemetry)).startswith(NOTHING_YET)
            assert seen[0] == "POST"
            seen.clear()
            assert (await gap(telemetry)).startswith(NOTHING_YET)
            assert set(seen) == {"GET"}, "what it has learnt it keeps"
            token = "opaque-two"
            assert f"answered 401: Unauthorized; it was shown the token in {file}" in (said := await gap(telemetry))
            assert "opaque-one" not in said
            file.write_text(token, encoding="utf-8")
            assert (await gap(telemetry)).startswith(NOTHING_YET)
        async with reached(url, token_file=str(file), query={"namespace": "shop"}, method="post") as telemetry:
            assert ("set telemetry.prom.method to get, or to auto" in await gap(telemetry)) is (status == 405)


async def test_the_past_behind_such_a_proxy_is_counted_all_the_same(tmp_path: Path) -> None:
    start, folder = 1_790_000_000.0, tmp_path / "server"
    folder.mkdir()
    old = Version(workload="checkout-v1", begin=0, end=600)
    new = Version(workload="checkout-v2", version="v2", begin=0, end=600, pods=1)
    write_past(folder, [old, new], start=start)
    file = tmp_path / "token"
    file.write_text("opaque-one", encoding="utf-8")
    async with past(folder) as server, reading_only(server.url, token=lambda: "opaque-one", status=405) as (url, _):
        made = PrometheusTelemetry(url=url, dialect="istio", token_file=str(file), query={"namespace": "shop"})
        schema = schemas()["istio"]
        async with history_from(
            made, schema=schema, tick_seconds=None, pause_seconds=0.0, sleep=asyncio.sleep, entry="telemetry.prom"
        ) as history:
            [watched] = await history.watched(WATCH.release, begin=start, end=start + 600.0)
    shown = [one.ok + one.failed for _, one in scrapes(new, 0)]
    assert sum(sample.canary.requests for sample in watched.samples if sample.canary) == shown[-1] - shown[0]


# --- outages ---------------------------------------------------------------------------------------------------------------


async def test_a_long_outage_is_said_once_asked_into_less_and_less_and_over_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (port,) = free_ports(1)
    clock = HandClock()
    standing = Standing("telemetry prom", now=clock.now)
    made = PrometheusTelemetry(url=f"http://{LOOPBACK}:{port}", dialect="istio", tick_seconds=1.0, timeout_seconds=10.0)
    async with telemetry_from(made, clock=clock, name="prom", schemas=schemas()) as telemetry:

        async def tick() -> Reading:
            clock.time += 1.0
            reading = (await telemetry.read([WATCH]))["web-1"]
            if telemetry.failure is None:
                standing.works()
            else:
                standing.fails(telemetry.failure)
            return reading

        async with prometheus(tmp_path / "server", [], port=port) as server:
            assert ((await tick()).gap or "").startswith(NOTHING_YET)
            server.process.signal(signal.SIGKILL)
            await server.process.child.wait()
            gaps = [(await tick()).gap or "" for _ in range(120)]
        assert all("Cannot connect" in one for one in gaps)
        asked = sum("asked less often" not in one for one in gaps)
        assert 9 <= asked <= 20
        assert standing.problem is not None
        async with prometheus(tmp_path / "server", [], port=port):
            after = [(await tick()).gap or "" for _ in range(int(LONGEST_PAUSE_SECONDS) + 1)]
        assert after[-1].startswith(NOTHING_YET)
        assert standing.problem is None
    assert [record.getMessage() for record in caplog.records if record.name == "daemon.standing"] == [
        "does not work",
        "works again",
    ]
