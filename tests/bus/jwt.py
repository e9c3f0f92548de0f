"""An operator, an account and a user as NATS' decentralised authentication has them, made on the spot."""

import base64
import json
import os
import time
from pathlib import Path
from typing import Any

import nkeys

LIMITS = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
JETSTREAM = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}


def key_pair(kind: int) -> Any:
    """A new key of the kind."""
    return nkeys.from_seed(nkeys.encode_seed(os.urandom(32), kind))


def jwt(issuer: Any, subject: Any, claims: dict[str, Any]) -> str:
    """A claim about ``subject``, signed by ``issuer``."""
    payload = {
        "jti": base64.b32encode(os.urandom(32)).decode().rstrip("="),
        "iat": int(time.time()),
        "iss": issuer.public_key.decode(),
        "name": claims["type"],
        "sub": subject.public_key.decode(),
        "nats": {**claims, "version": 2},
    }
    signed = f"{_encode({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_encode(payload)}"
    return f"{signed}.{_base64(issuer.sign(signed.encode()))}"


def operator_files(folder: Path) -> tuple[Path, Path, Path]:
    """The server's configuration, the credentials of a user it knows, and those of one it does not."""
    operator, account = key_pair(nkeys.PREFIX_BYTE_OPERATOR), key_pair(nkeys.PREFIX_BYTE_ACCOUNT)
    system, stranger = key_pair(nkeys.PREFIX_BYTE_ACCOUNT), key_pair(nkeys.PREFIX_BYTE_ACCOUNT)
    preloaded = {
        account.public_key.decode(): jwt(operator, account, {"type": "account", "limits": {**LIMITS, **JETSTREAM}}),
        system.public_key.decode(): jwt(operator, system, {"type": "account", "limits": LIMITS}),
    }
    config = folder / "operator.conf"
    config.write_text(
        f"operator: {jwt(operator, operator, {'type': 'operator'})}\n"
        f"system_account: {system.public_key.decode()}\nresolver: MEMORY\nresolver_preload: {json.dumps(preloaded)}\n"
    )
    return config, _credentials(folder / "user.creds", account), _credentials(folder / "stranger.creds", stranger)


def _credentials(file: Path, account: Any) -> Path:
    user = key_pair(nkeys.PREFIX_BYTE_USER)
    token = jwt(account, user, {"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1})
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    return file


def _encode(document: dict[str, Any]) -> str:
    return _base64(json.dumps(document, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
