"""Tokens that an issuer signed: right for us, in their time, by a public key, and known by what they say; all else is refused."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Http, Issuer, SignedCaller
from daemon.errors import NotAllowed, Unavailable
from daemon.http import signedtokens
from daemon.http.issuerkeys import ASKED_AGAIN_SECONDS, KEPT_SECONDS, RENEWED_SECONDS, IssuerKeys, NotShown
from daemon.http.signedtokens import Issuers
from tests.hand.api import RELEASE, Api, serving

MAIN = {"repository": "acme/shop", "ref": "refs/heads/main"}


@dataclass
class Signer:
    """An issuer with a real key, and an endpoint of its keys that can be made to say anything."""

    url: str = ""
    name: str = "k1"
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    algorithm: str = "RS256"
    asked: list[str] = field(default_factory=list)
    answer: Callable[[], web.Response] | None = None
    listed: list[Mapping[str, Any]] | None = None
    jwks_uri: str | None = None

    def key_set(self) -> dict[str, Any]:
        if self.listed is not None:
            return {"keys": self.listed}
        kind = jwt.get_algorithm_by_name(self.algorithm)
        public = json.loads(kind.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": self.name, "use": "sig", "alg": self.algorithm}]}

    def token(self, *, without: str = "", headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        whole = {"iss": self.url, "aud": "verdictd", "sub": "repo:acme/shop", "exp": _in(300), "iat": _in(0), **MAIN, **claims}
        whole.pop(without, None)
        return jwt.encode(whole, self.key, algorithm=self.algorithm, headers={"kid": self.name, **(headers or {})})


def _in(seconds: float) -> int:
    """Tokens are held against the time of day, by the library."""
    return int(time.time() + seconds)


@asynccontextmanager
async def signing() -> AsyncIterator[Signer]:
    signer = Signer()

    async def answered(request: web.Request) -> web.Response:
        signer.asked.append(request.path)
        if signer.answer is not None:
            return signer.answer()
        if request.path == "/keys":
            return web.json_response(signer.key_set())
        return web.json_response({"issuer": signer.url, "jwks_uri": signer.jwks_uri or f"{signer.url}/keys"})

    app = web.Application()
    app.router.add_get("/{tail:.*}", answered)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    signer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield signer
    finally:
        await runner.cleanup()


def issuer_of(signer: Signer, **changes: Any) -> Issuer:
    callers = {"shop": SignedCaller(claims=MAIN, scopes=["submit"], namespaces=["web"])}  # type: ignore[arg-type]
    return Issuer(**({"issuer": signer.url, "audience": "verdictd", "callers": callers} | changes))


@asynccontextmanager
async def asked(signer: Signer, **changes: Any) -> AsyncIterator[Issuers]:
    issuers = Issuers({"github": issuer_of(signer, **changes)})
    try:
        yield issuers
    finally:
        await issuers.close()


async def said(issuers: Issuers, token: str) -> str:
    """Who that is, or why nobody."""
    try:
        caller = await issuers.showing(token.encode())
    except (NotShown, NotAllowed, Unavailable) as error:
        return f"{type(error).__name__}: {error}"
    return "nobody" if caller is None else str(caller.name)


@pytest.fixture
async def signer() -> AsyncIterator[Signer]:
    async with signing() as one:
        yield one


async def test_a_job_of_the_right_repository_may_do_what_its_caller_may_and_no_more(signer: Signer) -> None:
    http = Http(listen="127.0.0.1:0", issuers={"github": issuer_of(signer)})
    async with serving(http=http) as api:
        assert (await submitted(api, signer.token()))[0] == 202
        assert (await submitted(api, signer.token(), namespace="other"))[0] == 403
        status, problem = await api.call("POST", "/v1/releases/r/rollback", json={}, headers=shown(signer.token()))
        assert status == 403
        assert problem["fix"].startswith("add command to http.issuers.github.callers.shop.scopes")
        status, problem = await submitted(api, signer.token(ref="refs/heads/other"))
        assert status == 403
        assert problem["detail"] == ("no caller is known by what the token says: ref 'refs/heads/other', repository 'acme/shop'")
        status, problem = await submitted(api, signer.token(exp=_in(-120)))
        assert (status, problem["detail"]) == (401, "the signed token is refused: Signature has expired")
        assert (await submitted(api, "what.ever.itis"))[0] == 401
        assert (await api.call("POST", "/v1/releases", json=RELEASE))[0] == 401


async def submitted(api: Api, token: str, **changes: Any) -> tuple[int, Any]:
    return await api.call("POST", "/v1/releases", json={**RELEASE, **changes}, headers=shown(token))


def shown(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_what_is_wrong_with_a_token_is_said(signer: Signer) -> None:
    async with asked(signer) as issuers:
        assert await said(issuers, signer.token()) == "github/shop"
        refused = "NotShown: the signed token is refused: "
        assert await said(issuers, signer.token(aud="another")) == refused + "Audience doesn't match"
        assert await said(issuers, signer.token(nbf=_in(600))) == refused + "The token is not yet valid (nbf)"
        assert await said(issuers, signer.token(without="exp")) == refused + 'Token is missing the "exp" claim'
        assert await said(issuers, signer.token(without="aud")) == refused + 'Token is missing the "aud" claim'
        assert await said(issuers, signer.token(iss="http://elsewhere")) == (
            "NotShown: nobody under http.issuers has the issuer 'http://elsewhere'"
        )
        assert "has no key 'k2'" in await said(issuers, signer.token(headers={"kid": "k2"}))
        head, body, signature = signer.token().split(".")
        forged = signer.token(repository="acme/other").split(".")[1]
        assert await said(issuers, f"{head}.{forged}.{signature}") == refused + "Signature verification failed"
        assert body != forged
        assert await said(issuers, signer.token(exp=_in(-30))) == "github/shop", "clocks may differ by a minute"


async def test_what_everybody_can_read_signs_nothing(signer: Signer) -> None:
    async with asked(signer) as issuers:
        unsigned = jwt.encode({"iss": signer.url, "aud": "verdictd", "exp": _in(300), **MAIN}, "", algorithm="none")
        # The trick of old: what everybody can read is taken for a shared secret.
        by_secret = by_hmac(signer, json.dumps(signer.key_set()["keys"][0]).encode())
        for token in (unsigned, by_secret):
            assert (await said(issuers, token)).startswith("NotShown: ")
        signer.listed = [{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "k1", "alg": "HS256"}]
    async with asked(signer) as issuers:
        assert "names no key that signs by a public key" in await said(issuers, by_secret)


def by_hmac(signer: Signer, secret: bytes) -> str:
    head = jwt.utils.base64url_encode(json.dumps({"alg": "HS256", "kid": "k1"}).encode()).decode()
    body = signer.token().split(".")[1]
    signature = hmac.digest(secret, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}." + base64.urlsafe_b64encode(signature).rstrip(b"=").decode()


async def test_elliptic_curves_are_taken_too(signer: Signer) -> None:
    signer.key, signer.algorithm = ec.generate_private_key(ec.SECP256R1()), "ES256"
    async with asked(signer) as issuers:
        assert await said(issuers, signer.token()) == "github/shop"


async def test_claims_may_be_one_of_several_and_lists_may_hold_one(signer: Signer) -> None:
    wanted: dict[str, str | list[str]] = {"ref": ["refs/heads/main", "refs/heads/release"], "groups": "sre"}
    callers = {"shop": SignedCaller(claims=wanted, scopes=["submit"])}
    async with asked(signer, callers=callers) as issuers:
        assert await said(issuers, signer.token(ref="refs/heads/release", groups=["dev", "sre"])) == "github/shop"
        for claims in ({"groups": ["dev"]}, {"groups": [["sre"]]}, {"groups": {"sre": 1}}, {"ref": "x", "groups": "sre"}, {}):
            assert (await said(issuers, signer.token(**claims))).startswith("NotAllowed: Authorization: no caller is known by")


async def test_a_token_by_which_two_callers_are_known_is_of_neither(signer: Signer) -> None:
    callers = {
        name: SignedCaller(claims={claim: MAIN[claim]}, scopes=["submit"]) for name, claim in (("a", "ref"), ("b", "repository"))
    }
    async with asked(signer, callers=callers) as issuers:
        assert "the callers a and b are both known by" in await said(issuers, signer.token())
        assert await said(issuers, signer.token(repository="x")) == "github/a"


@given(
    shown=st.binary(max_size=200)
    | st.lists(st.sampled_from([b"e30", b"eyJhbGciOiJSUzI1NiJ9", b"W10", b"", b"\xff"])).map(b".".join)
)
def test_whatever_is_shown_is_somebodys_token_or_none(shown: bytes) -> None:
    issuer = Issuer(
        issuer="http://127.0.0.1:9",
        audience="verdictd",
        callers={"shop": SignedCaller(claims=MAIN, scopes=["read"])},  # type: ignore[arg-type]
    )

    async def look() -> None:
        issuers = Issuers({"github": issuer})
        try:
            assert await issuers.showing(shown) is None
        except NotShown:
            pass
        finally:
            await issuers.close()

    asyncio.run(look())


async def test_keys_are_fetched_once_and_a_new_one_is_looked_for_but_not_for_every_token_that_is_made_up(signer: Signer) -> None:
    at = 0.0
    keys = IssuerKeys(issuer_of(signer), setting="http.issuers.github", monotonic=lambda: at)
    try:
        await asyncio.gather(*(keys.key("k1") for _ in range(20)))
        assert len(signer.asked) <= 4, "who asks while it is fetched may have it fetched once more"
        before = len(signer.asked)
        for _ in range(20):
            with pytest.raises(NotShown):
                await keys.key("made up")
        assert len(signer.asked) == before
        signer.name = "k2"
        with pytest.raises(NotShown):
            await keys.key("k2")
        at += ASKED_AGAIN_SECONDS
        assert await keys.key("k2")
        with pytest.raises(NotShown):
            await keys.key("k1")
    finally:
        await keys.close()


async def test_an_issuer_that_is_away_takes_nothing_away_for_a_day(signer: Signer) -> None:
    at = 0.0
    keys = IssuerKeys(issuer_of(signer), setting="http.issuers.github", monotonic=lambda: at)
    try:
        await keys.key("k1")
        signer.answer = lambda: web.Response(status=503)
        at += RENEWED_SECONDS + 1.0
        assert await keys.key("k1")
        with pytest.raises(NotShown, match="has no key 'k2'"):
            await keys.key("k2")
        at += ASKED_AGAIN_SECONDS
        with pytest.raises(Unavailable, match=r"the keys of http\.issuers\.github cannot be had"):
            await keys.key("k2")
        at += KEPT_SECONDS
        for seconds in (0.0, 1.0, 20.0, ASKED_AGAIN_SECONDS):  # also between two attempts
            at += seconds
            with pytest.raises(Unavailable):
                await keys.key("k1")
        signer.answer = None
        at += ASKED_AGAIN_SECONDS
        assert await keys.key("k1")
    finally:
        await keys.close()


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(text="<html>", content_type="text/html"),
        lambda: web.json_response([]),
        lambda: web.json_response({"keys": []}),
        lambda: web.json_response({"keys": [1]}),
        lambda: web.json_response({"keys": [{"kty": "RSA", "kid": "k1"}]}),
        lambda: web.Response(body=b"x" * 2_000_000, content_type="application/json"),
        lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
    ],
)
async def test_keys_that_cannot_be_read_are_said_to_be_and_a_right_token_is_not_called_wrong(
    signer: Signer, answer: Callable[[], web.Response]
) -> None:
    signer.answer = answer
    async with asked(signer, keys_url=f"{signer.url}/keys") as issuers:
        assert (await said(issuers, signer.token())).startswith("Unavailable: the keys of http.issuers.github cannot be had: ")
        signer.answer = None
        assert await said(issuers, signer.token()) == "github/shop", "who shows a right one is not held up by what is over"


@pytest.mark.parametrize(
    "uri", ["file:///etc/passwd", "https://127.0.0.1/", "no address", "http://user:pass@127.0.0.1/", "http://[x"]
)
async def test_an_issuer_cannot_send_us_anywhere(signer: Signer, uri: str) -> None:
    signer.jwks_uri = uri
    async with asked(signer) as issuers:
        assert "jwks_uri is no address of http" in await said(issuers, signer.token())


async def test_a_key_for_something_else_signs_nothing(signer: Signer) -> None:
    [own] = signer.key_set()["keys"]
    signer.listed = [{**own, "use": "enc"}, {**own, "kid": "another"}]
    async with asked(signer) as issuers:
        assert "has no key 'k1'" in await said(issuers, signer.token())


def test_without_the_library_issuers_are_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signedtokens, "jwt", None)
    assert Issuers({}) is not None
    with pytest.raises(Exception, match=r"http\.issuers: needs PyJWT, which is not installed"):
        Issuers({"github": issuer_of(Signer(url="http://127.0.0.1:9"))})


def test_a_token_is_not_sent_to_wherever_an_issuer_says() -> None:
    with pytest.raises(ValueError, match="token_file is set, and keys_url is not"):
        issuer_of(Signer(url="http://127.0.0.1:9"), token_file="/token")
