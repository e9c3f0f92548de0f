"""``python -m tests.docs [--write]``: 0 when the documents are right, 1 and a line for each fault when not."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.docs import api, commands, links, paths, reference

ROOT = Path(__file__).resolve().parents[2]


def documents(root: Path) -> list[Path]:
    """Every Markdown file of the project; folders that begin with a dot are not ours."""
    return sorted(path for path in root.rglob("*.md") if not any(part.startswith(".") for part in path.relative_to(root).parts))


def faults(root: Path) -> Iterator[str]:
    """Everything that is wrong, with its file."""
    makefile = commands.makefile_of(root)
    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        wrong = (*commands.faults(text, makefile=makefile), *links.faults(path, root=root), *paths.faults(text, root=root))
        for fault in wrong:
            yield f"{path.relative_to(root)}: {fault}"
    for made in (reference, api):
        page = root / made.PAGE
        if not page.exists() or page.read_text(encoding="utf-8") != made.page():
            yield f"{made.PAGE}: is not what the models say; run python -m tests.docs --write"


def main(argv: Sequence[str]) -> int:
    """The command."""
    if "--write" in argv:
        for made in (reference, api):
            page = ROOT / made.PAGE
            page.parent.mkdir(exist_ok=True)
            page.write_text(made.page(), encoding="utf-8")
    found = list(faults(ROOT))
    sys.stdout.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
