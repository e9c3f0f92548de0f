"""Packages of npm, installed as their lock has them, and scripts that import them from there."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.servers.catalog import NpmPackages
from tests.servers.steps import download


def obstacle() -> str | None:
    """Why nothing of npm can be installed here, if so."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "no node and npm on PATH: install Node.js 20 or newer"
    return None


def install(packages: NpmPackages, folder: Path) -> None:
    """Into a new folder, with the hashes of the lock; nothing of theirs runs meanwhile."""
    folder.mkdir()
    for name in packages.pins:
        shutil.copy(packages.module_folder / name, folder)
    argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    download(argv, seconds=300.0, cwd=folder)


def argv(script: Path, *words: str) -> list[str]:
    """Runs a script of ours; it imports what is in the folder where it runs."""
    return ["node", "--input-type=module", "--eval", script.read_text(encoding="utf-8"), "--", *words]
