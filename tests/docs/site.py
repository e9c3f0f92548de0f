"""The documents as a site: ``python -m tests.docs.site FOLDER`` (``make docs``), 1 and a line for each fault when there is one.

The documents are written to be read where they lie, on a hosting site. So they and whatever they link to are copied as they lie,
and that is what MkDocs reads: no link is written twice. A page that asks anything of another host is a fault.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

from tests.docs import links
from tests.docs.__main__ import ROOT, documents

CONFIG: Final = "mkdocs.yml"
_PAGES: Final = "documents"
_BUILD_SECONDS: Final = 300.0
_ASKED: Final = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "embed": "src"}
_LINKS: Final = frozenset({"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "modulepreload", "manifest", "prefetch"})
_STYLE: Final = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")


def main(argv: Sequence[str]) -> int:
    """The command."""
    folder = Path(argv[0]).absolute()
    found = [*built(folder), *(f"{name}: asks {host} for something" for name, host in strangers(folder))]
    sys.stdout.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


def built(folder: Path) -> list[str]:
    """Build the site into a folder; gives what MkDocs has to complain of."""
    with tempfile.TemporaryDirectory(prefix="verdictd-docs-") as scratch:
        shutil.copy(ROOT / CONFIG, scratch)
        for file in sources(ROOT):
            there = Path(scratch) / _PAGES / file.relative_to(ROOT)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, there)
        words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
        done = subprocess.run(words, cwd=scratch, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
    return [] if done.returncode == 0 else (done.stdout + done.stderr).splitlines()


def sources(root: Path) -> Iterator[Path]:
    """The documents for readers, and the files that they link to."""
    found = [path for path in documents(root) if path.relative_to(root).parts[0] != "tests"]
    yield from found
    yield from sorted({file for path in found for file in links.files(path) if file.suffix != ".md"})


def strangers(folder: Path) -> Iterator[tuple[str, str]]:
    """Pages and styles that have a browser ask another host for something by themselves, with its address."""
    for file in sorted(folder.rglob("*.html")):
        asking = _Asking()
        asking.feed(file.read_text(encoding="utf-8"))
        yield from ((file.relative_to(folder).as_posix(), address) for address in asking.found)
    for file in sorted(folder.rglob("*.css")):
        for address in _STYLE.findall(file.read_text(encoding="utf-8")):
            yield file.relative_to(folder).as_posix(), address


class _Asking(HTMLParser):
    """What a browser fetches by itself from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Of each element."""
        said = {name: value or "" for name, value in attrs}
        address = said.get(_ASKED.get(tag, ""), "")
        if tag == "link" and _LINKS & set(said.get("rel", "").split()):
            address = said.get("href", "")
        if re.match(r"(https?:)?//", address):
            self.found.append(address)
        self.found += _STYLE.findall(said.get("style", ""))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
