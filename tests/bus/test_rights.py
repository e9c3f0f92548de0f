"""The shipped configuration of nats-server: the daemon's user can do the daemon's work and no more, the pipelines' user less."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import nats.errors
import nats.js.errors
import pytest
from nats.js import JetStreamContext

from config.settings import Nats
from daemon.aio.tasks import background
from daemon.bus import room, subjects
from daemon.bus.address import address_of
from daemon.bus.connection import Connection, connected
from daemon.bus.looking import as_they_are
from daemon.bus.natsclient import Denied
from daemon.bus.opening import Bus, open_bus
from daemon.bus.room import REFUSING_STREAMS, Room
from daemon.bus.store import KvStore
from daemon.bus.streams import PLANS
from daemon.errors import Forbidden, VerdictdError
from daemon.ports.events import IncomingEvent
from daemon.ports.notices import Notice
from daemon.ports.past import VerdictFilter
from tests.bus.test_eventsource import SUBJECT
from tests.hand.broker import Broker, broker
from tests.hand.samples import DOCUMENT, RELEASE, entry, verdict

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

EXAMPLE = Path("deploy/nats/verdictd.conf")
PASSWORDS = {user: f"{user}-secret" for user in ("system", "verdictd", "operator", "pipeline")}
EVENTS = (json.dumps(DOCUMENT).encode(), json.dumps({**DOCUMENT, "cluster": "nobodys"}).encode(), b"no event")
LONG_AGO = time.time() - 7_200.0
# Only looked at where a stream is half full, or where a value goes while it is read.
SELDOM_ASKED = (
    subjects.VERDICTS,
    subjects.CDEVENTS,
    subjects.AUDIT,
    *(f"KV_{one}" for one in (subjects.SESSIONS, subjects.RECORDS, subjects.ROUTES)),
)
ROOM = ("PURGE.VERDICTD_RELEASES", "PURGE.VERDICTD_COMMANDS", "LIST.VERDICTD_RELEASES", "LIST.VERDICTD_COMMANDS")


def example() -> str:
    return EXAMPLE.read_text()


def rights() -> list[str]:
    """What the daemon's user may write to."""
    block = re.search(r"allow: \[(.*?)\]", example(), re.DOTALL)
    assert block is not None
    return re.findall(r'^\s*"(\S+)"$', block[1], re.MULTILINE)


def without_each() -> str:
    """The example, with further users of the daemon's account: each lacks one right."""
    users = [_user(f"without-{number}", _others(right)) for number, right in enumerate(rights())]
    users.append(_user("deaf", rights(), hears="deny: '>'"))
    head, tail = example().split("VERDICTD {\n", 1)
    return head + "VERDICTD {\n" + tail.replace("users: [", "users: [\n" + "\n".join(users), 1)


def _user(name: str, allowed: list[str], *, hears: str = 'allow: ["_INBOX.>", "verdictd.replica.>"]') -> str:
    permissions = f"publish: {{ allow: {json.dumps(allowed)} }}, subscribe: {{ {hears} }}"
    return f"{{ user: {name}, password: secret, permissions: {{ {permissions} }} }}"


def _others(right: str) -> list[str]:
    return [one for one in rights() if one != right]


def is_of(right: str, denied: str) -> bool:
    """Whether a subject that was denied is one that the right would have allowed."""
    pattern = re.escape(right).replace(r"\*", "[^.]+").replace(">", ".+")
    return re.fullmatch(f"publish to {pattern}", denied) is not None


@asynccontextmanager
async def shipped(folder: Path, config: str) -> AsyncIterator[Broker]:
    """A server with this configuration."""
    file = folder / "verdictd.conf"
    await asyncio.to_thread(file.write_text, config)
    env = {f"NATS_{user.upper()}_PASSWORD": password for user, password in PASSWORDS.items()}
    async with broker(folder / "nats", flags=("--config", str(file)), env=env) as running:
        yield running


def settings(server: Broker, user: str, password: str | None = None) -> Nats:
    return Nats(url=server.url_of(user, password=password or PASSWORDS[user]), connect_timeout_seconds=20.0)


@asynccontextmanager
async def as_user(server: Broker, user: str, password: str | None = None) -> AsyncIterator[Connection]:
    async with connected(address_of(settings(server, user, password)), name="test", connect_timeout_seconds=20.0) as connection:
        yield connection


async def announce(jetstream: JetStreamContext) -> None:
    for body in EVENTS:
        await jetstream.publish(SUBJECT, body)
    await jetstream.publish("verdictd.command.web-1", b'{"command":"cancel"}')


async def work(bus: Bus, *, cluster: str) -> None:
    """All that a daemon asks of NATS. What fails is passed over; the bus says what was denied."""
    for store in (
        bus.sessions,
        bus.records,
        bus.aliases,
        bus.freezes,
        bus.routes,
        bus.updates,
        bus.serving,
        bus.questions,
        bus.lapsed,
    ):
        await _keep(store)  # type: ignore[arg-type]  # a session's store is made of two
    with suppress(VerdictdError):
        await as_they_are(bus.connection)
    for number, decided_at in enumerate((time.time(), LONG_AGO)):
        told = verdict(f"web-{number}", cluster=cluster, decided_at=decided_at)
        with suppress(VerdictdError):
            await bus.verdicts.publish(told)
        with suppress(VerdictdError):
            await bus.cdevents.publish(RELEASE, told)
        with suppress(VerdictdError):
            await bus.audit.publish(entry(f"web-{number}", cluster=cluster, at=decided_at))
    with suppress(VerdictdError):
        await bus.verdicts.published({"web-1"}, since=time.time())
    with suppress(VerdictdError):
        await bus.past.page(limit=1, wanted=VerdictFilter())
    with suppress(VerdictdError):
        body = json.dumps({**DOCUMENT, "cluster": cluster}).encode()
        await bus.event_log.keep(IncomingEvent(key=cluster, headers={}, body=body, release=RELEASE))
    await _take(bus)
    await _tell(bus, cluster=cluster)
    await _carry(bus)
    for stream in SELDOM_ASKED:
        with suppress(nats.errors.Error):
            await bus.connection.jetstream.consumer_info(stream, "none")


async def _keep(store: KvStore) -> None:
    with suppress(VerdictdError):
        await store.put("web-1", b"1")
    with suppress(VerdictdError):
        await store.get("web-1")
    with suppress(VerdictdError):
        await store.items()
    with suppress(VerdictdError):
        await store.delete("web-1")


async def _take(bus: Bus) -> None:
    await _take_events(bus)
    async with aclosing(bus.commands.commands()) as commands:
        await anext(commands)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await anext(commands)  # which acknowledges the one before


async def _take_events(bus: Bus, *, count: int = len(EVENTS)) -> None:
    left = count
    async with aclosing(bus.events.announcements()) as announcements:
        async for announcement in announcements:
            try:
                announcement.release()
                await announcement.accept()
            except VerdictdError as error:
                await announcement.reject(str(error))
            if not (left := left - 1):
                break


async def _tell(bus: Bus, *, cluster: str) -> None:
    async with bus.notices("ops") as queue:
        with suppress(VerdictdError):
            await queue.put(Notice(release=RELEASE, verdict=verdict(cluster=cluster)))
        async with aclosing(queue.notices()) as notices:
            queued = await anext(notices)
            with suppress(VerdictdError):
                await queue.backlog()
            await queued.done()


async def _carry(bus: Bus) -> None:
    """Say something to another replica, which is oneself."""

    async def echo(words: bytes) -> bytes:
        await asyncio.sleep(0)
        return words

    async with background(bus.carrier.answer("a", echo)):
        for _ in range(600):
            try:
                assert await bus.carrier.ask("a", b"hello") == b"hello"
            except VerdictdError:
                if bus.connection.denied:
                    return
                await asyncio.sleep(0.05)
            else:
                return
        raise AssertionError("nobody has answered")


async def first_denial(server: Broker, user: str, *, cluster: str) -> tuple[list[str], str]:
    """What is denied to this user in a daemon's work, and what is said of it."""
    try:
        async with open_bus(settings(server, user, "secret"), cluster=cluster) as bus:
            working = asyncio.ensure_future(work(bus, cluster=cluster))
            while not bus.connection.denied and not working.done():
                await asyncio.wait([working], timeout=0.05)
            working.cancel()
            await asyncio.wait([working])
            return bus.connection.denied, str(bus.pulse.problem)
    except Forbidden as error:
        found = re.search(r"user to (\S+ to \S+);", str(error))
        return ([] if found is None else [found[1]]), str(error)


def unlike(faults: Iterable[tuple[str, list[str], str]]) -> list[tuple[str, list[str], str]]:
    """Of rights taken away those that were not missed, or of which something else was said."""
    return [
        (right, denied, said)
        for right, denied, said in faults
        if not (
            denied
            and all(is_of(right, one) for one in denied)
            and any(one in said for one in denied)
            and "give it this right" in said
        )
    ]


async def test_the_daemons_user_can_do_all_of_a_daemons_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shipped(tmp_path, example()) as server, open_bus(settings(server, "verdictd"), cluster="prod") as bus:
        async with as_user(server, "operator") as operator:
            await announce(operator.jetstream)
        await work(bus, cluster="prod")
        monkeypatch.setattr(room, "TIDY_ABOVE", -1.0)
        for stream in REFUSING_STREAMS:
            await Room(bus.connection).tidy(stream)
        assert bus.connection.denied == []
        assert bus.pulse.problem is None


async def test_each_right_that_is_taken_away_is_missed_and_named(tmp_path: Path) -> None:
    async with shipped(tmp_path, without_each()) as server, as_user(server, "operator") as operator:
        async with open_bus(settings(server, "verdictd"), cluster="prod"):
            await announce(operator.jetstream)
        users = {right: f"without-{number}" for number, right in enumerate(rights())}
        general = [right for right in users if ".STREAM.UPDATE." not in right and not right.endswith(ROOM)]
        denials = await asyncio.gather(*(first_denial(server, users[right], cluster=users[right]) for right in general))
    assert len(general) > 50
    assert unlike((right, *denial) for right, denial in zip(general, denials, strict=True)) == []


async def test_a_daemon_that_may_not_mend_a_stream_says_so_at_once(tmp_path: Path) -> None:
    found = []
    async with shipped(tmp_path, without_each()) as server, as_user(server, "operator") as operator:
        async with open_bus(settings(server, "verdictd"), cluster="prod"):
            pass
        for number, right in enumerate(rights()):
            if ".STREAM.UPDATE." not in right:
                continue
            stream = right.rpartition(".")[2]
            config = (await operator.jetstream.stream_info(stream)).config
            await operator.jetstream.update_stream(config.evolve(max_msgs_per_subject=7))
            found.append((right, *await first_denial(server, f"without-{number}", cluster="prod")))
            await operator.jetstream.update_stream(config)
    assert [right.rpartition(".")[2] for right, _, _ in found] == [plan.name for plan in PLANS]
    assert unlike(found) == []


async def test_the_rights_by_which_room_is_made_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "TIDY_ABOVE", -1.0)
    monkeypatch.setattr(room, "LOOK_SECONDS", 3_600.0)
    found = []
    async with shipped(tmp_path, without_each()) as server, as_user(server, "operator") as operator:
        for number, right in enumerate(rights()):
            if not right.endswith(ROOM):
                continue
            async with open_bus(settings(server, "verdictd"), cluster="prod") as bus:
                await announce(operator.jetstream)
                await _take(bus)
            async with as_user(server, f"without-{number}", "secret") as ours:
                for stream in REFUSING_STREAMS:
                    with suppress(VerdictdError):
                        await Room(ours).tidy(stream)
                found.append((right, ours.denied, f"{ours.denied} give it this right"))
    assert len(found) == len(ROOM)
    assert unlike(found) == []


async def test_a_daemon_that_may_hear_no_answers_says_so(tmp_path: Path) -> None:
    async with shipped(tmp_path, without_each()) as server:
        with pytest.raises(Forbidden, match=r"does not permit our user to subscribe to _INBOX\."):
            async with open_bus(settings(server, "deaf", "secret"), cluster="prod"):
                pass


async def test_a_pipeline_announces_and_reads_verdicts_and_dead_letters(tmp_path: Path) -> None:
    async with (
        shipped(tmp_path, example()) as server,
        open_bus(settings(server, "verdictd"), cluster="prod") as bus,
        as_user(server, "pipeline") as pipeline,
    ):
        live = await pipeline.client.subscribe("verdictd.verdict.prod.>")
        letters = await pipeline.client.subscribe(subjects.REJECTED_SUBJECT)
        await pipeline.client.flush()
        for body in EVENTS:
            kept = await pipeline.jetstream.publish(SUBJECT, body, timeout=10.0)
            assert kept.stream == subjects.RELEASES
        await _take_events(bus)
        await bus.verdicts.publish(verdict("web-1"))
        assert b'"web-1"' in (await live.next_msg(timeout=10.0)).data
        assert (await letters.next_msg(timeout=10.0)).headers is not None
        first = await pipeline.jetstream.get_msg(subjects.VERDICTS, seq=1, direct=True)
        newest = await pipeline.jetstream.get_msg(subjects.VERDICTS, subject="verdictd.verdict.prod.shop.web", direct=True)
        assert b'"web-1"' in (first.data or b"")
        assert newest.data == first.data
        assert (await pipeline.jetstream.get_msg(subjects.REJECTED, seq=1, direct=True)).headers
        assert pipeline.denied == []


FORBIDDEN = (
    *(
        "verdictd.verdict.prod.shop.web",
        "verdictd.rejected",
        "verdictd.command.web-1",
        "verdictd.cdevents.prod.shop.web",
        "verdictd.audit.prod.shop.web",
    ),
    "verdictd.replica.prod.a",
    *("verdictd.notice.prod.ops", "$KV.verdictd_sessions.prod.web-1", "$KV.verdictd_records.prod.web-1", "_INBOX.other.1"),
    *("$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST"),
    *(
        f"$JS.API.{verb}.{plan.name}"
        for plan in PLANS
        for verb in (
            "STREAM.INFO",
            "STREAM.PURGE",
            "STREAM.DELETE",
            "STREAM.UPDATE",
            "STREAM.CREATE",
            "STREAM.MSG.GET",
            "CONSUMER.CREATE",
        )
    ),
    *(f"$JS.API.DIRECT.GET.{plan.name}" for plan in PLANS if plan.name not in {subjects.VERDICTS, subjects.REJECTED}),
    *("$JS.API.CONSUMER.MSG.NEXT.VERDICTD_RELEASES.verdictd-prod", "$JS.ACK.VERDICTD_RELEASES.verdictd-prod.1.1.1.1.0"),
)


async def test_a_pipeline_is_refused_everything_else(tmp_path: Path) -> None:
    async with (
        shipped(tmp_path, example()) as server,
        open_bus(settings(server, "verdictd"), cluster="prod"),
        as_user(server, "pipeline") as pipeline,
    ):
        for subject in FORBIDDEN:
            with pytest.raises(Denied) as caught:
                await pipeline.client.request(subject, b"{}", timeout=10.0)
            assert caught.value.right == f"publish to {subject}"
        for subject in (">", "verdictd.>", "$KV.>", "$JS.>", "verdictd.command.*", "verdictd.release.>"):
            await pipeline.client.subscribe(subject)
            async with asyncio.timeout(20):
                while f"subscribe to {subject}" not in pipeline.denied:
                    await asyncio.sleep(0.01)


async def test_no_question_of_a_pipeline_has_its_answer_put_where_it_may_not_write(tmp_path: Path) -> None:
    forged = b'{"command":"promote","by":"nobody"}'
    places = (
        "verdictd.command.web-1",
        "verdictd.verdict.prod.shop.web",
        "verdictd.notice.prod.ops",
        "$KV.verdictd_sessions.prod.web-1",
    )
    async with (
        shipped(tmp_path, example()) as server,
        open_bus(settings(server, "verdictd"), cluster="prod") as bus,
        as_user(server, "operator") as operator,
        as_user(server, "pipeline") as pipeline,
    ):
        before = {plan.name: (await operator.jetstream.stream_info(plan.name)).state.last_seq for plan in PLANS}
        await pipeline.jetstream.publish(SUBJECT, forged, timeout=10.0)
        await _take_events(bus, count=1)
        assert (await pipeline.jetstream.get_msg(subjects.REJECTED, seq=1, direct=True)).data == forged
        for place in places:
            for question, asked in (("$JS.API.DIRECT.GET.VERDICTD_REJECTED", b'{"seq":1}'), (SUBJECT, forged)):
                await pipeline.client.publish(question, asked, reply=place)
        # The server answers one connection's questions in order.
        await pipeline.jetstream.get_msg(subjects.REJECTED, seq=1, direct=True)
        await pipeline.jetstream.publish(SUBJECT, EVENTS[0], timeout=10.0)
        for name in (subjects.COMMANDS, subjects.VERDICTS, subjects.NOTICES):
            assert (await operator.jetstream.stream_info(name)).state.last_seq == before[name]
        with pytest.raises(nats.js.errors.NotFoundError):
            await operator.jetstream.get_msg("KV_verdictd_sessions", subject=places[-1])
