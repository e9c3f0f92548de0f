"""Memory as a container has it: a group of processes of the kernel's (cgroup), whose limit it keeps by killing one of them.

The group is a child of our own, or beside it, where the kernel and whoever runs the tests let one be made; else a test is skipped.
"""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

ROOT = Path("/sys/fs/cgroup")
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Form:
    """The kernel's two forms of such groups call the same things differently."""

    folder: Path
    limits: tuple[str, ...]
    used: str
    events: str

    @property
    def controller(self) -> str:
        """How the memory's line in /proc/self/cgroup begins after its number."""
        return "" if self.folder == ROOT else "memory"


V2 = Form(folder=ROOT, limits=("memory.max",), used="memory.current", events="memory.events")
V1 = Form(
    folder=ROOT / "memory",
    limits=("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    used="memory.usage_in_bytes",
    events="memory.oom_control",
)


@dataclass(frozen=True, kw_only=True)
class MemoryGroup:
    """A group with no limit yet."""

    folder: Path
    form: Form

    def inside(self, *argv: str) -> list[str]:
        """The program, started as a member of the group."""
        return ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self.folder), *argv]

    def leave_room(self, size_bytes: int) -> None:
        """From now on its members may have so much more than they have."""
        limit = int((self.folder / self.form.used).read_text()) + size_bytes
        for name in self.form.limits:
            if (self.folder / name).exists():
                (self.folder / name).write_text(str(limit))
        if (swap := self.folder / "memory.swap.max").exists():
            swap.write_text("0")

    @property
    def kills(self) -> int:
        """How many of its members the kernel has killed for want of memory."""
        lines = (self.folder / self.form.events).read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.split()[0] == "oom_kill")

    def remove(self) -> None:
        """Once its last member has ended."""
        until = time.monotonic() + PATIENCE_SECONDS
        while (self.folder / "cgroup.procs").read_text() and time.monotonic() < until:
            time.sleep(0.05)
        self.folder.rmdir()


@contextmanager
def memory_group() -> Iterator[MemoryGroup]:
    """A group for the length of a ``with`` block, all of whose members end in it."""
    group = _made()
    try:
        yield group
    finally:
        group.remove()


def _made() -> MemoryGroup:
    refused = "the kernel has no groups for memory here"
    for folder, form in _places():
        made = folder / f"verdictd-test-{uuid4().hex}"
        try:
            made.mkdir()
        except OSError as error:
            refused = str(error)
            continue
        group = MemoryGroup(folder=made, form=form)
        if (made / form.limits[0]).exists():
            joined = subprocess.run(group.inside("true"), check=False, capture_output=True, text=True, timeout=60)
            if joined.returncode == 0:
                return group
            refused = joined.stderr.strip()
        made.rmdir()
    pytest.skip(f"no group of processes with a limit of memory can be made: {refused}")


def _places() -> Iterator[tuple[Path, Form]]:
    """Where one may be let be made: below our own group, or beside it, since a group of the newer form has members or children."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for form in (V1, V2):
                own = form.folder / path.lstrip("/")
                if form.controller in controllers.split(",") and own.is_dir():
                    yield own, form
                    if form is V2 and own != ROOT:
                        yield own.parent, form
