"""Which addresses are this machine only."""

import pytest

from config import address


@pytest.mark.parametrize(
    ("text", "url", "loopback"),
    [
        ("127.0.0.1:8484", "http://127.0.0.1:8484", True),
        ("127.8.9.1:0", "http://127.8.9.1:0", True),
        ("[::1]:80", "http://[::1]:80", True),
        ("localhost:80", "http://localhost:80", True),
        ("LocalHost.:80", "http://LocalHost.:80", True),
        ("0.0.0.0:80", "http://0.0.0.0:80", False),
        ("[::]:80", "http://[::]:80", False),
        ("10.1.2.3:80", "http://10.1.2.3:80", False),
        ("localhost.evil.example:80", "http://localhost.evil.example:80", False),
    ],
)
def test_an_address_is_read_and_known_as_loopback_or_not(text: str, url: str, loopback: bool) -> None:
    parsed = address.parse(text)
    assert (parsed.url, parsed.loopback) == (url, loopback)


@pytest.mark.parametrize("text", ["", "8484", ":8484", "host:", "host:70000", "host:-1", "host:٣", "::1:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"has no|IPv6"):
        address.parse(text)
