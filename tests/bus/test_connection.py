"""Getting in, being kept out, losing the connection, and leaving quickly."""

import asyncio
import signal
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from config.settings import Nats
from daemon.bus import consuming
from daemon.bus.address import BrokerAddress, address_of
from daemon.bus.connection import Connection, connected
from daemon.bus.opening import Bus, open_bus
from daemon.errors import Forbidden, InvalidInput, Unavailable
from tests.bus.jwt import operator_files
from tests.bus.test_publisher import published
from tests.hand.broker import Broker, broker
from tests.hand.certificates import Authority
from tests.hand.samples import verdict
from tests.hand.waiting import until

pytestmark = pytest.mark.live


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker that wants a token."""
    async with broker(tmp_path / "guarded", flags=("--auth", "s3cret")) as running:
        yield running


async def test_the_right_token_opens_and_a_wrong_one_is_refused_at_once(guarded: Broker, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    settings = Nats(url=guarded.url, token_file=str(token), connect_timeout_seconds=40.0)
    async with open_bus(settings, cluster="prod") as bus:
        assert bus.ready
    token.write_text("wrong")
    # At once: long before the time that it may try to connect is over.
    async with asyncio.timeout(20.0):
        with pytest.raises(Forbidden, match="does not let us in"):
            async with open_bus(settings, cluster="prod"):
                pass


async def test_a_token_that_cannot_be_read_at_a_reconnect_is_told_and_its_renewed_file_is_taken(
    guarded: Broker, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret")
    address = address_of(Nats(url=guarded.url, token_file=str(token)))
    async with connected(address, name="t", connect_timeout_seconds=40.0) as connection:
        token.unlink()
        await guarded.kill()
        await guarded.start()
        await until(lambda: "nats.token_file" in (connection.last_error or ""))
        token.write_text("s3cret")
        await until(lambda: connection.state == "connected")


async def test_a_refusal_is_told_even_where_the_server_resets_the_connection_right_after_it() -> None:
    async def refusing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"auth_required": true}\r\n')
        await reader.readuntil(b"PING\r\n")
        writer.write(b"-ERR 'Authorization Violation'\r\n")
        # Closed at once and without a farewell: the other end hears of a reset.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async with await asyncio.start_server(refusing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Forbidden, match="does not let us in"):
            async with open_bus(Nats(url=f"nats://127.0.0.1:{port}", connect_timeout_seconds=40.0), cluster="prod"):
                pass


async def test_secrets_in_the_url_are_in_no_message(guarded: Broker) -> None:
    url = guarded.url.replace("//", "//user:hunter2@")
    with pytest.raises(Forbidden) as caught:
        async with open_bus(Nats(url=url, connect_timeout_seconds=60.0), cluster="prod"):
            pass
    assert "hunter2" not in str(caught.value)
    assert guarded.url in str(caught.value)


async def test_where_nobody_answers_the_time_is_bounded_and_told() -> None:
    with pytest.raises(Unavailable, match=r"did not answer within 1 s .*Connect call failed"):
        async with open_bus(Nats(url="nats://127.0.0.1:1", connect_timeout_seconds=1.0), cluster="prod"):
            pass


async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        gone.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match=r"did not answer within 0\.3 s"):
            async with open_bus(Nats(url=f"nats://127.0.0.1:{port}", connect_timeout_seconds=0.3), cluster="prod"):
                pass
        await gone.wait()


async def test_the_state_follows_the_server(nats_server: Broker, bus: Bus) -> None:
    assert (bus.connection.state, bus.ready) == ("connected", True)
    await nats_server.kill()
    await until(lambda: bus.connection.state == "disconnected")
    assert bus.connection.last_error is not None
    await nats_server.start()
    await until(lambda: bus.ready)


async def test_a_token_that_was_rotated_is_read_anew(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with broker(tmp_path / "one", flags=("--auth", "old")) as first:
        settings = Nats(url=first.url, token_file=str(token), connect_timeout_seconds=20.0)
        async with open_bus(settings, cluster="prod") as bus:
            await first.kill()
            first._flags = ("--auth", "new")
            await first.start()
            await asyncio.sleep(1.5)
            assert not bus.ready
            await asyncio.to_thread(token.write_text, "new")
            await until(lambda: bus.ready)
            await bus.sessions.put("web-1", b"state")


async def test_an_error_line_that_closes_the_client_does_not_close_the_bus(bus: Bus) -> None:
    client = bus.connection.client
    await client._process_err("'Maximum Connections Exceeded'")
    await until(lambda: bus.ready and bus.connection.client is not client)
    await bus.sessions.put("web-1", b"state")


async def test_a_client_that_has_left_off_reconnecting_is_replaced(nats_server: Broker, bus: Bus) -> None:
    client = bus.connection.client
    await nats_server.kill()
    await until(lambda: not bus.ready)
    assert client._reconnection_task is not None
    client._reconnection_task.cancel()  # the library takes it for the end of its attempts, and tells nobody
    await nats_server.start()
    await until(lambda: bus.ready)
    assert bus.connection.client is not client
    await bus.sessions.put("web-1", b"state")


async def test_a_client_whose_last_attempt_ended_while_its_socket_closed_is_replaced(
    nats_server: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The standard library shares one future among all who wait for a socket's end: the first one's cancellation is everybody's."""
    client = bus.connection.client
    assert client._transport is not None
    closed = asyncio.get_running_loop().create_future()

    async def wait_closed() -> None:
        await closed

    monkeypatch.setattr(client._transport, "wait_closed", wait_closed)
    await nats_server.kill()
    await until(lambda: client._reconnection_task is not None)
    attempts = client._reconnection_task
    assert attempts is not None
    attempts.cancel()
    await until(closed.cancelled)
    await nats_server.start()
    await until(lambda: bus.ready)
    assert bus.connection.client is not client
    await bus.sessions.put("web-1", b"state")


async def test_a_client_that_was_shut_out_and_never_said_so_is_replaced(
    nats_server: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its closing ends before it tells, where somebody else's wait for the socket's end was cancelled."""
    client = bus.connection.client
    assert client._transport is not None

    async def wait_closed() -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(client._transport, "wait_closed", wait_closed)
    await asyncio.wait([asyncio.ensure_future(client._close(client.CLOSED))])
    await until(lambda: bus.ready and bus.connection.client is not client)
    await bus.sessions.put("web-1", b"state")


async def test_a_pause_while_the_connection_is_lost_ends_when_it_is_back(nats_server: Broker, bus: Bus) -> None:
    await nats_server.kill()
    await until(lambda: not bus.ready)
    await bus.connection.rest(0.05)
    assert not bus.ready
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(bus.connection.rest(600.0))
        await nats_server.start()
    assert bus.ready


async def test_there_is_a_pause_from_the_first_moment_of_a_loss(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "state", "disconnected")  # before the library tells us
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await bus.connection.rest(600.0)


LATE_SECONDS = 5.0
"""Less than leaving would take if it waited for what does not come: a fetch, or what the library waits for when it drains."""


async def test_leaving_is_quick_while_fetches_are_under_way_and_loses_no_publication(
    nats_server: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming, "FETCH_SECONDS", 60.0)
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(anext(bus.events.announcements()))
            commands = group.create_task(anext(bus.commands.commands()))
            await asyncio.sleep(0.3)
            await bus.verdicts.publish(verdict())
            waiting.cancel()
            commands.cancel()
        began = time.monotonic()
    assert time.monotonic() - began < LATE_SECONDS
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        assert len(await published(bus)) == 1


async def test_leaving_is_quick_though_a_generator_was_left_open(nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        await bus.connection.jetstream.publish("verdictd.release.x", b"{}")
        announcements = bus.events.announcements()
        await anext(announcements)
        began = time.monotonic()
    assert time.monotonic() - began < LATE_SECONDS
    await announcements.aclose()


async def test_leaving_a_server_that_hangs_waits_for_it_no_longer_than_it_must(nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus, aclosing(bus.events.announcements()) as announcements:
        await bus.connection.jetstream.publish("verdictd.release.x", b"{}")
        await anext(announcements)
        nats_server.signal(signal.SIGSTOP)
        began = time.monotonic()
    assert time.monotonic() - began < 1.5 + LATE_SECONDS


async def test_leaving_a_server_that_is_gone_is_quick(nats_server: Broker) -> None:
    async with open_bus(nats_server.settings, cluster="prod") as bus:
        await nats_server.kill()
        await until(lambda: not bus.ready)
        began = time.monotonic()
    assert time.monotonic() - began < LATE_SECONDS


@pytest.mark.parametrize("field", ["token_file", "credentials_file", "ca_file"])
def test_a_file_that_is_missing_is_named(field: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=rf"nats\.{field}: '.*nothing' cannot be read: No such file"):
        address_of(msgspec.structs.replace(Nats(url="nats://h"), **{field: str(tmp_path / "nothing")}))


def test_two_ways_to_authenticate_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="token_file is set, and credentials_file too"):
        Nats(url="nats://h", token_file=str(tmp_path), credentials_file=str(tmp_path))


def test_a_ca_file_without_certificates_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(InvalidInput, match=r"nats\.ca_file: .* holds no certificates"):
        address_of(Nats(url="tls://h", ca_file=str(file)))


def test_several_servers_are_taken_apart_and_shown_without_secrets() -> None:
    address = address_of(Nats(url="nats://me:pw@a:4222, nats://b:4222,token@c"))
    assert address.servers == ("nats://me:pw@a:4222", "nats://b:4222", "token@c")
    assert address.shown == "nats://a:4222, nats://b:4222, c"


async def test_a_certificate_nobody_signed_is_told(tmp_path: Path) -> None:
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1", "-nodes")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    openssl = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", str(key), "-out", str(certificate), *subject),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await openssl.wait() == 0
    flags = ("--tls", f"--tlscert={certificate}", f"--tlskey={key}")
    async with broker(tmp_path / "tls", flags=flags) as running:
        url = running.url.replace("nats://", "tls://")
        async with open_bus(Nats(url=url, ca_file=str(certificate)), cluster="prod") as bus:
            assert bus.ready
        with pytest.raises(InvalidInput, match=r"nats\.ca_file: the certificate .* is not trusted"):
            async with open_bus(Nats(url=url), cluster="prod"):
                pass
        other = ssl.create_default_context()
        with pytest.raises(InvalidInput):
            async with connected(BrokerAddress(servers=(url,), tls=lambda: other), name="t", connect_timeout_seconds=40.0):
                pass


async def test_an_authority_that_is_renewed_is_trusted_at_the_next_connect(tmp_path: Path) -> None:
    """And while what is there of it cannot be read, that is what is told."""
    shown, file = tmp_path / "shown", tmp_path / "ca.pem"
    shown.mkdir()

    def renewed(name: str) -> Path:
        authority = Authority(tmp_path / name)
        pair = authority.signed("nats", usage="serverAuth")
        pair.certificate.replace(shown / "tls.crt")
        pair.key.replace(shown / "tls.key")
        return authority.pair.certificate

    file.write_bytes(renewed("first").read_bytes())
    flags = ("--tls", f"--tlscert={shown / 'tls.crt'}", f"--tlskey={shown / 'tls.key'}")
    async with broker(tmp_path / "nats", flags=flags) as running:
        address = address_of(Nats(url=running.url.replace("nats://", "tls://"), ca_file=str(file)))
        async with connected(address, name="t", connect_timeout_seconds=40.0) as connection:
            await running.kill()
            await until(lambda: connection.state == "disconnected")
            file.write_text("half of it")
            second = renewed("second")
            await running.start()
            await until(lambda: "holds no certificates" in (connection.last_error or ""))
            file.write_bytes(second.read_bytes())
            await until(lambda: connection.state == "connected")


async def test_credentials_open_and_a_stranger_s_are_refused(tmp_path: Path) -> None:
    config, known, stranger = operator_files(tmp_path)
    async with broker(tmp_path / "nats", flags=("--config", str(config))) as running:
        settings = Nats(url=running.url, credentials_file=str(known), connect_timeout_seconds=40.0)
        async with open_bus(settings, cluster="prod") as bus:
            await bus.sessions.put("web-1", b"state")
        with pytest.raises(Forbidden, match="does not let us in"):
            async with open_bus(Nats(url=running.url, credentials_file=str(stranger)), cluster="prod"):
                pass


def test_credentials_without_what_signs_them_are_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "user.creds"
    file.touch()
    monkeypatch.setattr("daemon.bus.address.find_spec", lambda _name: None)
    with pytest.raises(InvalidInput, match=r"pip install 'verdictd\[credentials\]'"):
        address_of(Nats(url="nats://h", credentials_file=str(file)))


@pytest.mark.parametrize(
    "url", ["", " , ", "nats://", "http://h:4222", "nats://h:port", "nats://a:4222,nats://:4222", "nats://h:0"]
)
def test_what_is_no_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"nats\.url: server [12] of the list is no address"):
        address_of(Nats(url=url))


@pytest.mark.parametrize("url", ["h", "h:4222", "nats://h", "tls://u:p@h:4222", "nats://[::1]:4222", "wss://h:443"])
def test_addresses_of_servers_are_taken(url: str) -> None:
    assert address_of(Nats(url=url)).servers == (url,)


async def test_a_shut_out_client_is_replaced_though_the_server_is_away_first(
    nats_server: Broker, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus.connection, "_connect_timeout_seconds", 0.3)  # of all but the first
    client = bus.connection.client
    clients = {client}

    def tried() -> int:
        """How many clients there were; one that has come to nothing is replaced by the next."""
        clients.add(bus.connection._client)
        return len(clients)

    await nats_server.kill()
    await asyncio.wait([asyncio.ensure_future(client._close(client.CLOSED))])  # as one of the library's tasks does
    with pytest.raises(Unavailable):
        await bus.sessions.put("web-1", b"state")
    await until(lambda: tried() >= 3)
    await nats_server.start()
    await until(lambda: bus.ready)
    await bus.sessions.put("web-1", b"state")
