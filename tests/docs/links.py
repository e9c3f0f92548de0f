"""Relative links in the documents must lead somewhere, anchors included."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tests.docs.commands import without_code

_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
_REFERENCE = re.compile(r"^\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_INLINE_CODE = re.compile(r"`[^`\n]*`")


def faults(path: Path, *, root: Path) -> Iterator[str]:
    """Links of one document that lead nowhere, or out of the project."""
    text = without_code(path.read_text(encoding="utf-8"))
    prose = _INLINE_CODE.sub("", text)
    for target in [*_LINK.findall(prose), *_REFERENCE.findall(prose)]:
        if _SCHEME.match(target):
            continue
        file, _, anchor = unquote(target).partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.is_relative_to(root):
            yield f"{target} leads out of the project"
        elif not there.exists():
            yield f"{target} is not there"
        elif anchor and there.suffix == ".md" and anchor not in anchors(there.read_text(encoding="utf-8")):
            yield f"{target}: there is no such heading"


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
