"""Servers from Debian packages, installed without letting the package start its own daemon."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.servers.catalog import DebianServer
from tests.servers.steps import StepFailed, download, run

POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian's own switch: while this program answers 101, installing a package starts no service."""


def obstacle(server: DebianServer) -> str | None:
    """Why this package cannot be installed here, if so."""
    if shutil.which("apt-get") is None:
        return f"not on PATH, and there is no apt-get to install {server.package} with"
    if os.geteuid() != 0:
        return f"not on PATH; as root: apt-get install --no-install-recommends {server.package}"
    return None


def install(server: DebianServer) -> None:
    """Installs the package; its daemon, which would hold a well-known port, neither starts now nor at the next boot."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _services_held_back():
        download(["apt-get", "update"], seconds=300, env=env)
        download(["apt-get", "install", "-y", "--no-install-recommends", server.package], seconds=600, env=env)
    if _is_run_by_systemd():
        run(["systemctl", "disable", "--now", server.package], seconds=60)
    if shutil.which(server.binary) is None:
        raise StepFailed(f"{server.package} is installed, and yet {server.binary} is not on PATH")


def _is_run_by_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


@contextlib.contextmanager
def _services_held_back() -> Iterator[None]:
    """Holds services back, unless the machine has a policy of its own, which then stays as it is."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
