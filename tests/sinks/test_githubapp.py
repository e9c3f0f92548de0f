"""An App of GitHub's, by contract: a stub that believes a JWT as GitHub's documents say, and gives tokens as its reference does."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from config.errors import ConfigError
from daemon.aio import jsonwebtokens
from daemon.errors import Forbidden, NotFound, Unavailable, VerdictdError
from daemon.model import GitHubDeployment, GitHubRule
from daemon.ports.notices import Notice
from daemon.settings import load_settings
from daemon.sinks.channel import ChannelKind
from daemon.sinks.channels import CHANNELS
from daemon.sinks.github import App
from daemon.sinks.githubapp import RENEWED_BEFORE_SECONDS
from daemon.sinks.httptelling import HttpTeller
from tests.hand.clock import HandClock
from tests.hand.samples import RELEASE, verdict
from tests.hand.servers import app_of, says, serving, stub

KEY = rsa.generate_private_key(65537, 2048)
TOKEN_SECONDS = 3_600
NOTICE = Notice(
    release=msgspec.structs.replace(
        RELEASE,
        github=GitHubDeployment(repository="acme/shop", deployment=42),
        github_rule=GitHubRule(repository="acme/shop", run=77, environment="production"),
    ),
    verdict=verdict(),
)
TOLD: dict[str, tuple[dict[str, Any], str, str]] = {
    "github-deployment": ({"repositories": ["acme/*"]}, "/repos/acme/shop/deployments/42/statuses", "deployments"),
    "github-protection-rule": (
        {"repositories": ["acme/*"]},
        "/repos/acme/shop/actions/runs/77/deployment_protection_rule",
        "deployments",
    ),
    "github-dispatch": ({"repository": "acme/gitops"}, "/repos/acme/gitops/dispatches", "contents"),
}


def pem(key: Any, *, passphrase: bytes | None = None) -> str:
    lock = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, lock)
    return made.decode()


@dataclass
class Hub:
    """GitHub, as far as it is documented.

    Attributes:
        clock: its own.
        granted: what the installation may write.
        tokens: those that are good, and what each may write.
        made: how many were ever given.
        told: by which token something was told, and where.
    """

    clock: HandClock
    url: str = ""
    granted: set[str] = field(default_factory=lambda: {"deployments", "contents"})
    tokens: dict[str, str] = field(default_factory=dict)
    made: int = 0
    told: list[tuple[str, str]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.path.startswith("/app/"):
            await self.gate.wait()
            return self._exchanged(request.path, shown, await request.json())
        if shown not in self.tokens:
            return web.json_response({"message": "Bad credentials"}, status=401)
        self.told.append((self.tokens[shown], request.path))
        return web.Response(status=201)

    def _exchanged(self, path: str, shown: str, body: Any) -> web.Response:
        claims = jwt.decode(shown, KEY.public_key(), algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False})
        now = self.clock.now()
        if not (claims["iat"] <= now < claims["exp"] <= now + 600 and claims["iss"] == "Iv1.abc"):
            return web.json_response({"message": "A JSON web token could not be decoded"}, status=401)
        if path != "/app/installations/7/access_tokens":
            return web.json_response({"message": "Not Found"}, status=404)
        [(permission, access)] = body["permissions"].items()
        if permission not in self.granted or access != "write":
            said = "The permissions requested are not granted to this installation."
            return web.json_response({"message": said}, status=422)
        self.made += 1
        token = f"ghs_{self.made}"
        self.tokens[token] = permission
        ends = datetime.fromtimestamp(now + TOKEN_SECONDS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return web.json_response({"token": token, "expires_at": ends, "permissions": body["permissions"]}, status=201)


@asynccontextmanager
async def running(clock: HandClock) -> AsyncIterator[Hub]:
    hub = Hub(clock)
    hub.gate.set()
    async with serving(app_of(hub.handle)) as port:
        hub.url = f"http://127.0.0.1:{port}"
        yield hub


def kind_of(name: str) -> ChannelKind:
    [kind] = [one for one in CHANNELS if one.name == name]
    return kind


def teller(hub: Any, folder: Path, name: str = "github-deployment", *, clock: HandClock, installation: int = 7) -> HttpTeller:
    kind = kind_of(name)
    app = App(id="Iv1.abc", installation=installation, private_key_file=str(folder / "key.pem"))
    settings: Any = kind.settings(url=hub.url, app=app, **TOLD[name][0])  # type: ignore[call-arg]
    return HttpTeller(kind, name="hub", settings=settings, public_url="", clock=clock)


@pytest.fixture
def clock() -> HandClock:
    return HandClock(1_700_000_000.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "key.pem").write_text(pem(KEY))
    return tmp_path


@pytest.mark.parametrize("name", TOLD)
async def test_every_kind_tells_by_a_token_of_the_installation_that_may_do_this_and_nothing_else(
    clock: HandClock, folder: Path, name: str
) -> None:
    async with running(clock) as hub, teller(hub, folder, name, clock=clock) as to:
        await to.tell(NOTICE)
        assert hub.told == [(TOLD[name][2], TOLD[name][1])]


async def test_a_token_is_had_once_for_all_who_wait_for_it_and_again_before_it_ends(clock: HandClock, folder: Path) -> None:
    async with running(clock) as hub, teller(hub, folder, clock=clock) as to:
        hub.gate.clear()
        telling = [asyncio.ensure_future(to.tell(NOTICE)) for _ in range(4)]
        await asyncio.sleep(0)
        hub.gate.set()
        await asyncio.gather(*telling)
        assert (hub.made, len(hub.told)) == (1, 4)
        clock.time += TOKEN_SECONDS - RENEWED_BEFORE_SECONDS - 1.0
        await to.tell(NOTICE)
        assert hub.made == 1
        clock.time += 2.0
        await to.tell(NOTICE)
        assert hub.made == 2


async def test_a_token_that_was_revoked_is_replaced_with_the_next_attempt(clock: HandClock, folder: Path) -> None:
    async with running(clock) as hub, teller(hub, folder, clock=clock) as to:
        await to.tell(NOTICE)
        hub.tokens.clear()
        with pytest.raises(Forbidden, match=r"shown a token of sinks\.hub\.app, with the permission deployments: write"):
            await to.tell(NOTICE)
        await to.tell(NOTICE)
        assert (hub.made, len(hub.told)) == (2, 2)


async def test_the_key_is_read_anew_for_each_token(clock: HandClock, folder: Path) -> None:
    async with running(clock) as hub, teller(hub, folder, clock=clock) as to:
        (folder / "key.pem").write_text(pem(KEY).replace("\n", "\r\n"))
        await to.tell(NOTICE)
        (folder / "key.pem").unlink()
        await to.tell(NOTICE)
        clock.time += TOKEN_SECONDS
        with pytest.raises(Unavailable, match=r"^sinks\.hub\.app\.private_key_file: .*key\.pem .*; name a private key"):
            await to.tell(NOTICE)


@pytest.mark.parametrize(
    "held",
    [
        "junk",
        "",
        pem(KEY)[:300],
        pem(KEY, passphrase=b"secret"),
        pem(ec.generate_private_key(ec.SECP256R1())),
        KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    ],
    ids=["junk", "empty", "cut", "encrypted", "elliptic", "public"],
)
async def test_what_is_no_private_key_of_an_app_is_said_with_its_place_and_nothing_of_it_is_told(
    clock: HandClock, folder: Path, held: str
) -> None:
    (folder / "key.pem").write_text(held)
    async with running(clock) as hub, teller(hub, folder, clock=clock) as to:
        with pytest.raises(Unavailable) as caught:
            await to.tell(NOTICE)
        assert re.match(r"sinks\.hub\.app\.private_key_file: .*holds no private RSA key", str(caught.value))
        assert (hub.made, hub.told) == (0, [])


async def test_what_github_refuses_has_its_place_and_how_to_mend_it_and_is_tried_again(clock: HandClock, folder: Path) -> None:
    async with running(clock) as hub:
        async with teller(hub, folder, clock=clock, installation=8) as to:
            with pytest.raises(NotFound, match=r"^sinks\.hub\.app\.installation: .*Not Found; installation is the number"):
                await to.tell(NOTICE)
        async with teller(hub, folder, clock=clock) as to:
            hub.granted.clear()
            with pytest.raises(
                Unavailable, match=r"^sinks\.hub\.app: .*not granted.*; give the App the permission deployments: write"
            ):
                await to.tell(NOTICE)
            hub.granted.add("deployments")
            await to.tell(NOTICE)
        slow = HandClock(clock.time - 900.0)
        async with teller(hub, folder, clock=slow) as to:
            with pytest.raises(
                Forbidden, match=r"^sinks\.hub\.app: .*could not be decoded; it was shown a JWT .*; compare id with"
            ) as said:
                await to.tell(NOTICE)
        assert "eyJ" not in str(said.value)


@pytest.mark.parametrize(
    ("answer", "error", "says_of_it"),
    [
        (says({"token": "ghs_1"}, status=201), Unavailable, r"^sinks\.hub\.app: .*holds no token with its end: .*expires_at"),
        (says({"token": "two\nlines", "expires_at": "2026-01-01T00:00:00Z"}, status=201), Unavailable, r"holds no token"),
        (says({"token": "ghs_1\n", "expires_at": "2099-01-01T00:00:00Z"}, status=201), Unavailable, r"holds no token"),
        (says(b"", status=301, Location="https://elsewhere.example"), Unavailable, "put the final address into sinks.hub.url"),
        (says({"message": "wait"}, status=503), Unavailable, "answered 503: wait"),
    ],
)
async def test_what_is_no_answer_of_github_s_is_tried_again(
    clock: HandClock, folder: Path, answer: Any, error: type[VerdictdError], says_of_it: str
) -> None:
    async with stub(answer) as other, teller(other, folder, clock=clock) as to:
        with pytest.raises(error, match=says_of_it):
            await to.tell(NOTICE)


def loaded(folder: Path, **own: object) -> Any:
    file = folder / "settings.json"
    file.write_bytes(
        msgspec.json.encode({"sinks": {"gate": {"kind": "github-protection-rule", "repositories": ["acme/*"], **own}}})
    )
    return load_settings(str(file), environ={}).sinks["gate"]


APP = {"id": "12345", "installation": 7, "private_key_file": "/etc/verdictd/app.pem"}


def test_a_rule_s_answer_needs_an_app_or_who_renews_its_token_and_not_both(tmp_path: Path) -> None:
    assert loaded(tmp_path, app=APP).app.installation == 7
    assert loaded(tmp_path, secret_file="/t").app is None
    with pytest.raises(ConfigError, match=r"sinks\.gate\.app: is required: only the App whose rule it is can answer; add its id"):
        loaded(tmp_path)
    with pytest.raises(ConfigError, match=r"app and secret_file are set"):
        loaded(tmp_path, app=APP, secret_file="/t")
    with pytest.raises(ConfigError, match=r"sinks\.gate\.app\.id: .*write the client ID"):
        loaded(tmp_path, app={**APP, "id": "my app"})


def test_without_the_library_an_app_is_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonwebtokens, "jwt", None)
    with pytest.raises(ConfigError, match=r"sinks\.gate\.app: needs PyJWT, which is not installed; install verdictd\[issuers\]"):
        loaded(tmp_path, app=APP)
