"""The examples of deploy/pipelines as tests read them, and a daemon that has decided."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from daemon.model import Outcome, Outline, Release
from daemon.releaseview import ReleaseView
from tests.hand.api import Engine

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "pipelines"
PAGES = ROOT / "docs" / "tools"
_SCRIPTS = frozenset({"run", "script", "sh"})


@dataclass
class Decided(Engine):
    """Gives each release the verdict at once."""

    outcome: Outcome = Outcome.PROMOTE

    async def submit(
        self, release: Release | Outline, *, release_id: str, sender: str = "", announced_at: float | None = None
    ) -> ReleaseView:
        view = await super().submit(release, release_id=release_id, sender=sender, announced_at=announced_at)
        self.end(release_id, self.outcome)
        return view


def text(name: str) -> str:
    """An example as it stands."""
    return (FOLDER / name).read_text(encoding="utf-8")


def documents(name: str) -> list[Any]:
    """The YAML documents of an example."""
    return list(yaml.safe_load_all(text(name)))


def of_kind(name: str, kind: str) -> list[Any]:
    """The objects of one kind in an example."""
    return [document for document in documents(name) if document.get("kind") == kind]


def scripts(document: Any) -> Iterator[str]:
    """Every text in a document that a shell runs."""
    if isinstance(document, list):
        for one in document:
            yield from scripts(one)
    elif isinstance(document, dict):
        for name, value in document.items():
            if name in _SCRIPTS and isinstance(value, str):
                yield value
            elif name in _SCRIPTS and isinstance(value, list):
                yield from (line for line in value if isinstance(line, str))
            yield from scripts(value)


def jenkins_commands() -> list[str]:
    """What the Jenkinsfile's steps ``sh`` run, in their order."""
    return re.findall(r"(?:sh |script: )'([^']*)'", text("Jenkinsfile"))


def shell_lines() -> list[str]:
    """All lines of shell in the examples."""
    found = [*jenkins_commands()]
    for path in sorted(FOLDER.glob("*.yaml")):
        found += scripts(documents(path.name))
    return [line.strip() for script in found for line in script.splitlines()]


def addresses() -> list[tuple[str, str]]:
    """Every address of the daemon in the examples, as file and path with its query."""
    pattern = re.compile(r"http://(?:verdictd:SECRET@)?verdictd\.verdictd\.svc:8484(/[^\s\"',}]*)")
    return [(path.name, found) for path in sorted(FOLDER.iterdir()) for found in pattern.findall(path.read_text(encoding="utf-8"))]
