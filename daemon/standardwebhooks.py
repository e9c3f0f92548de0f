"""The secret and the signature of Standard Webhooks, https://www.standardwebhooks.com, its symmetric scheme ``v1``. Pure.

What comes in by a hook and what goes out to a webhook are signed alike, and a secret is to one what it is to the other.
"""

import base64
import binascii
import hmac
from typing import Final

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
SCHEME: Final = "v1,"
"""What stands before a signature."""
_PREFIX: Final = b"whsec_"


def is_signing_secret(secret: bytes) -> bool:
    """Whether it is one of Standard Webhooks, and no plain token."""
    return secret.startswith(_PREFIX)


def signing_key(secret: bytes) -> bytes:
    """What is signed with: ``whsec_`` and Base64 of it, whose padding may be left out. Raises ``ValueError``."""
    text = secret.removeprefix(_PREFIX).rstrip(b"=")
    try:
        key = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("after whsec_ there is no Base64") from error
    if not key:
        raise ValueError("after whsec_ there is nothing")
    return key


def signature(key: bytes, *, message_id: str, timestamp: str, body: bytes) -> bytes:
    """What stands behind ``v1,``. An id that was no text comes as the bytes that it was."""
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "surrogateescape") + body
    return base64.b64encode(hmac.digest(key, signed, "sha256"))
