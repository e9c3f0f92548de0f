"""Loopback ports for servers that must be told one: each process that asks gets others, as long as it lives.

A port of the system's choice would do for most, but some servers cannot say which they took, and others must know it before they
start. The tests' servers have theirs from here as well, since they run beside the demo.
"""

import fcntl
import functools
import os
import random
import socket
import tempfile
from pathlib import Path

from daemon.demo.children import DemoError

LOOPBACK = "127.0.0.1"
PORTS = range(20000, 32000)
"""Below the ports that Linux hands to outgoing connections, which would otherwise now and then take a chosen one
between the choice and the server's start."""

_given: set[int] = set()


def free_ports(count: int) -> tuple[int, ...]:
    """Numbers of loopback ports that nobody listens on. Raises ``DemoError`` when there are not so many.

    Each is this process's until it ends: also while nobody listens on it yet, or any more, no other process of this user that asks
    here is given it.
    """
    chosen: list[int] = []
    for port in random.sample(PORTS, k=len(PORTS)):
        if len(chosen) == count:
            break
        if port not in _given and _reserved(port) and _is_free(port):
            _given.add(port)
            chosen.append(port)
    if len(chosen) < count:
        raise DemoError(f"there are no {count} free ports in {PORTS}", fix="end what listens on them")
    return tuple(chosen)


@functools.cache
def _reservations() -> int:
    """A file of which each port has a byte. It is never closed: with it all locks of this process would go."""
    return os.open(
        Path(tempfile.gettempdir()) / f"verdictd-test-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600
    )


def _reserved(port: int) -> bool:
    """Whether the port is ours now. The system gives the lock back when this process ends, however it does."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
