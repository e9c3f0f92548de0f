"""``python -m tests.docs [--write]``: 0 when the documents are right, 1 and a line for each fault when not."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from config.schema import settings_schema
from config.settings import Settings
from daemon import connectors
from daemon.delivery import gittools, owners
from daemon.meshes.registry import BUILT_IN
from daemon.settings import model_of
from tests.docs import api, chart, dashboards, lines, links, meshes, metrics, modules, paths, rbac, reference

ROOT = Path(__file__).resolve().parents[2]
_WITH_RIGHTS: Sequence[rbac.WithRights] = (
    *BUILT_IN,
    *owners.BUILT_IN,
    *gittools.BUILT_IN,
    *connectors.SOURCES,
)
FIGURES = frozenset({"docs/calibration.md"})
"""Written by what measures for hours; its lines are as long as they are."""


def documents(root: Path) -> list[Path]:
    """Every Markdown file of the project; folders that begin with a dot are not ours."""
    return sorted(path for path in root.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(root).parts))


def faults(root: Path) -> Iterator[str]:
    """Everything that is wrong, with its file."""
    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(root).as_posix()
        wrong = [*links.faults(path, root=root), *paths.faults(text, root=root)]
        for fault in wrong if name in FIGURES else [*wrong, *lines.faults(text)]:
            yield f"{name}: {fault}"
    yield from modules.faults(root)
    yield from paths.deaths(root)
    for name, text in made(root).items():
        page = root / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            yield f"{name}: is not what the code says; run python -m tests.docs --write"


def made(root: Path) -> dict[str, str]:
    """What is made from the code, as it must be, by file."""
    about = root / meshes.RIGHTS_PAGE
    return {
        reference.PAGE: reference.page(BUILT_IN),
        api.PAGE: api.page(),
        metrics.PAGE: metrics.page(),
        **dashboards.made(),
        meshes.PAGE: meshes.page(BUILT_IN),
        meshes.RIGHTS_PAGE: meshes.with_rights(about.read_text(encoding="utf-8") if about.exists() else "", _WITH_RIGHTS),
        rbac.FILE: rbac.manifest(_WITH_RIGHTS),
        **chart.made(root, _WITH_RIGHTS, settings=settings_schema(_written())),
        modules.PAGE: modules.page(root),
    }


def _written() -> type[Settings]:
    """What a person may write where nothing is installed but verdictd."""
    sources, sinks = ([row.settings for row in rows if row.settings is not None] for rows in (connectors.SOURCES, connectors.SINKS))
    return model_of(BUILT_IN, sources=sources, sinks=sinks)


def main(argv: Sequence[str]) -> int:
    """The command."""
    if "--write" in argv:
        for name, text in made(ROOT).items():
            page = ROOT / name
            page.parent.mkdir(exist_ok=True, parents=True)
            page.write_text(text, encoding="utf-8")
    found = list(faults(ROOT))
    sys.stdout.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
