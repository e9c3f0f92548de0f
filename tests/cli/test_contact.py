"""How the commands reach a daemon: over TLS, with authorities of their own, and with a token from wherever it stands."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from daemon.cli import main
from tests.hand.certificates import Authority

BODY = b'{"releases":[],"freezes":[],"questions":[],"waiting":[]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
    len(BODY),
    BODY,
)


@asynccontextmanager
async def over_tls(authority: Authority) -> AsyncIterator[str]:
    """The address of a daemon behind TLS that watches nothing."""
    pair = authority.signed("server", usage="serverAuth")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_certificate_is_trusted_where_its_authority_is_named_and_refused_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "ours")
    other = Authority(tmp_path / "other")
    async with over_tls(authority) as url:
        argv = ["status", "--server", url]
        assert await asyncio.to_thread(main, [*argv, "--ca-file", str(authority.pair.certificate)]) == 0
        for more in ([], ["--ca-file", str(other.pair.certificate)]):
            assert await asyncio.to_thread(main, [*argv, *more]) == 64
            assert "its certificate is not trusted" in (said := capsys.readouterr().err)
            assert "--ca-file" in said
        monkeypatch.setenv("VERDICTD_CA_FILE", str(authority.pair.certificate))
        assert await asyncio.to_thread(main, argv) == 0


def test_a_file_that_holds_no_certificates_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ca.pem"
    for text in (None, "no certificate"):
        if text is not None:
            file.write_text(text)
        assert main(["status", "--ca-file", str(file)]) == 64
        assert "--ca-file: " in capsys.readouterr().err


@pytest.mark.parametrize("token", ["two words of it", "schlüssel"])
def test_a_token_of_the_environment_that_is_none_is_refused_without_being_told(
    token: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VERDICTD_TOKEN", token)
    assert main(["status"]) == 64
    said = capsys.readouterr().err
    assert said.startswith("verdictd: VERDICTD_TOKEN: the token holds no token")
    assert token not in said
