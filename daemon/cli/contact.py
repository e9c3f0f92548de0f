"""How the options say where the daemon is, what it is shown, and by whom its certificate must be signed."""

import argparse
import os
import ssl
from collections.abc import Mapping
from pathlib import Path

from config import files
from daemon.cli.apiclient import ApiClient
from daemon.errors import InvalidInput

_TOKEN_BYTES = 64 * 1024


def client(options: argparse.Namespace) -> ApiClient:
    """A client for who was given ``options.client``. Raises ``InvalidInput``."""
    token = _token(options.token_file, environ=os.environ)
    return ApiClient(options.server, token=token, tls=None if options.ca_file is None else _trusting(options.ca_file))


def _token(file: str | None, *, environ: Mapping[str, str]) -> str | None:
    """An option goes before the environment, and there the token itself before its file: who exports one means it."""
    if file is None and (token := environ.get("VERDICTD_TOKEN")):
        return _checked(token.strip(), said="the token", path="VERDICTD_TOKEN", fix="export the token, and nothing else")
    file = file or environ.get("VERDICTD_TOKEN_FILE")
    if not file:
        return None
    fix = "give the file that holds the token, and nothing else"
    try:
        token = files.read_text(Path(file), limit_bytes=_TOKEN_BYTES).strip()
    except files.Unreadable as error:
        raise InvalidInput(f"{file!r} cannot be read: {error}", path="--token-file", fix=fix) from error
    return _checked(token, said=repr(file), path="--token-file", fix=fix)


def _checked(token: str, *, said: str, path: str, fix: str) -> str:
    """The token. It is never part of what is said about it."""
    if not token:
        raise InvalidInput(f"{said} is empty", path=path, fix=fix)
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise InvalidInput(f"{said} holds no token: it is one line of printable ASCII", path=path, fix=fix)
    return token


def _trusting(file: str) -> ssl.SSLContext:
    """Trusts the authorities of a file, and no others."""
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ValueError) as error:  # ssl's own errors are OSErrors
        fix = "give the file of certificates (PEM) of the authority that signed the server's"
        raise InvalidInput(f"{file!r} cannot be used: {error}", path="--ca-file", fix=fix) from error
