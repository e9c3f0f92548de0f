"""Ports for servers that must be told one: nobody else has them."""

import asyncio
import sys

import pytest

from daemon.demo import freeports
from daemon.demo.children import DemoError


def test_no_port_is_given_out_twice() -> None:
    first, second = set(freeports.free_ports(20)), set(freeports.free_ports(20))
    assert len(first | second) == 40


async def test_a_port_is_no_other_processs_until_this_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while nobody listens on it: between the choice and the server's start, and while a server is down."""
    script = "from daemon.demo.freeports import free_ports; print(*free_ports(20), flush=True); input()"
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert other.stdout is not None
    theirs = [int(word) for word in (await other.stdout.readline()).split()]
    (ours,) = freeports.free_ports(1)
    monkeypatch.setattr(freeports, "PORTS", [*theirs, ours])
    with pytest.raises(DemoError, match="no 1 free ports"):
        freeports.free_ports(1)
    await other.communicate(b"\n")
    assert set(freeports.free_ports(20)) == set(theirs)
