"""A real server whose disk is slow: what it writes to its store takes so much longer, and it knows nothing of it.

The kernel holds each of its writes and syncs (seccomp's user notification) until a helper beside it lets it go on. Where it goes
to is seen in ``/proc``: what is not in the store's folder, sockets above all, goes on at once. It needs neither root nor another
build of the server, and static programs, which no preloaded library reaches, are slow as well. Writes that come side by side wait
side by side, as with a disk that is far away.

Run as a program it becomes the server, and its child is the helper, which ends with it.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import functools
import heapq
import os
import platform
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_MACHINES = {
    # AUDIT_ARCH and the numbers of write, pwrite64, writev, pwritev, fsync, fdatasync; seccomp
    "x86_64": (0xC000003E, (1, 18, 20, 296, 74, 75), 317),
    "aarch64": (0xC00000B7, (64, 68, 66, 70, 82, 83), 277),
}
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_SET_MODE_FILTER = 1
_NEW_LISTENER = 8
_WAIT_KILLABLE = 32  # else a signal, of which Go sends many, has the wait begin anew
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_NOTICE = struct.Struct("=QIIiIQ6Q")  # id, pid, flags; number, architecture, instruction, arguments
_ANSWER = struct.Struct("=QqiI")  # id, value, error, flags


@functools.cache
def obstacle() -> str | None:
    """Why there is no slow disk here, if so."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES:
        return f"not on {sys.platform} {platform.machine()}"
    try:
        actions = Path("/proc/sys/kernel/seccomp/actions_avail").read_text(encoding="ascii")
    except OSError:
        return "this kernel has no seccomp"
    return _refusal() if "user_notif" in actions.split() else "this kernel's seccomp cannot notify"


class SlowDisk:
    """The disk of one server, whose store is in ``folder``. ``prefix`` goes before the server's command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._control = folder.with_name(f"{folder.name}.slow")
        self.takes(0.0)

    @property
    def prefix(self) -> list[str]:
        """What the server is to be started by."""
        return [sys.executable, "-I", "-S", __file__, str(self._control), str(self._folder)]

    def takes(self, seconds: float) -> None:
        """From now on each write takes so much longer; what waits already goes on when it was to."""
        self._control.parent.mkdir(parents=True, exist_ok=True)
        new = self._control.with_suffix(".new")
        new.write_text(repr(seconds), encoding="ascii")
        new.replace(self._control)


def _refusal() -> str | None:
    """Why no write can be held, though the kernel could: a container may forbid it, or be told of all calls itself. It is tried."""
    with tempfile.TemporaryDirectory(prefix="verdictd-slow-disk-") as folder:
        argv = [*SlowDisk(Path(folder) / "store").prefix, "/bin/sh", "-c", ":"]
        tried = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    return None if tried.returncode == 0 else f"seccomp is refused here: {tried.stderr.strip()[-300:]}"


def main(control: Path, folder: Path, argv: Sequence[str]) -> None:
    """Become the server."""
    ours, helpers = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        _help(_received(helpers), control=control, folder=folder.resolve())
        os._exit(0)
    helpers.close()
    listener = _restricted()
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
    ours.close()
    os.close(listener)
    os.execv(argv[0], list(argv))  # noqa: S606 - no shell is what is wanted


def _restricted() -> int:
    """Have our writes held from now on, those of what we become too; returns where they are told."""
    architecture, calls, seccomp = _MACHINES[platform.machine()]
    steps = [
        (0x20, 0, 0, 4),  # load the architecture
        (0x15, 0, len(calls) + 1, architecture),
        (0x20, 0, 0, 0),  # load the call's number
        *((0x15, len(calls) - place, 0, call) for place, call in enumerate(calls)),
        (0x06, 0, 0, _ALLOW),
        (0x06, 0, 0, _NOTIFY),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for flags in (_NEW_LISTENER | _WAIT_KILLABLE, _NEW_LISTENER):
        listener = libc.syscall(seccomp, _SECCOMP_SET_MODE_FILTER, flags, program)
        if listener >= 0:
            return int(listener)
    raise OSError(ctypes.get_errno(), "seccomp")


def _received(helpers: socket.socket) -> int:
    with helpers:
        _, ancillary, _, _ = helpers.recvmsg(1, socket.CMSG_SPACE(4))
    return int(array.array("i", ancillary[0][2])[0])


def _help(listener: int, *, control: Path, folder: Path) -> None:
    """Let each write go on when it may; until the server has ended."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    held: list[tuple[float, int]] = []
    within = f"{folder}{os.sep}"
    while True:
        wait_ms = None if not held else max(0.0, (held[0][0] - time.monotonic()) * 1000.0)
        for _, event in poll.poll(wait_ms):
            if event & select.POLLIN:
                _take(listener, held, control=control, within=within)
            elif event & (select.POLLHUP | select.POLLERR):
                return
        while held and held[0][0] <= time.monotonic():
            _go_on(listener, heapq.heappop(held)[1])


def _take(listener: int, held: list[tuple[float, int]], *, control: Path, within: str) -> None:
    notice = bytearray(_NOTICE.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, notice)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EINTR}:  # who asked is gone
            return
        raise
    number, pid, _, _, _, _, descriptor, *_ = _NOTICE.unpack(notice)
    seconds = _seconds(control) if _target(pid, descriptor).startswith(within) else 0.0
    if seconds <= 0.0:
        _go_on(listener, number)
    else:
        heapq.heappush(held, (time.monotonic() + seconds, number))


def _target(pid: int, descriptor: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/fd/{descriptor}").readlink())
    except OSError:
        return ""


def _seconds(control: Path) -> float:
    return float(control.read_text(encoding="ascii"))


def _go_on(listener: int, number: int) -> None:
    try:
        fcntl.ioctl(listener, _SEND, bytearray(_ANSWER.pack(number, 0, 0, _CONTINUE)))
    except OSError as error:
        if error.errno != errno.ENOENT:  # who asked is gone
            raise


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
