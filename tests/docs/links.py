"""Relative links in the documents must lead somewhere, anchors included."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tests.docs.shell import without_code

_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_REFERENCE = re.compile(r"^\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_INLINE_CODE = re.compile(r"`[^`\n]*`")


def faults(path: Path, *, root: Path) -> Iterator[str]:
    """Links of one document that lead nowhere, or out of the project."""
    for target, there, anchor in _leading(path):
        if not there.is_relative_to(root):
            yield f"{target} leads out of the project"
        elif not there.exists():
            yield f"{target} is not there"
        elif anchor and there.suffix == ".md" and anchor not in anchors(there.read_text(encoding="utf-8")):
            yield f"{target}: there is no such heading"


def files(path: Path) -> Iterator[Path]:
    """The files that one document links to."""
    yield from (there for _, there, _ in _leading(path) if there.is_file())


def _leading(path: Path) -> Iterator[tuple[str, Path, str]]:
    """Each relative link of a document as it is written, with where it leads: a file and an anchor in it."""
    prose = _INLINE_CODE.sub("", without_code(path.read_text(encoding="utf-8")))
    for target in [*_LINK.findall(prose), *_REFERENCE.findall(prose)]:
        if not _SCHEME.match(target):
            file, _, anchor = unquote(target).partition("#")
            yield target, (path.parent / file).resolve() if file else path, anchor


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    found: dict[str, int] = {}
    result = set()
    for heading in _HEADING.findall(without_code(text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        count = found.get(slug, 0)
        found[slug] = count + 1
        result.add(f"{slug}-{count}" if count else slug)
    return result
