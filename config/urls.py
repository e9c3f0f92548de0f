"""Addresses of servers that the settings name: one check of each kind, for whoever reads settings and for whoever connects.

A password may stand in an address, so that no refusal shows what comes before an ``@``. What would be ignored is refused.
"""

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from yarl import URL

EMBEDDED = "embedded"
"""In the place of NATS' address: a server of our own."""

LINK_PLACES = ("release", "service", "namespace", "cluster", "mesh", "policy")
"""What a link of the page may have places for."""
_PLACE = re.compile(r"\{([^{}]*)\}")
_WEBSOCKET = ("ws://", "wss://")
_NATS_SCHEMES = frozenset({"nats", "tls", "ws", "wss"})
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f]")
_BEFORE_AT = re.compile(r"^((?:[^/?#@]*:)?//)?.*@", re.DOTALL)
"""Up to the last one: a password that is not percent-encoded may hold what ends a host, or another one."""
_FURTHER = re.compile(r"([?#]).*", re.DOTALL)
_SHOWN_CHARACTERS = 200
_ENCODE = "in a password write @ / ? # as %40 %2F %3F %23"


class Unusable(ValueError):
    """An address that cannot be used: what is wrong, with as much of it as may be shown, and what to write instead."""

    def __init__(self, message: str, *, fix: str) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


def base_url(text: str) -> "URL":
    """The base URL of an HTTP server. Raises ``Unusable``."""
    from yarl import URL  # here, since most who read settings have nothing to ask over HTTP

    hidden = repr(_FURTHER.sub(r"\1...", _BEFORE_AT.sub(r"\1...@", text))[:_SHOWN_CHARACTERS])
    encode = f"; {_ENCODE}" if "@" in text else ""
    try:
        url: URL | None = URL(text)
    except ValueError:
        url = None
    if url is None or url.scheme not in {"http", "https"} or not url.host or not url.port or _BLANKS.search(text):
        raise Unusable(f"{hidden} is not a base URL", fix=f"write http://host:port or https://host:port{encode}")
    if ":" in (url.user or ""):
        raise Unusable(
            f"{hidden} has a name with a colon in it, which no server can tell from its password", fix="use another name"
        )
    if url.raw_query_string or url.raw_fragment:
        fix = "leave out what begins with ? or #; what Prometheus is to be sent with each query stands in query"
        raise Unusable(f"{hidden} has more after it, which would not be sent", fix=fix + encode)
    return url


def callback_url(text: str) -> "URL":
    """An address that somebody from outside names, to be told something. Raises ``Unusable``."""
    from yarl import URL  # as above

    fix = "write http://host/path or https://host/path, without a name or a password"
    try:
        url = URL(text)
        whole = url.scheme in {"http", "https"} and bool(url.host) and bool(url.port) and _BLANKS.search(text) is None
    except ValueError as error:
        raise Unusable("is no address that can be told something", fix=fix) from error
    if not whole or url.user is not None or url.password is not None or url.raw_fragment:
        raise Unusable("is no address that can be told something", fix=fix)
    return url


def page_link(text: str) -> str:
    """Where a link of the page leads, with places for what the release is. Raises ``Unusable``."""
    from yarl import URL  # as above

    fix = f"write https://host/path, with {', '.join(f'{{{place}}}' for place in LINK_PLACES)} where these belong"
    unknown = [place for place in _PLACE.findall(text) if place not in LINK_PLACES]
    try:
        url = URL(_PLACE.sub("x", text))
        whole = url.scheme in {"http", "https"} and bool(url.host) and bool(url.port) and _BLANKS.search(text) is None
    except ValueError as error:
        raise Unusable("is no address that a link can lead to", fix=fix) from error
    if unknown:
        raise Unusable(f"has a place for {unknown[0]!r}, which no release has", fix=fix)
    if not whole or url.user is not None or url.password is not None or "{" in _PLACE.sub("x", text):
        raise Unusable("is no address that a link can lead to", fix=fix)
    return text


def names_somebody(text: str) -> bool:
    """Whether a base URL holds a name or a password; one that cannot be used does not."""
    try:
        url = base_url(text)
    except Unusable:
        return False
    return url.user is not None or url.password is not None


def nats_servers(text: str) -> tuple[str, ...]:
    """The servers of a comma-separated list; none for the word ``embedded``. Raises ``Unusable``."""
    if text == EMBEDDED:
        return ()
    if _is_nearly_embedded(text):
        raise Unusable("is nearly the word embedded", fix=f"write {EMBEDDED}, or nats://{text} where a server is called so")
    servers = tuple(server.strip() for server in text.split(",") if server.strip())
    for number, server in enumerate(servers or ("",), start=1):
        if not _is_nats(server):
            raise Unusable(
                f"server {number} of the list is no address of a NATS server",
                fix=f"use nats://host:4222, tls://host:4222, a comma-separated list of them, or the word {EMBEDDED}",
            )
    if len({server.startswith(_WEBSOCKET) for server in servers}) > 1:
        raise Unusable("some servers of the list are asked over a websocket, and others are not", fix="use one of both for all")
    return servers


def _is_nearly_embedded(text: str) -> bool:
    """A slip of the pen, which a daemon that looks for a server of this name would never find out."""
    return text.isalpha() and bool(get_close_matches(text.lower(), [EMBEDDED], cutoff=0.8))


def _is_nats(server: str) -> bool:
    try:
        parts = urlsplit(server if "//" in server else f"nats://{server}")
        return parts.scheme in _NATS_SCHEMES and bool(parts.hostname) and parts.port != 0 and _BLANKS.search(server) is None
    except ValueError:
        return False
