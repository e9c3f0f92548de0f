"""Where a request that a stranger asked for may go: no address of this machine, of the link, or of a cloud's metadata.

Names are resolved here, and what was looked at is what is connected to: a name that means another address a moment later gains
nothing. One bad address of several refuses the name. Which interface an address is asked through (its zone, as in ``fe80::1%eth0``)
makes no other address of it; and what the client would take for an address is read as one here, or refused.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.helpers import is_ip_address
from aiohttp.resolver import ThreadedResolver

from daemon.errors import Refused

Address = IPv4Address | IPv6Address

METADATA: Final = frozenset(
    ip_address(one)
    # AWS over IPv6, Alibaba, Oracle, Azure's agent; the usual one, 169.254.169.254, is of the link.
    for one in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")
)
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")


def why_refused(address: Address) -> str:
    """Why nothing may be sent there; empty where it may."""
    address = without_zone(address)
    for one in (address, *_inside(address)):
        match one:
            case _ if one in METADATA:
                return "is a cloud's metadata service"
            case _ if one.is_link_local:
                return "is of the link"
            case _ if one.is_loopback or one.is_unspecified:
                return "is this machine"
            case _ if one.is_multicast or one == IPv4Address("255.255.255.255"):
                return "is of more than one"
            case _:
                pass
    return ""


def without_zone(address: Address) -> Address:
    """The address by its number alone: one with a zone is equal to no other."""
    return IPv6Address(int(address)) if isinstance(address, IPv6Address) else address


def _inside(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return []
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour]
    found += list(address.teredo or ())
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


class AddressGuard(AbstractResolver):
    """Resolves names to addresses that may be asked, or refuses them.

    Args:
        resolver: who resolves; the system, where none is given.
        allowed: addresses that may be asked all the same, where somebody we believe has written them down.
    """

    def __init__(self, *, resolver: AbstractResolver | None = None, allowed: frozenset[Address] = frozenset()) -> None:
        self._resolver = resolver
        self._allowed = frozenset(map(without_zone, allowed))

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """See ``AbstractResolver``. Raises ``Refused``."""
        if self._resolver is None:
            self._resolver = ThreadedResolver()
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            self._check(ip_address(one["host"]), host)
        return found

    def check_literal(self, host: str) -> None:
        """An address in the place of a name is never resolved. Raises ``Refused``."""
        try:
            address = ip_address(host)
        except ValueError:
            if is_ip_address(host):  # such as 2130706433 or 127.0.0.01: the system knows more spellings than there are to be told
                raise Refused(f"{host} is no address as it is written: nothing is sent there") from None
            return
        self._check(address, host)

    def _check(self, address: Address, host: str) -> None:
        reason = why_refused(address)
        if reason and without_zone(address) not in self._allowed:
            raise Refused(f"{host} is {address}, which {reason}: nothing is sent there")

    async def close(self) -> None:
        """End who resolves."""
        if self._resolver is not None:
            await self._resolver.close()
