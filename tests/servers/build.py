"""Building what the catalog names: each server on its own, so that one that cannot be had keeps no other away."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from tests.servers import cache, debian, locate, node, toolchain
from tests.servers.catalog import (
    ChartCrds,
    Crds,
    DebianServer,
    GoDefinitions,
    GoServer,
    Kept,
    NpmPackages,
    OfGo,
    Server,
    WheelServer,
)
from tests.servers.steps import StepFailed, download, run

DOWNLOAD_SECONDS = 900.0
BUILD_SECONDS = 3600.0


State = Literal["found", "built", "failed", "missing"]


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one server. `missing` is what this machine cannot have and nobody asked it to: not a failure."""

    server: Server
    state: State
    seconds: float
    why: str


def build_all(servers: Sequence[Server]) -> list[Outcome]:
    """Makes these servers available, one after the other: a Go build fills every core by itself, and linking two of
    the large ones at once takes more memory than a small machine has."""
    with cache.locked():
        return [_provide(server) for server in servers]


def _provide(server: Server) -> Outcome:
    started = time.monotonic()

    def outcome(state: State, why: str) -> Outcome:
        return Outcome(server, state, time.monotonic() - started, why)

    found = locate.find(server.name)
    if isinstance(found, Path):
        return outcome("found", str(found))
    try:
        if obstacle := _obstacle(server, found):
            return outcome("missing", obstacle)
        return outcome("built", _made(server))
    except (StepFailed, OSError) as failure:
        return outcome("failed", str(failure))


def _obstacle(server: Server, found: locate.Missing) -> str | None:
    """Why it cannot be had here, whatever is tried. Go is had where it is missing."""
    match server:
        case GoServer() | GoDefinitions():
            return None
        case NpmPackages():
            return node.obstacle()
        case DebianServer():
            return debian.obstacle(server)
        case WheelServer():
            return found.reason


def _made(server: Server) -> str:
    """Makes it available, and says where it is or how it came."""
    if isinstance(server, Kept):
        print(f"building {server.name} {server.version}", flush=True)
        return str(_build(server))
    assert isinstance(server, DebianServer)  # a wheel's is there, or cannot be had
    print(f"installing {server.package}", flush=True)
    debian.install(server)
    return f"apt-get install {server.package}"


def _build(server: Kept) -> Path:
    """Builds into a folder beside the final one and renames it when all is there: nobody sees half a server."""
    target = cache.entry(server)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=cache.root()) as scratch:
        made = Path(scratch) / "made"
        if isinstance(server, NpmPackages):
            node.install(server, made)
        else:
            _build_of_go(server, made)
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
    cache.remove_others(server)
    return cache.binary(server) if isinstance(server, GoServer) else target


def _build_of_go(server: OfGo, made: Path) -> None:
    go = toolchain.provide(toolchain.needed([server]))
    if isinstance(server, GoServer):
        _compile(server, go, made / "bin" / server.binary)
    for crds in server.crds:
        _keep(crds, _module_folder(server, go, crds.module), cache.crd_file(made, crds.name))


def _compile(server: GoServer, go: Path, output: Path) -> None:
    """Asks for the packages first, which fetches just the modules that they need: a step worth trying again, which a
    compiler's error is not."""
    env = toolchain.environment()
    folder = server.module_folder
    download([go, "list", "-deps", server.package], seconds=DOWNLOAD_SECONDS, cwd=folder, env=env)
    output.parent.mkdir(parents=True)
    run(
        [go, "build", "-ldflags", server.ldflags, "-o", output, server.package],
        seconds=BUILD_SECONDS,
        cwd=folder,
        env=env,
    )


def _module_folder(server: OfGo, go: Path, module: str) -> Path:
    argv: list[str | Path] = [go, "mod", "download", "-json", module]
    said = download(argv, seconds=DOWNLOAD_SECONDS, cwd=server.module_folder, env=toolchain.environment())
    return Path(json.loads(said)["Dir"])


def _keep(crds: Crds, module_folder: Path, target: Path) -> None:
    """Copies the definitions out of the module cache: the tests may run where there is no Go to ask for it."""
    files = sorted(path for path in module_folder.glob(crds.pattern) if path.name != "kustomization.yaml")
    if not files:
        raise StepFailed(f"{crds.module} holds nothing at {crds.pattern}")
    target.parent.mkdir(parents=True, exist_ok=True)
    texts = [path.read_text(encoding="utf-8") for path in files]
    if isinstance(crds, ChartCrds):
        texts = ["".join(line for line in text.splitlines(keepends=True) if "{{" not in line) for text in texts]
    target.write_text("\n---\n".join(texts), encoding="utf-8")


def table(outcomes: Iterable[Outcome]) -> str:
    """The outcomes for a reader, in columns; the reason of a failure keeps its lines, indented."""
    rows = [("server", "version", "state", "seconds", "")]
    for outcome in outcomes:
        why = outcome.why.replace("\n", "\n    ")
        rows.append((outcome.server.name, outcome.server.version, outcome.state, f"{outcome.seconds:.1f}", why))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip() for row in rows
    )
