"""A step of GitHub Actions: a summary in Markdown, outputs, and an annotation.

Nothing that comes from outside can end a value early (the delimiter is random, GitHub's own form), begin a command of the runner
(a line's words are escaped as the runner reads them) or be markup (every character that could be is escaped).
"""

import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.cli.ending import Ending
from daemon.cli.exits import Exit
from daemon.errors import InvalidInput

_MARKUP = re.compile(r"([!-/:-@\[-`{-~])")
_LONGEST_ANNOTATION = 4_000


@dataclass(frozen=True, slots=True)
class GithubJob:
    """The files that the runner gives a step, to add to."""

    summary: Path
    outputs: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "GithubJob":
        """By the variables of the step. Raises ``InvalidInput`` where they are not there, or their files cannot be added to."""
        paths = []
        for variable in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"):
            path = Path(environ.get(variable) or "")
            try:
                path.open("a", encoding="utf-8").close()
            except OSError as error:
                reason = f"${variable} ({path}) cannot be written: {error.strerror}" if environ.get(variable) else "is not in one"
                raise InvalidInput(reason, path="--output", fix="use github in a step of GitHub Actions") from error
            paths.append(path)
        return cls(*paths)

    def tell(self, ending: Ending) -> None:
        """All three."""
        with self.outputs.open("a", encoding="utf-8", newline="\n") as file:
            file.writelines(_output(name, value) for name, value in _outputs(ending).items())
        with self.summary.open("a", encoding="utf-8", newline="\n") as file:
            file.write(summary(ending))
        # On stderr, which the runner reads too: standard output may be JSON for the next command.
        print(annotation(ending), file=sys.stderr, flush=True)


def annotation(ending: Ending) -> str:
    """The command that puts a line at the top of the job."""
    match ending.code:
        case Exit.OK:
            level = "notice"
        case Exit.INCONCLUSIVE | Exit.TIMEOUT:
            level = "warning"
        case _:
            level = "error"
    words = ending.reason[:_LONGEST_ANNOTATION].replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    title = f"verdictd: {ending.title}".replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={title}::{words}"


def summary(ending: Ending) -> str:
    """Markdown, which GitHub shows below the job."""
    rows = {"release": ending.release_id, "means": ending.meaning, "action": ending.action, "exit code": ending.said_code}
    lines = [
        f"### verdictd: {_plain(ending.title)}",
        "",
        _plain(ending.reason),
        "",
        "| " + " | ".join(rows) + " |",
        "|" + "---|" * len(rows),
        "| " + " | ".join(map(_plain, rows.values())) + " |",
        "",
        *(f"- {_plain(line)}" for line in ending.findings),
        "",
        f"<{ending.url}>",
        "",
    ]
    return "\n".join(lines) + "\n"


def _outputs(ending: Ending) -> dict[str, str]:
    return {
        "release": ending.release_id,
        "outcome": ending.outcome,
        "meaning": ending.meaning,
        "action": ending.action,
        "code": ending.said_code,
        "reason": ending.reason,
        "url": ending.url,
    }


def _output(name: str, value: str) -> str:
    end = f"verdictd_{secrets.token_hex(16)}"
    return f"{name}<<{end}\n{value}\n{end}\n"


def _plain(text: str) -> str:
    """The text as Markdown that shows it as it is: a backslash is allowed before every ASCII punctuation."""
    return _MARKUP.sub(r"\\\1", text)
