"""The shipped configurations of a hub and of clusters beside it: each verdict is there once, and a hub can do nothing else."""

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
from tests.hand.waiting import until as happened
from tests.servers.run import free_ports, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

SHIPPED = Path("deploy/nats")
STREAM = "FLEET_VERDICTS"
CLUSTERS = ("eu", "us")
USERS = ("system", "verdictd", "operator", "pipeline", "cluster", "fleet", "reader")
UNANSWERED_SECONDS = 1.0
"""For what nobody may answer; what is allowed is asked once more after all of it, with as much time as it takes."""
ANSWERED_SECONDS = 30.0

Kept = tuple[int, int, int, dict[str, object]]
"""Of a stream: how many messages it has, the number of the last one, how many consumers, and how it is configured."""


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

    async def kept(self, cluster: str) -> dict[str, Kept]:
        """Every stream and bucket of a cluster."""
        async with self.user("operator", at=self.clusters[cluster]) as client:
            found = await client.jetstream().streams_info()
            return {
                str(one.config.name): (one.state.messages, one.state.last_seq, one.state.consumer_count, one.config.as_dict())
                for one in found
            }

    async def let_the_hub_read(self, cluster: str) -> None:
        """What the page has the operator of a cluster do, once a daemon was there to make the stream."""
        url = self.clusters[cluster].url_of("verdictd", password="verdictd-secret")
        async with open_bus(Nats(url=url, connect_timeout_seconds=20.0), cluster=cluster):
            pass
        plan = json.loads(await asyncio.to_thread((SHIPPED / "fleet-consumer.json").read_bytes))
        body = {"stream_name": subjects.VERDICTS, "config": {**plan, "deliver_subject": f"fleet.deliver.{cluster}"}}
        async with self.user("operator", at=self.clusters[cluster]) as client:
            await asked(client, f"CONSUMER.DURABLE.CREATE.{subjects.VERDICTS}.{plan['name']}", json.dumps(body).encode())

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


async def asked(client: Client, what: str, body: bytes) -> None:
    answer = json.loads((await client.request(f"$JS.API.{what}", body, timeout=30)).data)
    assert "error" not in answer, answer


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
        for name in CLUSTERS:
            await here.let_the_hub_read(name)
        async with here.user("fleet") as client:
            await asked(client, f"STREAM.CREATE.{STREAM}", await asyncio.to_thread((SHIPPED / "fleet-verdicts.json").read_bytes))
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


async def test_a_hub_whose_stream_is_made_anew_has_every_verdict_once_when_clusters_were_asked_to_begin_again(
    tmp_path: Path,
) -> None:
    async with fleet(tmp_path) as here, here.user("fleet", inbox="answers") as client:
        await here.decide("eu", "web-1")
        await here.has(("eu", "web-1"))
        await asked(client, f"STREAM.DELETE.{STREAM}", b"")
        assert await granted(client, "$JS.eu.API", RESET, b'{"seq":1}', within=ANSWERED_SECONDS)
        await asked(client, f"STREAM.CREATE.{STREAM}", await asyncio.to_thread((SHIPPED / "fleet-verdicts.json").read_bytes))
        await here.decide("eu", "web-2")
        await here.has(("eu", "web-1"), ("eu", "web-2"))


RESET = f"CONSUMER.RESET.{subjects.VERDICTS}.fleet"
"""The one question that a cluster answers to its hub: to deliver verdicts again."""
FORGED = (
    "verdictd.release.eu.shop.web", "verdictd.command.web-1", "verdictd.verdict.eu.shop.web", "verdictd.rejected",
    "verdictd.audit.eu.shop.web", "verdictd.notice.eu.web-1.chat", "verdictd.cdevents.eu.web-1", "verdictd.replica.eu.any",
    "$KV.verdictd_sessions.eu.web-1", "$KV.verdictd_records.eu.web-1", "$KV.verdictd_routes.eu.web", "$SYS.REQ.SERVER.PING",
    f"$JS.ACK.{subjects.RELEASES}.eu.1.1.1.1.1", f"$JS.FC.{subjects.VERDICTS}.fleet.x", "fleet.deliver.eu",
)  # fmt: skip


def questions() -> list[str]:
    """What JetStream is asked, of every stream and bucket of a daemon's."""
    streams = [plan.name for plan in PLANS]
    return [
        "INFO", "STREAM.LIST", "STREAM.NAMES", "STREAM.CREATE.OURS", "ACCOUNT.PURGE.VERDICTD", "META.LEADER.STEPDOWN",
        *(
            f"STREAM.{verb}.{stream}"
            for verb in ("INFO", "PURGE", "DELETE", "CREATE", "UPDATE", "MSG.GET", "MSG.DELETE", "SNAPSHOT", "RESTORE",
                         "LEADER.STEPDOWN", "PEER.REMOVE")
            for stream in streams
        ),
        *(f"CONSUMER.{verb}.{stream}" for verb in ("LIST", "NAMES", "CREATE") for stream in streams),
        *(
            f"CONSUMER.{verb}.{stream}.{name}"
            for verb in ("MSG.NEXT", "DELETE", "INFO", "CREATE", "DURABLE.CREATE", "PAUSE", "RESET", "UNPIN", "LEADER.STEPDOWN")
            for stream in streams
            for name in ("eu", "fleet")
        ),
        *(f"DIRECT.GET.{stream}{subject}" for stream in streams for subject in ("", ".verdictd.verdict.eu.shop.web")),
    ]  # fmt: skip


async def test_a_hostile_hub_can_have_the_verdicts_delivered_again_and_do_nothing_else(tmp_path: Path) -> None:
    async with (
        fleet(tmp_path) as here,
        here.user("fleet", inbox="answers") as client,
        here.user("operator", at=here.clusters["eu"]) as beside_the_daemon,
    ):
        await here.decide("eu", "web-1")
        await here.has(("eu", "web-1"))
        before = await here.kept("eu")
        heard, arrived = await subjects_heard(client, ">"), await subjects_heard(beside_the_daemon, "verdictd.>", "$KV.>")
        said = await asyncio.gather(
            *(granted(client, prefix, one) for prefix in ("$JS.eu.API", "$JS.API") for one in questions()),
        )
        # Its own server answers under its own prefix; what a cluster says is asked for under the cluster's name.
        assert {one for one in said if one is not None and one.startswith("$JS.eu.")} <= {f"$JS.eu.API.{RESET}"}
        for subject in FORGED:
            await client.publish(subject, b'{"command":"cancel"}')
            if not subject.startswith("$JS."):
                # An answer goes where a question says; between accounts it stays on the side of who asked.
                await client.publish(f"$JS.eu.API.{RESET}", b'{"seq":1}', reply=subject)
        # It is answered after all of that, which has the same way.
        assert await granted(client, "$JS.eu.API", RESET, within=ANSWERED_SECONDS)
        await beside_the_daemon.flush()
        assert not arrived
        assert await here.kept("eu") == before
        await here.decide("eu", "web-2")
        await here.has(("eu", "web-1"), ("eu", "web-2"))
        # Who else has read it at the hub may have been told before.
        await happened(lambda: "fleet.verdict.eu.shop.web" in heard)
        said_by_clusters = {one for one in heard if not one.startswith(("$JS.", "$SYS.", "answers.", "$JSC.R."))} - set(FORGED)
        assert said_by_clusters <= {"fleet.verdict.eu.shop.web", "fleet.deliver.us"}


async def subjects_heard(client: Client, *wanted: str) -> set[str]:
    """Fills with the subjects of what this client hears from now on, also of what no stream keeps."""
    heard: set[str] = set()

    async def hear(message: Msg) -> None:
        heard.add(message.subject)

    for subject in wanted:
        await client.subscribe(subject, cb=hear)
    await client.flush()
    return heard


async def granted(client: Client, prefix: str, what: str, body: bytes = b"", *, within: float = UNANSWERED_SECONDS) -> str | None:
    """What was asked, where anybody answers it, and with more than an error."""
    try:
        answer = await client.request(f"{prefix}.{what}", body, timeout=within)
    except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
        return None
    refused = b'"error"' in answer.data or "Status" in (answer.headers or {})
    return None if refused else f"{prefix}.{what}"
