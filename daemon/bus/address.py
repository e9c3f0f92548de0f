"""Where NATS is and how we show who we are: the settings, with the files they name looked at before anything connects."""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from config import files
from config.settings import Nats
from daemon.errors import InvalidInput

_SCHEMES = frozenset({"nats", "tls", "ws", "wss"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where NATS is and what to show it. ``token`` is asked for at every connect, so that a rotated one is taken up."""

    servers: tuple[str, ...]
    token: Callable[[], str] | None = None
    credentials_file: str | None = None
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The servers for logs and messages: without user, password or token."""
        return ", ".join(re.sub(r"(?<=//)[^/]*@|^[^/]*@", "", server) for server in self.servers)


def address_of(settings: Nats) -> BrokerAddress:
    """Read the files that the settings name (all but those that are read again at each connect).

    Raises:
        InvalidInput: a file is missing or unreadable, or two ways to authenticate are set.
    """
    if settings.token_file is not None and settings.credentials_file is not None:
        raise InvalidInput("both a token and credentials are set", path="nats.token_file", fix="keep one of the two")
    token_file, ca_file = settings.token_file, settings.ca_file
    if token_file is not None:
        _read(token_file, path="nats.token_file")
    if settings.credentials_file is not None:
        _read(settings.credentials_file, path="nats.credentials_file")
        if find_spec("nkeys") is None:
            raise InvalidInput(
                "credentials need the package nkeys to sign with, which is not installed",
                path="nats.credentials_file",
                fix="pip install 'verdictd[credentials]'",
            )
    return BrokerAddress(
        servers=_servers(settings.url),
        token=None if token_file is None else lambda: _read(token_file, path="nats.token_file").strip(),
        credentials_file=settings.credentials_file,
        tls=None if ca_file is None else _trusting(ca_file),
    )


def _servers(url: str) -> tuple[str, ...]:
    servers = tuple(server.strip() for server in url.split(",") if server.strip())
    for server in servers or ("",):
        try:
            parts = urlsplit(server if "//" in server else f"nats://{server}")
            usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            # Not shown: a password may be part of it.
            raise InvalidInput(
                f"server {1 + servers.index(server) if servers else 1} of the list is no address of a NATS server",
                path="nats.url",
                fix="use nats://host:4222, tls://host:4222, a comma-separated list of them, or the word embedded",
            )
    return servers


def _trusting(ca_file: str) -> ssl.SSLContext:
    _read(ca_file, path="nats.ca_file")
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise InvalidInput(f"{ca_file!r} holds no certificates: {error}", path="nats.ca_file", fix="name a PEM bundle") from error


def _read(file: str, *, path: str) -> str:
    try:
        return files.read_text(Path(file), limit_bytes=files.MIB)
    except files.Unreadable as error:
        raise InvalidInput(f"{file!r} {error.message}", path=path, fix="name a file that exists and is ours") from error
