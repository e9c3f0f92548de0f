"""The API under TLS: shown by a certificate that is renewed while it runs, with the same bounds on connections."""

import asyncio
import logging
import os
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.settings import Http, Tls
from daemon.cli.apiclient import ApiClient
from daemon.errors import InvalidInput
from daemon.http import tls
from tests.hand.api import Api, serving
from tests.hand.certificates import Authority, Pair
from tests.hand.waiting import until

ALIVE = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def shown(authority: Authority, tmp_path: Path) -> Pair:
    """A copy of its own, to be renewed."""
    signed = authority.signed("server", usage="serverAuth")
    return Pair(Path(shutil.copy(signed.certificate, tmp_path)), Path(shutil.copy(signed.key, tmp_path)))


@asynccontextmanager
async def secured(pair: Pair, *, connections: int = 100) -> AsyncIterator[Api]:
    named = Tls(certificate_file=str(pair.certificate), key_file=str(pair.key))
    async with serving(http=Http(listen="127.0.0.1:0", tls=named), connections=connections) as api:
        yield api


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.pair.certificate))


def only(authority: Authority, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = trusting(authority)
    context.minimum_version = context.maximum_version = version
    return context


async def answered(api: Api, context: ssl.SSLContext) -> str:
    """Whose certificate was shown to somebody who asked, and was answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port, ssl=context)
    writer.write(ALIVE)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
    names = writer.get_extra_info("peercert")["subject"]
    writer.close()
    return str(names[-1][-1][-1])


async def test_whoever_trusts_the_authority_is_answered_under_tls_and_the_command_too(authority: Authority, shown: Pair) -> None:
    async with secured(shown) as api:
        assert api.server.url == f"https://127.0.0.1:{api.server.address.port}"
        assert await answered(api, trusting(authority)) == "server"
        client = ApiClient(api.server.url, tls=trusting(authority))
        assert await asyncio.to_thread(client.freezes) == ()
        stranger = ApiClient(api.server.url)
        with pytest.raises(InvalidInput, match="its certificate is not trusted"):
            await asyncio.to_thread(stranger.freezes)


async def test_old_versions_of_tls_are_refused(authority: Authority, shown: Pair) -> None:
    async with secured(shown) as api:
        assert await answered(api, only(authority, ssl.TLSVersion.TLSv1_2)) == "server"
        with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
            old = only(authority, ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("ALL:@SECLEVEL=0")  # it is up to the server
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await answered(api, old)


async def test_a_renewed_certificate_is_shown_to_new_connections_and_open_ones_go_on(authority: Authority, shown: Pair) -> None:
    async with secured(shown) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port, ssl=trusting(authority))
        writer.write(ALIVE)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(3)
        renew(shown, authority.signed("renewed", usage="serverAuth"))
        await certificate(api).renew()
        assert await answered(api, trusting(authority)) == "renewed"
        writer.write(ALIVE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        writer.close()


async def test_it_is_looked_at_without_being_asked_to(authority: Authority, shown: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "LOOKED_AT_SECONDS", 0.01)
    async with secured(shown) as api:
        before = certificate(api).context
        renew(shown, authority.signed("renewed", usage="serverAuth"))
        await until(lambda: certificate(api).context is not before)
        assert await answered(api, trusting(authority)) == "renewed"


async def test_a_new_one_that_cannot_be_used_leaves_the_old_one_and_is_said_once(
    authority: Authority, shown: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async with secured(shown) as api:
        of_another_key = authority.signed("renewed", usage="serverAuth")
        renew(shown, Pair(of_another_key.certificate, shown.key))
        for _ in range(3):
            await certificate(api).renew()
        [line] = [one for one in caplog.records if one.levelno == logging.ERROR]
        assert line.getMessage() == "the new certificate cannot be used, the old one stays"
        assert "cannot be used with its key: key values mismatch" in line.__dict__["reason"]
        assert await answered(api, trusting(authority)) == "server"
        renew(shown, of_another_key)
        await certificate(api).renew()
        assert await answered(api, trusting(authority)) == "renewed"


@pytest.mark.parametrize(
    ("break_it", "where", "why"),
    [
        (lambda pair: pair.certificate.unlink(), "http.tls.certificate_file", "No such file"),
        (lambda pair: pair.certificate.write_text("none"), "http.tls.certificate_file", "cannot be used with its key"),
        (lambda pair: pair.key.unlink(), "http.tls.key_file", "No such file"),
        (lambda pair: fifo(pair.key), "http.tls.key_file", "regular file"),
    ],
)
def test_at_the_start_files_that_cannot_be_used_are_named(
    shown: Pair, break_it: Callable[[Pair], object], where: str, why: str
) -> None:
    break_it(shown)
    with pytest.raises(ConfigError) as raised:
        tls.Certificate(Tls(certificate_file=str(shown.certificate), key_file=str(shown.key)))
    [fault] = raised.value.faults
    assert fault.path == where
    assert why in fault.message
    assert fault.fix


async def test_plain_http_is_not_answered_and_nothing_of_it_is_left(shown: Pair) -> None:
    async with secured(shown) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port)
        writer.write(ALIVE)
        assert b"HTTP/1.1" not in await reader.read()
        writer.close()
        await until(lambda: len(api.server.connections) == 0)


async def test_whoever_does_not_shake_hands_holds_a_place_and_makes_way_for_whoever_does(authority: Authority, shown: Pair) -> None:
    async with secured(shown, connections=3) as api:
        silent = [await asyncio.open_connection("127.0.0.1", api.server.address.port) for _ in range(3)]
        await until(lambda: len(api.server.connections) == 3)
        assert await answered(api, trusting(authority)) == "server"
        assert await silent[0][0].read() == b""
        for _, writer in silent:
            writer.close()


async def test_hands_that_are_being_shaken_do_not_hold_up_the_end(shown: Pair) -> None:
    async with secured(shown) as api:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port)
        await until(lambda: len(api.server.connections) == 1)
    assert await reader.read() == b""
    writer.close()
    assert len(api.server.connections) == 0


async def test_many_at_once_are_all_answered(authority: Authority, shown: Pair) -> None:
    async with secured(shown) as api:
        context = trusting(authority)
        assert await asyncio.gather(*(answered(api, context) for _ in range(40))) == ["server"] * 40


def fifo(file: Path) -> None:
    """A pipe that nobody writes to."""
    file.unlink()
    os.mkfifo(file)


def renew(pair: Pair, by: Pair) -> None:
    for old, new in ((pair.certificate, by.certificate), (pair.key, by.key)):
        if old != new:
            written = old.with_suffix(".new")
            shutil.copy(new, written)
            written.replace(old)


def certificate(api: Api) -> tls.Certificate:
    found = api.server.certificate
    assert found is not None
    return found
