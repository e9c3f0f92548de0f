"""Tokens that somebody else signs: of GitHub's and GitLab's jobs, of Kubernetes' service accounts, of whoever speaks OpenID.

A token is right when its issuer's key signed it, for us (``aud``), within its time, and what it says of itself (its claims) is what
a caller under ``http.issuers`` is known by. The library is PyJWT (RFC 7519); only signatures of a public key are taken, so that
what everybody can read can sign nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from config.errors import ConfigError
from config.settings import Issuer
from daemon.aio.jsonwebtokens import jwt, missing
from daemon.errors import NotAllowed
from daemon.http.caller import Caller
from daemon.http.issuerkeys import IssuerKeys, NotShown

_LEEWAY_SECONDS: Final = 60.0
"""Between the issuer's clock and ours."""
_MOST_TOLD_CHARACTERS: Final = 200


class Issuers:
    """All issuers under ``http.issuers``; close it in the event loop that it was used in.

    Raises:
        ConfigError: PyJWT is not installed, or an issuer's certificates cannot be used.
    """

    def __init__(self, issuers: Mapping[str, Issuer]) -> None:
        if issuers and jwt is None:
            raise ConfigError((missing("http.issuers"),), source="settings")
        self._settings = issuers
        self._keys = {name: IssuerKeys(issuer, setting=f"http.issuers.{name}") for name, issuer in issuers.items()}
        self._by_url = {issuer.issuer: name for name, issuer in issuers.items()}

    async def close(self) -> None:
        """Close the connections to the issuers."""
        for one in self._keys.values():
            await one.close()

    async def showing(self, shown: bytes) -> Caller | None:
        """Whose signed token that is; null: it is none.

        Raises:
            NotShown: it is no right one; the reason says why.
            NotAllowed: it is right, and nobody under ``callers`` is known by its claims, or more than one is.
            Unavailable: the issuer's keys cannot be had.
        """
        if not self._settings or shown.count(b".") != 2:
            return None
        try:
            head, body = jwt.get_unverified_header(shown), jwt.decode(shown, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return None
        name = self._by_url.get(str(body.get("iss", "")))
        if name is None:
            raise NotShown(f"nobody under http.issuers has the issuer {_told(body.get('iss'))}")
        issuer = self._settings[name]
        key = await self._keys[name].key(str(head.get("kid", "")))
        return _known(name, issuer, _verified(shown, key=key, issuer=issuer))


def _verified(shown: bytes, *, key: Any, issuer: Issuer) -> Mapping[str, Any]:
    """Its claims. Raises ``NotShown``."""
    try:
        claims: Mapping[str, Any] = jwt.decode(
            shown,
            key=key,
            algorithms=[key.algorithm_name],
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud"]},
        )
    except jwt.InvalidTokenError as error:
        raise NotShown(f"the signed token is refused: {error}"[:_MOST_TOLD_CHARACTERS]) from error
    return claims


def _known(name: str, issuer: Issuer, claims: Mapping[str, Any]) -> Caller:
    known = [called for called, caller in issuer.callers.items() if _says(claims, caller.claims)]
    asked = sorted({claim for caller in issuer.callers.values() for claim in caller.claims})
    says = ", ".join(f"{claim} {_told(claims.get(claim))}" for claim in asked)
    if len(known) != 1:
        whom = "no caller is" if not known else f"the callers {' and '.join(known)} are both"
        raise NotAllowed(
            f"{whom} known by what the token says: {says}",
            path="Authorization",
            fix=f"make the claims of one caller under http.issuers.{name}.callers say what its tokens do, and no other's",
        )
    [called] = known
    return Caller.of(issuer.callers[called], name=f"{name}/{called}", setting=f"http.issuers.{name}.callers.{called}")


def _says(claims: Mapping[str, Any], wanted: Mapping[str, str | Sequence[str]]) -> bool:
    """Whether each claim is one of what is wanted of it; a claim that is a list may hold it."""
    return all(_one_of(claims.get(claim), [values] if isinstance(values, str) else values) for claim, values in wanted.items())


def _one_of(value: Any, wanted: Sequence[str]) -> bool:
    held = value if isinstance(value, list) else [value]
    return any(isinstance(one, str) and one in wanted for one in held)


def _told(value: object) -> str:
    return "nothing" if value is None else repr(value)[:_MOST_TOLD_CHARACTERS]
