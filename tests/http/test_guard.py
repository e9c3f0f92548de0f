"""Who may change something."""

import asyncio
import hmac
from pathlib import Path

import pytest
from aiohttp import web
from multidict import CIMultiDict

from config.errors import ConfigError
from config.settings import Http
from daemon.errors import InvalidInput, Unavailable
from daemon.http.callers import Callers
from daemon.http.capacity import Capacity
from daemon.http.endpoint import TEXT, ApiPorts, Endpoint, Group
from daemon.http.guard import Bearer, Hmac, Open
from daemon.http.server import HttpServer, create_app
from tests.hand.api import RELEASE, TOKEN, Engine, ports_of, serving, view


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n", encoding="utf-8")
    return str(path)


async def test_with_a_token_whatever_changes_something_needs_it(token_file: str) -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")}), Http(listen="127.0.0.1:0", token_file=token_file)) as api:
        good = {"Authorization": f"Bearer {TOKEN}"}
        wrong = [
            {},
            {"Authorization": f"Bearer {TOKEN}x"},
            {"Authorization": TOKEN},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": "Bearer \u00fc"},
        ]
        for path in ("/v1/releases", "/v1/releases/shop-1/rollback", "/v1/releases/shop-1/promote", "/v1/releases/shop-1/cancel"):
            for headers in wrong:
                async with api.client.post(path, json=RELEASE, headers=headers) as response:
                    assert response.status == 401
                    assert response.headers["WWW-Authenticate"] == 'Bearer realm="verdictd"'
        assert api.engine.submitted == []
        assert api.engine.commands == []
        assert (await api.call("POST", "/v1/releases/shop-1/rollback", headers=good))[0] == 202
        assert (await api.call("GET", "/v1/releases"))[0] == 200


async def test_elsewhere_than_loopback_it_listens_with_a_token(token_file: str) -> None:
    async with serving(http=Http(listen="0.0.0.0:0", token_file=token_file)) as api:
        assert (await api.call("POST", "/v1/releases", json=RELEASE))[0] == 401
        assert (await api.call("GET", "/healthz", headers={"Host": "verdictd.prod.svc:8484"}))[0] == 200


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", "10.0.0.1:0", "example.org:0"])
def test_elsewhere_than_loopback_it_does_not_start_without_one(listen: str) -> None:
    engine = Engine()
    with pytest.raises(ConfigError) as caught:
        create_app(ports_of(engine, Http(listen=listen)))
    assert caught.value.faults[0].path == "http.token_file"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"", "missing or too short"), (b"short", "too short"), (b"\xff" * 20, "is not ASCII")],
)
def test_a_token_that_cannot_be_used_is_refused_at_start(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Callers(Http(token_file=str(path))).read()
    assert caught.value.faults[0].path == "http.token_file"
    assert message in caught.value.faults[0].message


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8484", "localhost.evil.example", "[::1", "10.0.0.1"])
async def test_without_a_token_a_name_that_is_not_loopback_is_refused(host: str) -> None:
    """A page whose own name was pointed at 127.0.0.1 sends that name."""
    async with serving() as api:
        assert (await api.call("GET", "/v1/releases", headers={"Host": host}))[0] == 421
        assert (await api.call("POST", "/v1/releases", json=RELEASE, headers={"Host": host}))[0] == 421


@pytest.mark.parametrize("host", ["localhost:8484", "127.0.0.1", "[::1]:8484"])
async def test_without_a_token_loopback_names_are_served(host: str) -> None:
    async with serving() as api:
        assert (await api.call("GET", "/v1/releases", headers={"Host": host}))[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://localhost:1", "Host": "localhost:1", "Sec-Fetch-Site": "same-origin"}, 202),
        ({}, 202),
    ],
)
async def test_a_foreign_page_changes_nothing(headers: dict[str, str], status: int) -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        assert (await api.call("POST", "/v1/releases/shop-1/rollback", headers=headers))[0] == status
        assert len(api.engine.commands) == (status == 202)


async def test_an_address_that_is_taken_is_said_to_be() -> None:
    async with serving() as api:
        engine = Engine()
        http = Http(listen=f"127.0.0.1:{api.server.address.port}")
        app = create_app(ports_of(engine, http))
        with pytest.raises(Unavailable, match=r"http\.listen: http://127\.0\.0\.1:\d+ cannot be listened on"):
            async with HttpServer(app, http=http, capacity=Capacity(connections=1, per_peer=1)):
                pass


SECRET = b"0123456789abcdef"
HOOK = Hmac(sender="forge", header="X-Hub-Signature-256", secrets=(SECRET, b"the one that comes after"), prefix="sha256=")
BODY = b'{"a": 1}'


def hooks(received: list[bytes]) -> Group:
    async def take(request: web.Request) -> web.StreamResponse:
        received.append(await request.read())
        return web.Response(status=204)

    def endpoints(_ports: ApiPorts) -> list[Endpoint]:
        return [
            Endpoint(name="hook", method="POST", path="/hook", handler=take, guard=HOOK, summary="Take it.", answers={204: TEXT}),
            Endpoint(name="open", method="POST", path="/open", handler=take, guard=Open(), summary="Take it.", answers={204: TEXT}),
            Endpoint(
                name="read", method="GET", path="/read", handler=take, guard=Bearer(), summary="Read it.", answers={204: TEXT}
            ),
        ]

    return Group(name="hooks", about="Made up.", endpoints=endpoints)


def signed(body: bytes, secret: bytes = SECRET) -> str:
    return f"sha256={hmac.digest(secret, body, 'sha256').hex()}"


@pytest.mark.parametrize("secret", HOOK.secrets)
async def test_whoever_signs_the_body_with_a_secret_that_is_valid_now_is_let_in_without_the_token(
    token_file: str, secret: bytes
) -> None:
    received: list[bytes] = []
    async with serving(http=Http(listen="127.0.0.1:0", token_file=token_file), groups=[hooks(received)]) as api:
        headers = {HOOK.header: signed(BODY, secret)}
        assert (await api.call("POST", "/hook", data=BODY, headers=headers))[0] == 204
        upper = {HOOK.header: signed(BODY, secret).replace("sha256=", "").upper()}
        assert (await api.call("POST", "/hook", data=BODY, headers={HOOK.header: f"sha256={upper[HOOK.header]}"}))[0] == 204
    assert received == [BODY, BODY]


@pytest.mark.parametrize(
    ("headers", "wrong"),
    [
        ([], "is missing"),
        ([("Authorization", f"Bearer {TOKEN}")], "is missing"),
        ([(HOOK.header, signed(BODY)), (HOOK.header, signed(BODY))], "is given more than once"),
        ([(HOOK.header, signed(BODY).removeprefix("sha256="))], "has another form"),
        ([(HOOK.header, signed(BODY)[:-1])], "has another form"),
        ([(HOOK.header, "sha1=" + "0" * 64)], "has another form"),
        ([(HOOK.header, "")], "has another form"),
        ([(HOOK.header, "sha256=" + "\u00fc" * 64)], "has another form"),
        ([(HOOK.header, "sha256=" + "\u00fc" * 32)], "is not of this body and our secret"),
        ([(HOOK.header, signed(BODY + b" "))], "is not of this body and our secret"),
        ([(HOOK.header, signed(BODY, b"another secret of 16"))], "is not of this body and our secret"),
        ([(HOOK.header, signed(BODY, b""))], "is not of this body and our secret"),
    ],
)
async def test_a_signature_that_is_not_right_is_refused_with_the_reason(
    token_file: str, headers: list[tuple[str, str]], wrong: str
) -> None:
    received: list[bytes] = []
    http = Http(listen="127.0.0.1:0", token_file=token_file)
    async with (
        serving(http=http, groups=[hooks(received)]) as api,
        api.client.post("/hook", data=BODY, headers=CIMultiDict(headers)) as response,
    ):
        problem = await response.json(content_type="application/problem+json")
        assert response.headers["WWW-Authenticate"] == f'HMAC-SHA256 realm="verdictd", header="{HOOK.header}"'
    assert (problem["status"], problem["path"], problem["detail"]) == (401, HOOK.header, f"the signature of forge {wrong}")
    assert "the HMAC-SHA256 of the body" in problem["fix"]
    assert received == []


async def test_a_signed_body_is_bounded_as_every_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.http.intake.BODY_SECONDS", 0.05)
    received: list[bytes] = []
    large = b"x" * 2000
    async with serving(http=Http(listen="127.0.0.1:0", max_body_bytes=1024), groups=[hooks(received)]) as api:
        assert (await api.call("POST", "/hook", data=large, headers={HOOK.header: signed(large)}))[0] == 413
        reader, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port)
        head = f"POST /hook HTTP/1.1\r\nHost: 127.0.0.1\r\n{HOOK.header}: {signed(BODY)}\r\nContent-Length: 9\r\n\r\n{{"
        writer.write(head.encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 503")
        writer.close()
        await writer.wait_closed()
    assert received == []


@pytest.mark.parametrize("secrets", [(), (b"",), (SECRET, b"short")])
def test_a_secret_that_lets_everybody_in_is_refused(secrets: tuple[bytes, ...]) -> None:
    with pytest.raises(InvalidInput, match="the secret of forge is missing or too short"):
        Hmac(sender="forge", header="X", secrets=secrets)


async def test_an_endpoint_is_guarded_as_it_says_whatever_its_method(token_file: str) -> None:
    received: list[bytes] = []
    async with serving(http=Http(listen="127.0.0.1:0", token_file=token_file), groups=[hooks(received)]) as api:
        assert (await api.call("POST", "/open", data=BODY))[0] == 204
        for method in ("GET", "HEAD"):
            assert (await api.call(method, "/read"))[0] == 401
            assert (await api.call(method, "/read", headers={"Authorization": f"Bearer {TOKEN}"}))[0] == 204
        # A page of another site may not even knock.
        foreign = {"Origin": "https://evil.example"}
        assert (await api.call("POST", "/open", data=BODY, headers=foreign))[0] == 403
        assert (await api.call("POST", "/hook", data=BODY, headers={HOOK.header: signed(BODY), **foreign}))[0] == 403


async def test_an_address_that_nothing_answers_to_tells_strangers_nothing(token_file: str) -> None:
    async with serving(http=Http(listen="127.0.0.1:0", token_file=token_file)) as api:
        assert (await api.call("POST", "/v2/releases"))[0] == 401
        assert (await api.call("DELETE", "/v1/releases"))[0] == 401
        assert (await api.call("GET", "/v2/releases"))[0] == 404
        assert (await api.call("DELETE", "/v1/releases", headers={"Authorization": f"Bearer {TOKEN}"}))[0] == 405
