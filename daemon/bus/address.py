"""Where NATS is and how we show who we are: the settings, with the files they name looked at before anything connects."""

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from config import files, urls
from config.errors import Fault
from config.settings import Nats
from daemon.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """Where NATS is and what to show it. ``token`` and ``tls`` are asked for at every connect, and so renewed ones are taken up."""

    servers: tuple[str, ...]
    token: Callable[[], str] | None = None
    credentials_file: str | None = None
    tls: Callable[[], ssl.SSLContext] | None = None

    @property
    def shown(self) -> str:
        """The servers for logs and messages: without user, password or token."""
        return ", ".join(re.sub(r"(?<=//)[^/]*@|^[^/]*@", "", server) for server in self.servers)


def address_of(settings: Nats) -> BrokerAddress:
    """Read the files that the settings name (all but those that are read again at each connect).

    Raises:
        InvalidInput: a file is missing or unreadable, or the address is none.
    """
    if (problem := credentials_problem(settings)) is not None:
        raise InvalidInput(problem.message, path=problem.path, fix=problem.fix)
    token_file, ca_file = settings.token_file, settings.ca_file
    if token_file is not None:
        _read(token_file, path="nats.token_file")
    if ca_file is not None:
        _trusting(ca_file)
    if settings.credentials_file is not None:
        _read(settings.credentials_file, path="nats.credentials_file")
    return BrokerAddress(
        servers=_servers(settings.url),
        token=None if token_file is None else lambda: _read(token_file, path="nats.token_file").strip(),
        credentials_file=settings.credentials_file,
        tls=None if ca_file is None else lambda: _trusting(ca_file),
    )


def credentials_problem(settings: Nats) -> Fault | None:
    """What keeps us from showing who we are, whichever machine it is; null when nothing does."""
    if settings.credentials_file is None or find_spec("nkeys") is not None:
        return None
    message = "credentials need the package nkeys to sign with, which is not installed"
    return Fault(path="nats.credentials_file", message=message, fix="pip install 'verdictd[credentials]'")


def _servers(url: str) -> tuple[str, ...]:
    try:
        return urls.nats_servers(url)
    except urls.Unusable as error:
        raise InvalidInput(error.message, path="nats.url", fix=error.fix) from error


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
