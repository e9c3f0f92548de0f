"""Packages of somebody else's, installed beside ours. Import the fixture ``packages``."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from daemon import connectors, settings
from daemon.delivery import owners
from daemon.meshes import registry


def install(folder: Path, groups: Mapping[str, Mapping[str, str]], *, name: str = "somebody") -> None:
    """A distribution with these entry points, by group and name, as pip leaves it in a folder of the path."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    lines = [
        line for group, points in groups.items() for line in (f"[{group}]", *(f"{n} = {value}" for n, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")


def forget() -> None:
    """What is installed is looked up once in a process."""
    registry.kinds.cache_clear()
    owners.kinds.cache_clear()
    connectors.sources.cache_clear()
    connectors.sinks.cache_clear()
    settings.model.cache_clear()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for packages beside ours."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    forget()
    yield folder
    monkeypatch.undo()
    forget()
