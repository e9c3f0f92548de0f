"""The shipped configurations of a hub and of clusters beside it: every verdict is at the hub once, and nothing else is."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from config.settings import Nats
from daemon.bus import subjects
from daemon.bus.opening import open_bus
from daemon.bus.streams import PLANS
from daemon.events.cloudevents import read
from daemon.events.verdicts import read_verdict
from tests.hand.broker import Broker
from tests.hand.samples import verdict
from tests.servers.run import free_ports, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

SHIPPED = Path("deploy/nats")
STREAM = "FLEET_VERDICTS"
CLUSTERS = ("eu", "us")
USERS = ("system", "verdictd", "operator", "pipeline", "cluster", "fleet", "reader")
UNANSWERED_SECONDS = 1.0
"""For what nobody may answer; what is allowed is answered within milliseconds, and asked beside it."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A hub, and a broker for each cluster."""

    hub: Broker
    clusters: dict[str, Broker]

    @asynccontextmanager
    async def user(self, name: str, *, at: Broker | None = None, inbox: str = "_INBOX") -> AsyncIterator[Client]:
        client = await nats.connect((at or self.hub).url_of(name, password=f"{name}-secret"), inbox_prefix=inbox)
        try:
            yield client
        finally:
            await client.close()

    async def decide(self, cluster: str, release_id: str) -> None:
        """What a daemon there does at the end of a release."""
        url = self.clusters[cluster].url_of("verdictd", password="verdictd-secret")
        async with open_bus(Nats(url=url, connect_timeout_seconds=20.0), cluster=cluster) as bus:
            await bus.verdicts.publish(verdict(release_id, cluster=cluster))

    async def gathered(self) -> list[tuple[str, str]]:
        """What the hub has: subject and release id, sorted."""
        async with self.user("fleet", inbox="answers") as client:
            stream = client.jetstream()
            last = (await stream.stream_info(STREAM)).state.last_seq
            found = [await stream.get_msg(STREAM, number) for number in range(1, last + 1)]
        return sorted((str(one.subject), release_of(one.headers, one.data)) for one in found)

    async def has(self, *wanted: tuple[str, str]) -> None:
        """Wait until the hub has as many verdicts; then it is exactly these."""

        async def enough() -> bool:
            return len(await self.gathered()) >= len(wanted)

        await until(enough, within=150.0)  # the hub looks again for a cluster that was away after up to a minute
        assert await self.gathered() == sorted((f"verdictd.verdict.{cluster}.shop.web", one) for cluster, one in wanted)


def release_of(headers: dict[str, str] | None, data: bytes | None) -> str:
    event = read(headers or {}, data or b"")
    assert event is not None
    return read_verdict(event).release_id


@asynccontextmanager
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    """The shipped files, on ports of this test's own; the stream is made as the page says."""
    (port,) = free_ports(1)
    env = {f"NATS_{user.upper()}_PASSWORD": f"{user}-secret" for user in USERS}
    for name in ("verdictd.conf", "leaf.conf", "hub.conf"):
        written = await asyncio.to_thread((SHIPPED / name).read_text)
        await asyncio.to_thread((folder / name).write_text, written.replace("0.0.0.0:7422", f"127.0.0.1:{port}"))
    joining = {"NATS_HUB_URL": f"nats-leaf://cluster:cluster-secret@127.0.0.1:{port}"}

    def server(name: str, file: str, **more: str) -> Broker:
        return Broker(folder / name, flags=("--config", str(folder / file)), env=env | more)

    hub = server("hub", "hub.conf")
    clusters = {name: server(name, "leaf.conf", NATS_DOMAIN=name, **joining) for name in CLUSTERS}
    try:
        for one in (hub, *clusters.values()):
            await one.start()
        here = Fleet(hub=hub, clusters=clusters)
        async with here.user("fleet") as client:
            plan = await asyncio.to_thread((SHIPPED / "fleet-verdicts.json").read_bytes)
            answer = json.loads((await client.request(f"$JS.API.STREAM.CREATE.{STREAM}", plan, timeout=30)).data)
            assert "error" not in answer, answer
        yield here
    finally:
        for one in (hub, *clusters.values()):
            await one.stop()


async def test_the_verdicts_of_all_clusters_are_at_the_hub_once_also_what_was_said_while_it_was_away(tmp_path: Path) -> None:
    async with fleet(tmp_path) as here:
        await here.decide("eu", "web-1")
        await here.decide("us", "web-1")
        await here.has(("eu", "web-1"), ("us", "web-1"))
        await here.hub.kill()
        await here.decide("eu", "web-2")
        await here.decide("us", "web-2")
        await here.clusters["us"].kill()
        await here.hub.start()
        await here.clusters["us"].start()
        await here.has(*((cluster, one) for cluster in CLUSTERS for one in ("web-1", "web-2")))


async def test_who_reads_at_the_hub_hears_of_a_verdict_when_it_arrives_and_reads_the_last_one_of_a_service(tmp_path: Path) -> None:
    async with fleet(tmp_path) as here, here.user("reader") as client:
        heard = await client.subscribe("fleet.verdict.eu.>")
        await client.flush()
        await here.decide("eu", "web-1")
        message = await heard.next_msg(timeout=60)
        assert (message.subject, release_of(message.headers, message.data)) == ("fleet.verdict.eu.shop.web", "web-1")
        last = await client.request(f"$JS.API.DIRECT.GET.{STREAM}.verdictd.verdict.eu.shop.web", timeout=30)
        assert release_of(last.headers, last.data) == "web-1"


async def test_the_way_to_the_hub_carries_neither_commands_nor_other_reads_nor_changes_nor_the_daemon_s_answers(
    tmp_path: Path,
) -> None:
    async with fleet(tmp_path) as here, here.user("fleet", inbox="answers") as client:
        heard: list[str] = []

        async def hear(message: Msg) -> None:
            heard.append(message.subject)

        for subject in ("_INBOX.>", "$KV.>"):
            await client.subscribe(subject, cb=hear)
        await client.flush()
        await here.decide("eu", "web-1")
        await here.has(("eu", "web-1"))
        assert heard == []
        await client.publish("verdictd.command.web-1", b"{}")
        await client.publish("verdictd.release.eu.shop.web", b"{}")
        streams = [plan.name for plan in PLANS]
        asked = [
            *(f"STREAM.{verb}.{stream}" for verb in ("INFO", "PURGE", "DELETE", "UPDATE", "MSG.GET") for stream in streams),
            *(f"CONSUMER.{verb}.{stream}" for verb in ("LIST", "NAMES") for stream in streams),
            *(f"CONSUMER.CREATE.{stream}{name}" for name in ("", ".hub") for stream in streams if stream != subjects.VERDICTS),
            *(f"CONSUMER.{verb}.{stream}.eu" for verb in ("MSG.NEXT", "DELETE", "INFO", "DURABLE.CREATE") for stream in streams),
            *(f"DIRECT.GET.{stream}" for stream in streams),
        ]
        said = await asyncio.gather(
            answered(client, f"CONSUMER.CREATE.{subjects.VERDICTS}"), *(answered(client, one) for one in asked)
        )
        assert [one for one in said if one is not None] == [f"CONSUMER.CREATE.{subjects.VERDICTS}"]
        async with here.user("operator", at=here.clusters["eu"]) as there:
            for stream, messages in ((subjects.COMMANDS, 0), (subjects.RELEASES, 0), (subjects.VERDICTS, 1)):
                assert (await there.jetstream().stream_info(stream)).state.messages == messages


async def answered(client: Client, what: str) -> str | None:
    """What was asked, where the cluster answers it at all, be it with an error."""
    try:
        await client.request(f"$JS.eu.API.{what}", b"", timeout=UNANSWERED_SECONDS)
    except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
        return None
    return what
