"""A request that a stranger asked for reaches neither this machine, nor the link, nor a cloud's metadata, in any spelling."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from daemon.aio.addressguard import AddressGuard, why_refused
from daemon.aio.httpclient import HttpClient, Sending
from daemon.errors import Refused
from tests.hand.sockets import says, server

REFUSED = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "::1",
    "::",
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd00:ec2::254%eth0",
    "::1%lo",
    "::ffff:169.254.169.254%eth0",
    "64:ff9b::a9fe:a9fe%eth0",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
]


class Says(AbstractResolver):
    """Means these addresses by every name, one list after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST)
            for one in found
        ]

    async def close(self) -> None:
        """Nothing is open."""


def client(resolver: AbstractResolver, *, allowed: frozenset[IPv4Address | IPv6Address] = frozenset()) -> HttpClient:
    guard = AddressGuard(resolver=resolver, allowed=allowed)
    return HttpClient(setting="s", connections=1, timeout_seconds=30.0, max_answer_bytes=1_000, guard=guard)


SENDING = Sending(method="POST", body=b"{}", headers={})


@pytest.mark.parametrize("address", REFUSED)
def test_such_an_address_is_refused_with_the_reason(address: str) -> None:
    assert why_refused(ip_address(address))


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "8.8.8.8", "fd00::1", "2606:4700::1111", "::ffff:10.0.0.1"])
def test_addresses_of_the_cluster_and_of_the_world_are_not(address: str) -> None:
    assert why_refused(ip_address(address)) == ""


@given(st.ip_addresses(v=4))
def test_what_is_refused_is_refused_in_its_spellings_of_ipv6_too(address: IPv4Address) -> None:
    number = int(address)
    spellings = [
        f"::ffff:{address}",
        str(IPv6Address((0x64FF9B << 96) | number)),
        str(IPv6Address((0x2002 << 112) | (number << 80))),
    ]
    assert {bool(why_refused(ip_address(one))) for one in spellings} == {bool(why_refused(address))}


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254"])
async def test_neither_a_name_nor_a_literal_leads_there(address: str) -> None:
    async with server(says(b"{}")) as victim:
        port = victim.url.port
        resolver = Says([address])
        async with client(resolver) as http:
            with pytest.raises(Refused, match="nothing is sent there"):
                await http.send(URL(f"http://ci.example:{port}/"), SENDING)
            with pytest.raises(Refused, match="nothing is sent there"):
                await http.send(URL(f"http://{address}:{port}/"), SENDING)
        assert victim.asked == []
        assert resolver.asked == 1


@pytest.mark.parametrize("host", ["2130706433", "127.1", "0177.0.0.1", "127.0.0.01", "[fe80::1%25]", "[fd00:ec2::254%25eth0]"])
async def test_what_is_taken_for_an_address_and_is_none_as_written_is_refused_and_so_is_one_with_a_zone(host: str) -> None:
    """The system would read the first four as 127.0.0.1, and nobody would have looked at it."""
    resolver = Says(["10.0.0.1"])
    async with client(resolver) as http:
        with pytest.raises(Refused, match="nothing is sent there"):
            await http.send(URL(f"http://{host}:9/"), SENDING)
    assert resolver.asked == 0


def test_an_address_that_is_written_down_is_allowed_through_any_interface() -> None:
    guard = AddressGuard(allowed=frozenset({IPv6Address("fe80::1%eth0")}))
    for literal in ("fe80::1", "fe80::1%eth0", "fe80::1%eth1"):
        guard.check_literal(literal)
    with pytest.raises(Refused):
        guard.check_literal("fe80::2%eth0")


async def test_one_bad_address_of_several_refuses_the_name() -> None:
    async with client(Says(["10.0.0.1", "127.0.0.1"])) as http:
        with pytest.raises(Refused, match=r"127\.0\.0\.1"):
            await http.send(URL("http://ci.example/"), SENDING)


async def test_the_address_that_was_looked_at_is_the_one_that_is_asked() -> None:
    """A name that means another address a moment later: it is not resolved again for the same connection."""
    async with server(says(b"{}")) as target:
        resolver = Says(["127.0.0.1"], ["169.254.169.254"])
        async with client(resolver, allowed=frozenset({IPv4Address("127.0.0.1")})) as http:
            await http.send(URL(f"http://ci.example:{target.url.port}/"), SENDING)
        assert len(target.asked) == 1
        assert resolver.asked == 1
