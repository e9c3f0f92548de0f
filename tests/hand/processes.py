"""Processes of others, as the kernel shows them."""

from contextlib import suppress
from pathlib import Path


def is_running(pid: int | None) -> bool:
    """Whether the process runs. A zombie has ended; only nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def samplers_of(pid: int | None) -> list[int]:
    """The processes in which a daemon has its telemetry read; any of them, and the daemon, may end meanwhile."""
    found: list[int] = []
    with suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            with suppress(OSError):
                if b"daemon.sampler" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(child)
    return found
