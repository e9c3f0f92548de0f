"""Credentials are read anew, refused in words, and told to nobody."""

import asyncio
import os
import ssl
from pathlib import Path

import pytest

from daemon.aio.credentials import Credentials, Identity, concealed, secret_values
from daemon.errors import InvalidInput, Refused, Unavailable
from tests.hand.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all tests: making keys takes a while."""
    return Authority(tmp_path_factory.mktemp("certificates"))


async def test_a_request_without_credentials_shows_none_and_reads_nothing() -> None:
    identity = Identity(Credentials())
    assert not identity.kept_in_files
    shown = await identity.now()
    assert (shown.authorization, shown.tls, shown.secrets) == (None, True, ())


async def test_a_token_is_a_bearer_token_unless_its_header_has_a_name_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("t0ken\n", encoding="utf-8")
    bearer = await Identity(Credentials(token_file=str(file))).now()
    assert (bearer.header, bearer.authorization) == ("Authorization", "Bearer t0ken")
    own = await Identity(Credentials(token_file=str(file), token_header="X-Token")).now()
    assert (own.header, own.authorization, own.secrets) == ("X-Token", "t0ken", ("t0ken",))


async def test_a_name_and_a_password_go_out_as_rfc_7617_has_it_and_the_password_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame\n", encoding="utf-8")
    identity = Identity(Credentials(username="Aladdin", password_file=str(file)))
    shown = await identity.now()
    assert shown.authorization == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert shown.secrets == ("QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "open sesame")
    file.write_text("grüße", encoding="utf-8")
    assert (await identity.now()).authorization == "Basic QWxhZGRpbjpncsO8w59l"


@pytest.mark.parametrize("content", [b"", b"\n \n", b"a\nb", b"\xff"])
@pytest.mark.parametrize("kind", ["token", "password"])
async def test_a_file_that_holds_no_secret_is_refused_and_its_content_not_told(tmp_path: Path, kind: str, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    named = {"token_file": str(file)} if kind == "token" else {"username": "u", "password_file": str(file)}
    with pytest.raises(Refused, match=kind) as caught:
        await Identity(Credentials(**named)).now()
    assert str(file) in str(caught.value)
    assert "a b" not in str(caught.value).replace("\n", " ")


async def test_certificates_are_loaded_anew_only_where_their_files_have_changed(tmp_path: Path, authority: Authority) -> None:
    pair = authority.signed("me", usage="clientAuth")
    both = tmp_path / "both.pem"
    both.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    identity = Identity(Credentials(client_certificate_file=str(both), ca_file=str(authority.pair.certificate)))
    first = (await identity.now()).tls
    assert isinstance(first, ssl.SSLContext)
    assert (await identity.now()).tls is first
    os.utime(both, ns=(1, 1))
    assert (await identity.now()).tls is not first
    assert len(first.get_ca_certs()) == 1, "the private authority stands in place of the system's"


async def test_a_client_certificate_leaves_the_systems_authorities_as_they_are(authority: Authority) -> None:
    pair = authority.signed("other", usage="clientAuth")
    named = Credentials(client_certificate_file=str(pair.certificate), client_key_file=str(pair.key))
    shown = (await Identity(named).now()).tls
    assert isinstance(shown, ssl.SSLContext)
    assert shown.verify_mode is ssl.CERT_REQUIRED
    assert shown.check_hostname


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "cannot be used"), ("no certificate", "cannot be used"), (None, "cannot be read: No such file")],
)
def test_a_bundle_without_certificates_is_refused_at_the_start_and_never_means_the_systems(
    tmp_path: Path, content: str | None, words: str
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidInput, match=words) as caught:
        Identity(Credentials(ca_file=str(file), setting="telemetry.prom"))
    assert caught.value.path == "telemetry.prom.ca_file"
    assert caught.value.fix


def test_a_pipe_in_place_of_a_certificate_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ca.pem")
    with pytest.raises(InvalidInput, match="is no regular file"):
        Identity(Credentials(ca_file=str(tmp_path / "ca.pem"), setting="t"))


async def test_a_key_with_a_passphrase_is_refused_and_the_terminal_not_asked(tmp_path: Path, authority: Authority) -> None:
    pair = authority.signed("locked", usage="clientAuth")
    locked = tmp_path / "locked.key"
    words = ("openssl", "ec", "-in", str(pair.key), "-aes256", "-passout", "pass:secret", "-out", str(locked))
    child = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.DEVNULL)
    assert await child.wait() == 0
    named = Credentials(client_certificate_file=str(pair.certificate), client_key_file=str(locked), setting="telemetry.prom")
    with pytest.raises(InvalidInput, match="unencrypted") as caught:
        Identity(named)
    assert caught.value.path == "telemetry.prom.client_certificate_file"


async def test_a_certificate_that_goes_is_a_reason_to_wait_and_is_taken_up_again(tmp_path: Path, authority: Authority) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.pair.certificate.read_bytes())
    identity = Identity(Credentials(ca_file=str(file), setting="telemetry.prom"))
    file.unlink()
    with pytest.raises(Unavailable, match=r"telemetry\.prom\.ca_file: .*No such file"):
        await identity.now()
    file.write_bytes(authority.pair.certificate.read_bytes())
    assert isinstance((await identity.now()).tls, ssl.SSLContext)


def test_what_authorises_is_concealed_wherever_somebody_says_it_again() -> None:
    secrets = secret_values({"X-Api-Key": "k-123", "Authorization": "Bearer t-456", "X-Scope-OrgID": "shop"})
    assert concealed("got k-123 and t-456 of shop", secrets) == "got [redacted] and [redacted] of shop"
    assert concealed("nothing", ("",)) == "nothing"
