"""Where built servers are kept: a cache folder of the user, outside the checkout, shared by all checkouts."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.servers.catalog import GoDefinitions, GoServer, Kept, NpmPackages


def root() -> Path:
    """The cache folder: VERDICTD_SERVERS, or verdictd/servers in the user's cache folder."""
    if chosen := os.environ.get("VERDICTD_SERVERS"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "verdictd" / "servers"


def entry(server: Kept) -> Path:
    """The folder of one build. Its name holds a hash of all that decides what comes out, so a changed pin is a new
    folder, and no checkout takes a server that another one's pins made."""
    digest = hashlib.sha256()
    for pinned in server.pins:
        digest.update((server.module_folder / pinned).read_bytes())
    decides: object = ()
    match server:
        case GoServer():
            decides = (server.package, server.ldflags, server.crds)
        case GoDefinitions():
            decides = server.crds
        case NpmPackages():
            pass
    digest.update(repr(decides).encode())
    return root() / f"{server.name}-{server.version}-{digest.hexdigest()[:12]}"


def binary(server: GoServer) -> Path:
    return entry(server) / "bin" / server.binary


def crd_file(folder: Path, name: str) -> Path:
    return folder / "crds" / f"{name}.yaml"


def remove_others(server: Kept) -> list[Path]:
    """Removes the builds of this server that other pins made, and returns them: a server is 100 MB, and a cache that only
    grows is soon noticed. A checkout that still wants one builds it again."""
    ours = re.compile(rf"{re.escape(server.name)}-\d[^/]*-[0-9a-f]{{12}}")
    others = [path for path in root().iterdir() if ours.fullmatch(path.name) and path != entry(server)]
    for path in others:
        shutil.rmtree(path, ignore_errors=True)
    return others


def is_complete(server: Kept) -> bool:
    """Whether the build is there. Builds are renamed into place when done, so what is there is whole."""
    return binary(server).is_file() if isinstance(server, GoServer) else entry(server).is_dir()


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Only one build at a time on this machine: a second one waits, and then finds everything built."""
    root().mkdir(parents=True, exist_ok=True)
    with (root() / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
