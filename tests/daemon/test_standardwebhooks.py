"""A secret and a signature of Standard Webhooks are to us what they are to the scheme's own package."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from daemon.standardwebhooks import is_signing_secret, signature, signing_key


@given(
    st.binary(min_size=1, max_size=64),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(0, 4_000_000_000),
)
def test_what_is_signed_with_any_secret_padded_or_not_is_what_the_package_signs(
    key: bytes, is_padded: bool, message_id: str, body: str, seconds: int
) -> None:
    text = base64.b64encode(key).decode()
    secret = f"whsec_{text if is_padded else text.rstrip('=')}"
    assert is_signing_secret(secret.encode())
    ours = signature(signing_key(secret.encode()), message_id=message_id, timestamp=str(seconds), body=body.encode())
    assert f"v1,{ours.decode()}" == Webhook(secret).sign(message_id, datetime.fromtimestamp(seconds, UTC), body)


@pytest.mark.parametrize("secret", [b"whsec_", b"whsec_==", b"whsec_%", b"whsec_A", b"whsec_\xff\xff\xff\xff", b"whsec_QUJD QUJD"])
def test_what_is_no_secret_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="after whsec_ there is no"):
        signing_key(secret)


def test_a_plain_token_is_no_such_secret() -> None:
    assert not is_signing_secret(b"glpat-whsec_QUJD")
