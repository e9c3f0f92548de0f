"""How configuration is refused: the problems together, each with its path, the value and the fix."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_PROBLEMS = 30
"""What a person reads; a document with more is mended in turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault. ``path`` is like ``policies.default.alpha``; ``fix`` says what to write instead.

    ``stands_for`` is more than 1 for the last of a list that was cut: how many were left out.
    """

    path: str
    message: str
    fix: str
    stands_for: int = 1

    def __str__(self) -> str:
        """``path: message; fix``."""
        return f"{self.path}: {self.message}; {self.fix}"


class ConfigError(Exception):
    """A document that is refused. ``problems`` is never empty; ``source`` is the file or variable it came from."""

    def __init__(self, problems: Sequence[Problem], *, source: str) -> None:
        self.problems = first_of(problems)
        self.source = source
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


def first_of(problems: Sequence[Problem], *, unseen: int = 0) -> tuple[Problem, ...]:
    """The first 30, and how many more there are. ``unseen`` counts those that are not even in the list."""
    shown = tuple(problems[:MOST_PROBLEMS])
    more = unseen + sum(problem.stands_for for problem in problems[MOST_PROBLEMS:])
    if more == 0:
        return shown
    return (*shown, Problem(path="$", message=f"and {more} more", fix="mend these first", stands_for=more))
