"""Who we are at GitHub as an App: its private key signs a JWT, for which GitHub gives a token of the installation, for an hour.

Contracts: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app (the JWT: RS256, ``iat`` a minute
ago, ``exp`` at most ten minutes from now) and https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app
(201, with ``token`` and ``expires_at``). A token is asked for when one is needed, for the one permission that is, once for all who
wait for it, and again some minutes before it ends or when it is not believed any more.
"""

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from yarl import URL

from daemon.aio.httpclient import Sending
from daemon.aio.jsonwebtokens import jwt
from daemon.aio.singleflight import SingleFlight
from daemon.aio.threads import OwnThread
from daemon.errors import Forbidden, NotFound, Redirected, Refused, Unavailable, VerdictdError, WebPage
from daemon.sinks.authority import FILE_SECONDS, Means, held_by
from daemon.sinks.github import App, headers

RENEWED_BEFORE_SECONDS: Final = 300.0
"""So long before its end a token is replaced: no request may be under way with one that ends."""
_ISSUED_AGO_SECONDS: Final = 60
_EXPIRES_SECONDS: Final = 540
"""With a clock that is a minute fast, that is still no more than GitHub's ten minutes."""
_PRIVATE: Final = b" PRIVATE KEY-----"


class _Given(msgspec.Struct, frozen=True):
    token: Annotated[str, Meta(pattern=r"^[!-~]+\Z")]
    expires_at: Annotated[datetime, Meta(tz=True)]


class InstallationTokens:
    """Implements ``Authority``.

    Args:
        app: which one.
        url: of the REST API.
        permission: what its token may write: ``deployments``, ``contents``.
        means: the channel's client, which asks for it.
    """

    def __init__(self, app: App, *, url: str, permission: str, means: Means) -> None:
        self._app = app
        self._url = URL(f"{url.rstrip('/')}/app/installations/{app.installation}/access_tokens")
        self._permission = permission
        self._means = means
        self._setting = f"{means.setting}.app"
        self._signing = OwnThread(f"key of {self._setting}")
        self._renewing = SingleFlight(self._renewed)
        self._given: _Given | None = None

    @property
    def longest_seconds(self) -> float:
        """See ``Authority.longest_seconds``: the request for it, and some for the key's file."""
        return self._means.timeout_seconds + FILE_SECONDS

    @property
    def in_words(self) -> str:
        """See ``Authority.in_words``."""
        return f"it was shown a token of {self._setting}, with the permission {self._permission}: write"

    async def now(self) -> str:
        """See ``Authority.now``."""
        return self._given.token if self._given is not None and self._lasts(self._given) else await self._renewing()

    def disbelieved(self, secret: str) -> None:
        """See ``Authority.disbelieved``: it may have been revoked, or the permission have been given since."""
        if self._given is not None and self._given.token == secret:
            self._given = None

    def _lasts(self, given: _Given) -> bool:
        return given.expires_at.timestamp() - self._means.clock.now() > RENEWED_BEFORE_SECONDS

    async def _renewed(self) -> str:
        """Another who waited may have one by now."""
        if self._given is None or not self._lasts(self._given):
            self._given = await self._asked_for()
        return self._given.token

    async def _asked_for(self) -> _Given:
        signed = await self._signing.run(self._signed, int(self._means.clock.now()))
        wanted = msgspec.json.encode({"permissions": {self._permission: "write"}})
        shown = f"it was shown a JWT signed with {self._app.private_key_file}"
        try:
            answer = await self._means.http.exchange(
                self._url, sending=Sending("POST", wanted, headers(signed), secrets=(signed,), shown=shown)
            )
        except VerdictdError as error:
            raise self._in_words(error) from error
        try:
            return msgspec.json.decode(answer.body, type=_Given)
        except msgspec.DecodeError as error:
            raise Unavailable(f"{self._setting}: the answer of {self._url.host} holds no token with its end: {error}") from error

    def _signed(self, now: int) -> str:
        """The JWT; blocks. Raises ``Unavailable``: who renews the key may be about to."""
        at = f"{self._setting}.private_key_file"
        try:
            key = held_by(self._app.private_key_file)
        except Unavailable as error:
            raise Unavailable(f"{at}: {error}; name a private key that the App's settings at GitHub have made") from error
        claims = {"iss": self._app.id, "iat": now - _ISSUED_AGO_SECONDS, "exp": now + _EXPIRES_SECONDS}
        words = f"{self._app.private_key_file} holds no private RSA key in PEM without a passphrase"
        unusable = Unavailable(f"{at}: {words}; name one that the App's settings at GitHub have made")
        if _PRIVATE not in key:
            raise unusable
        try:
            return jwt.encode(claims, key, algorithm="RS256")
        except (jwt.PyJWTError, ValueError, TypeError) as error:  # a TypeError: it is encrypted
            raise unusable from error

    def _in_words(self, error: VerdictdError) -> VerdictdError:
        """With its place and how to mend it. None of them is for good: an App can be put right while we wait."""
        match error:
            case Forbidden():
                fix = "compare id with the App of the key, and this machine's clock; the installation may be suspended"
                return Forbidden(f"{self._setting}: no token: {error}; {fix}")
            case NotFound():
                fix = "installation is the number at the end of its settings' address at GitHub, of this App and no other"
                return NotFound(f"{self._setting}.installation: no token: {error}; {fix}")
            case Redirected() | WebPage():  # they say themselves what to mend
                return Unavailable(str(error))
            case Refused():
                fix = f"give the App the permission {self._permission}: write, and have its installation accept it"
                return Unavailable(f"{self._setting}: no token: {error}; {fix}")
            case _:
                return error
