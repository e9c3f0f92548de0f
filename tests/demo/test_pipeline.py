"""The demo's pipeline knows of verdictd what any pipeline may know: one event out, one event in."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from daemon import names
from daemon.bus import subjects
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import Connection, connected
from daemon.bus.embedded import embedded_server
from daemon.bus.streams import ensure_streams
from daemon.demo.acts import ACTS, CANARY_PERCENT
from daemon.demo.children import DemoError
from daemon.demo.pipeline import Pipeline, deployment_event, pipeline
from daemon.demo.watchdog import CLUSTER, settings
from daemon.events import cloudevents
from daemon.events.announcing import read_release
from daemon.events.verdicts import verdict_event
from daemon.model import Outcome, Release
from daemon.settings import settings_of
from tests.demo.samples import mesh, record

EDGE = mesh(Path())
SUBJECT = subjects.verdict_subject(cluster=CLUSTER, namespace="default", service="web")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[tuple[Connection, str]]:
    """A NATS server with the streams of verdictd, a connection to it, and its URL with the token."""
    async with embedded_server(tmp_path / "nats") as server:
        url = (tmp_path / "nats" / "nats-url").read_text().strip()
        async with connected(BrokerAddress(servers=(url,)), name="test", connect_timeout_seconds=30.0) as connection:
            await ensure_streams(connection.jetstream, replicas=1, patience_seconds=30.0)
            yield connection, url
        assert server.pid is not None


@pytest.mark.live
async def test_the_event_is_kept_by_the_broker_and_announces_the_act(broker: tuple[Connection, str]) -> None:
    connection, url = broker
    async with pipeline(url, mesh=EDGE, run="r1") as delivery:
        release_id = await delivery.announce(ACTS[1])
    message = await connection.jetstream.get_last_msg(subjects.RELEASES, "verdictd.release.>")
    announced = read_release(message.headers or {}, message.data or b"")
    assert isinstance(announced.release, Release)
    assert (announced.release.baseline.service, announced.release.canary.service) == ("web-v2", "web-v3")
    assert announced.release.weight == CANARY_PERCENT
    assert release_id == names.new_release_id("web", origin=announced.origin)


@pytest.mark.live
async def test_a_verdict_is_heard_and_told_from_that_of_another_release(broker: tuple[Connection, str]) -> None:
    connection, url = broker
    verdict = record(ACTS[1], {}).verdict
    async with pipeline(url, mesh=EDGE, run="r1") as delivery:
        for one in (msgspec.structs.replace(verdict, release_id="other"), verdict):
            headers, body = cloudevents.to_structured(verdict_event(one))
            await connection.jetstream.publish(SUBJECT, body, headers=headers)
        heard = await delivery.verdict("web-1", seconds=30.0)
    assert (heard.release_id, heard.outcome) == ("web-1", Outcome.ROLLBACK)


@pytest.mark.live
async def test_what_is_no_verdict_is_passed_over_and_patience_ends(broker: tuple[Connection, str]) -> None:
    connection, url = broker
    async with pipeline(url, mesh=EDGE, run="r1") as delivery:
        await connection.jetstream.publish(SUBJECT, b"hello")
        with pytest.raises(DemoError, match=r"no verdict on web-1 came within 0\.2 s"):
            await delivery.verdict("web-1", seconds=0.2)


@pytest.mark.live
async def test_an_event_that_nobody_keeps_is_an_error(tmp_path: Path) -> None:
    """A broker without the streams takes the message and keeps nothing: that must not look like an announcement."""
    async with embedded_server(tmp_path / "nats"):
        url = (tmp_path / "nats" / "nats-url").read_text().strip()
        async with connected(BrokerAddress(servers=(url,)), name="test", connect_timeout_seconds=30.0) as connection:
            with pytest.raises(DemoError, match="could not be published"):
                await Pipeline(connection, mesh=EDGE, run="r1").announce(ACTS[0])


def test_two_runs_announce_different_releases_and_one_run_the_same() -> None:
    ids = [deployment_event(ACTS[0], mesh=EDGE, run=run)[0] for run in ("r1", "r2", "r1")]
    assert ids[0] == ids[2] != ids[1]


async def test_the_settings_are_ones_that_verdictd_takes(tmp_path: Path) -> None:
    document = settings(mesh=mesh(tmp_path), folder=tmp_path)
    taken = settings_of(document, source="demo")
    assert taken.policies["default"].mode == "enforce"
    assert list(taken.meshes) == ["edge"]
