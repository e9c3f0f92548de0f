"""Commands in the documents must exist: sub-commands and options of verdictd, targets of make."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from daemon.cli.parser import build

_FENCE = re.compile(r"^( *)(```+)(\w*)[^\n]*\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:verdictd|make) [^`\n]+)`")
_SHELLS = frozenset({"", "sh", "bash", "shell", "console"})
_TARGET = re.compile(r"^([a-z][\w-]*):", re.MULTILINE)
_WORD = re.compile(r"[a-z][a-z-]*")
_PLACEHOLDER = re.compile(r"^[A-Z|.\[{<…]")


def faults(text: str, *, makefile: str) -> Iterator[str]:
    """What a document says that the command line does not know."""
    targets = set(_TARGET.findall(makefile))
    for words in _commands(text):
        if words[0] == "make":
            yield from (f"make has no target {word!r}" for word in words[1:] if _WORD.fullmatch(word) and word not in targets)
        else:
            yield from _verdictd_faults(words[1:])


def makefile_of(root: Path) -> str:
    """The text of the Makefile."""
    return (root / "Makefile").read_text(encoding="utf-8")


def without_code(text: str) -> str:
    """The document without its code blocks."""
    return _FENCE.sub("", text)


def _commands(text: str) -> Iterator[list[str]]:
    lines = [line for fence in _FENCE.finditer(text) if fence[3] in _SHELLS for line in fence[4].replace("\\\n", " ").splitlines()]
    for line in [*lines, *_INLINE.findall(without_code(text))]:
        for part in re.split(r"&&|\|\||[;|]", line.strip().removeprefix("$ ")):
            words = _split(part)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words and Path(words[0]).name in {"verdictd", "make"}:
                yield [Path(words[0]).name, *words[1:]]


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return []


def _verdictd_faults(words: list[str]) -> Iterator[str]:
    """Only a first word that looks like a command is taken for one: prose says ``verdictd A | B`` too."""
    if not words or _PLACEHOLDER.match(words[0]) or words[0].startswith("-"):
        return
    if words[0] in {"demo", "help", "version"}:
        return  # the demo's options are its own parser's, and the others are words for options
    parser = _subparsers().get(words[0])
    if parser is None:
        yield f"verdictd has no command {words[0]!r}"
        return
    known = parser._option_string_actions
    for word in words[1:]:
        option = word.partition("=")[0].rstrip(",.")
        if option.startswith("--") and option != "--" and option not in known:
            yield f"verdictd {words[0]} has no option {option}"


def _subparsers() -> dict[str, argparse.ArgumentParser]:
    action = next(one for one in build()._actions if isinstance(one, argparse._SubParsersAction))
    return dict(action.choices)
