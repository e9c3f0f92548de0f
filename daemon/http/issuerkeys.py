"""The public keys of one issuer of tokens (RFC 7517), fetched when a token is shown, and kept.

Issuers change their keys: a key that is not known is looked for, though not more often than every half minute, or strangers could
have us ask for each token that they make up. An issuer that is away for a while takes nothing away: its keys stay right for a day.
"""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from yarl import URL

from config.settings import Issuer
from daemon.aio.credentials import Credentials, Identity
from daemon.aio.httpclient import HttpClient, base_url
from daemon.aio.jsonwebtokens import jwt
from daemon.aio.singleflight import SingleFlight
from daemon.errors import Refused, Unavailable, VerdictdError

ASKED_AGAIN_SECONDS: Final = 30.0
RENEWED_SECONDS: Final = 3600.0
KEPT_SECONDS: Final = 86_400.0
_TIMEOUT_SECONDS = 5.0
_ANSWER_BYTES = 1024 * 1024
_ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
_DISCOVERY: Final = ".well-known/openid-configuration"


T = TypeVar("T")


class NotShown(VerdictdError):
    """What was shown as a signed token is none that is right; says why."""


class _Discovered(msgspec.Struct, frozen=True):
    jwks_uri: str


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class IssuerKeys:
    """Keys by their names (``kid``).

    Args:
        issuer: whose.
        setting: where it stands in the settings.
        monotonic: seconds, on a clock that is never set.

    Raises:
        InvalidInput: its address or its certificates cannot be used.
    """

    def __init__(self, issuer: Issuer, *, setting: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._setting = setting
        self._monotonic = monotonic
        at = "issuer" if issuer.keys_url is None else "keys_url"
        self._url = base_url(issuer.keys_url or issuer.issuer, path=f"{setting}.{at}")
        self._discovers = issuer.keys_url is None
        self._http = HttpClient(
            setting=f"{setting}.{at}",
            connections=1,
            timeout_seconds=_TIMEOUT_SECONDS,
            max_answer_bytes=_ANSWER_BYTES,
            identity=Identity(Credentials(token_file=issuer.token_file, ca_file=issuer.ca_file, setting=setting)),
        )
        self._fetching = SingleFlight(self._fetched)
        self._keys: dict[str, Any] = {}
        self._fetched_at: float | None = None
        self._asked_at: float | None = None

    async def close(self) -> None:
        """Close the connection."""
        await self._http.close()

    async def key(self, name: str) -> Any:
        """The key of that name: a ``jwt.PyJWK``.

        Raises:
            NotShown: the issuer has none of that name.
            Unavailable: it cannot be asked.
        """
        now = self._monotonic()
        if self._due(name, now):
            try:
                await self._fetching()
            except VerdictdError as error:
                if name not in self._keys or self._older_than(KEPT_SECONDS, now):
                    raise Unavailable(f"the keys of {self._setting} cannot be had: {error}") from error
        if name in self._keys and self._older_than(KEPT_SECONDS, now):
            raise Unavailable(f"the keys of {self._setting} could not be had for a day")
        if name not in self._keys:
            raise NotShown(f"the issuer of {self._setting} has no key {name[:80]!r} that signs by a public key")
        return self._keys[name]

    def _due(self, name: str, now: float) -> bool:
        if self._asked_at is not None and now - self._asked_at < ASKED_AGAIN_SECONDS:
            return self._fetched_at is None  # nobody who shows a right token is refused for a failure that may be over
        return name not in self._keys or self._older_than(RENEWED_SECONDS, now)

    def _older_than(self, seconds: float, now: float) -> bool:
        return self._fetched_at is None or now - self._fetched_at > seconds

    async def _fetched(self) -> None:
        now = self._asked_at = self._monotonic()
        where = self._url
        if self._discovers:
            where = self._told(_decoded(await self._http.whole(self._url / _DISCOVERY), _Discovered).jwks_uri)
        found = _decoded(await self._http.whole(where), _KeySet).keys
        keys = {str(one["kid"]): key for one in found if "kid" in one and (key := _key(one)) is not None}
        if not keys:
            raise Refused(f"{where.host} names no key that signs by a public key")
        self._keys, self._fetched_at = keys, now

    def _told(self, jwks_uri: str) -> URL:
        """Where the issuer says that its keys are. Raises ``Refused``."""
        try:
            url = URL(jwks_uri)
        except ValueError:
            url = URL()
        if url.scheme != self._url.scheme or not url.host or url.user or url.password:
            raise Refused(f"jwks_uri is no address of {self._url.scheme}: {jwks_uri[:80]!r}")
        return url


def _key(described: dict[str, Any]) -> Any:
    """Null: it is of a kind that we do not take."""
    try:
        key = jwt.PyJWK(described)
    except jwt.PyJWTError:
        return None
    return key if key.algorithm_name in _ALGORITHMS and described.get("use", "sig") == "sig" else None


def _decoded(body: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.DecodeError as error:
        raise Refused(f"the answer is no such document: {error}") from error
