"""Who may change something."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.settings import Http
from daemon.errors import Unavailable
from daemon.http.capacity import Capacity
from daemon.http.guard import guard_for
from daemon.http.metrics import Metrics
from daemon.http.server import HttpServer, create_app
from tests.http.world import RELEASE, TOKEN, Engine, serving, view


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
        create_app(desk=engine, verdicts=engine, metrics=Metrics(), readiness=dict, http=Http(listen=listen))
    assert caught.value.problems[0].path == "http.token_file"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"", "no usable token"), (b"short", "no usable token"), (b"\xff" * 20, "cannot be read")],
)
def test_a_token_that_cannot_be_used_is_refused_at_start(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        guard_for(Http(token_file=str(path)))
    assert caught.value.problems[0].path == "http.token_file"
    assert message in caught.value.problems[0].message


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
        app = create_app(desk=engine, verdicts=engine, metrics=Metrics(), readiness=dict, http=http)
        with pytest.raises(Unavailable, match=r"http\.listen: http://127\.0\.0\.1:\d+ cannot be listened on"):
            async with HttpServer(app, http=http, capacity=Capacity(connections=1, per_peer=1)):
                pass
