"""Where to listen: ``host:port``, and whether a host is this machine only."""

import ipaddress
from dataclasses import dataclass

LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


@dataclass(frozen=True, slots=True)
class Address:
    """A host (no brackets) and a port; port 0 takes a free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """``http://host:port``."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse(text: str) -> Address:
    """Read ``host:port`` or ``[v6]:port``. Raises ``ValueError`` saying what is wrong."""
    host, separator, port = text.rpartition(":")
    if not separator or not host:
        raise ValueError("has no host and port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("is an IPv6 address without brackets")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError(f"has no usable port ({port!r})")
    return Address(host, int(port))


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    if host.lower().rstrip(".") in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
