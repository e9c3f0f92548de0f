"""The commands of a document: where they stand, and which programs a shell would call for them, with which words.

bash itself reads the scripts, with no program in sight: what it does not find it hands to a function, which keeps the words.
So quotes, pipes, continued lines and substitutions are what they are for who pastes them.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BASH: Final = "/bin/bash"
_FENCE: Final = re.compile(r"^( *)(```+)([^\n]*)\n(.*?)^\1\2 *$", re.MULTILINE | re.DOTALL)
_PROMPTED: Final = re.compile(r"^\$ ((?:[^\n]*\\\n)*[^\n]*)$", re.MULTILINE)
_INLINE: Final = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_ASSIGNED: Final = re.compile(r"[A-Z_]+=\S* ")
_SCRIPTS, _TRANSCRIPTS = frozenset({"sh"}), frozenset({"console"})
_OTHERS: Final = frozenset({"text", "yaml", "json", "toml", "python", "hcl", "nginx"})
_SECONDS: Final = 20.0
_ASKED: Final = r"""
command_not_found_handle() { printf '%s\0' "$#" "$@" >>"$script.calls"; }
for script; do ( . "$script" ) >/dev/null 2>"$script.wrong"; done
true
"""
"""Each in a shell of its own, which it may leave."""


@dataclass(frozen=True, slots=True)
class Script:
    """What stands on a page to be typed. ``inline``: in the middle of a sentence, where it may be the mere name of a command."""

    page: str
    line: int
    text: str
    inline: bool = False

    @property
    def place(self) -> str:
        """Where to look for it."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Call:
    """A program, and the words that it was given."""

    program: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Called:
    """All calls of a script; ``wrong`` is what bash says of it where it cannot be read or does not end well."""

    calls: tuple[Call, ...]
    wrong: str


def faults(text: str) -> Iterator[str]:
    """Blocks of a document in which a command would be overlooked."""
    for line, language, body in _blocks(text):
        if language not in _SCRIPTS | _TRANSCRIPTS | _OTHERS:
            known = ", ".join(sorted(_SCRIPTS | _TRANSCRIPTS | _OTHERS))
            yield f"line {line}: the block does not say what is in it: one of {known}, not {language!r}"
        elif language in _TRANSCRIPTS and not body.startswith("$ "):
            yield f"line {line}: a transcript begins with `$ ` and a command"
        elif language not in _TRANSCRIPTS and _PROMPTED.search(body):
            yield f"line {line}: what is typed after `$ ` stands in a block `console`"


def scripts(page: str, text: str) -> Iterator[Script]:
    """What is typed, in blocks: each whole block of shell, each command of a transcript."""
    for line, language, body in _blocks(text):
        if language in _SCRIPTS:
            yield Script(page, line + 1, body)
        elif language in _TRANSCRIPTS:
            for found in _PROMPTED.finditer(body):
                yield Script(page, line + 1 + body.count("\n", 0, found.start()), f"{found[1]}\n")


def without_code(text: str) -> str:
    """The document without its blocks."""
    return _FENCE.sub("", text)


def mentioned(page: str, text: str, *, programs: frozenset[str]) -> Iterator[Script]:
    """What stands in sentences and tables and begins with one of the programs and a word to it."""
    prose = _FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)
    for number, line in enumerate(prose.splitlines(), start=1):
        for found in _INLINE.findall(line):
            for written in _alternatives(found.replace(r"\|", "|")):
                words = _ASSIGNED.sub("", written).split()
                if len(words) > 1 and words[0].rpartition("/")[2] in programs:
                    yield Script(page, number, written.strip(), inline=True)


def called(scripts: Sequence[Script], *, folder: Path, env: Mapping[str, str]) -> list[Called]:
    """What bash would call of each. ``folder`` has the files that they read; nothing is run."""
    texts = sorted({script.text for script in scripts})
    kept = {text: folder / f"{number}.sh" for number, text in enumerate(texts)}
    for text, file in kept.items():
        file.write_text(text.replace(".venv/bin/", ""), encoding="utf-8")
    argv = [BASH, "-uc", _ASKED, "bash", *map(str, kept.values())]
    subprocess.run(argv, cwd=folder, env={**env, "PATH": os.devnull}, stdin=subprocess.DEVNULL, timeout=_SECONDS, check=True)
    found = {text: Called(tuple(_read(file)), _wrong(file)) for text, file in kept.items()}
    return [found[script.text] for script in scripts]


def _alternatives(text: str) -> Iterator[str]:
    """``a b|c`` are two commands, and so are ``a [b]``: nobody pipes in a sentence without a blank."""
    either = re.search(r"\S+(?:\|\S+)+|(?<= )\[[^\]]+\](?= |$)", text)
    if either is None:
        yield text
    else:
        for one in ("", either[0][1:-1]) if either[0].startswith("[") else either[0].split("|"):
            yield from _alternatives(f"{text[: either.start()]}{one}{text[either.end() :]}")


def _blocks(text: str) -> Iterator[tuple[int, str, str]]:
    """Of each block the line of its fence, its language, and what is in it without its indentation."""
    for fence in _FENCE.finditer(text):
        body = re.sub(rf"^{fence[1]}", "", fence[4], flags=re.MULTILINE)
        yield text.count("\n", 0, fence.start()) + 1, fence[3].strip(), body


def _wrong(file: Path) -> str:
    said = Path(f"{file}.wrong").read_text(encoding="utf-8").strip()
    return re.sub(rf"^{re.escape(str(file))}: ", "", said, flags=re.MULTILINE)


def _read(file: Path) -> Iterator[Call]:
    kept = Path(f"{file}.calls")
    words = iter(kept.read_text(encoding="utf-8").split("\0")[:-1] if kept.exists() else [])
    for count in words:
        program, *rest = (next(words) for _ in range(int(count)))
        yield Call(program, tuple(rest))
