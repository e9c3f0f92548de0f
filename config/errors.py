"""How configuration is refused: every problem at once, each with its path, the value and the fix."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault. ``path`` is like ``policies.default.alpha``; ``fix`` says what to write instead."""

    path: str
    message: str
    fix: str

    def __str__(self) -> str:
        """``path: message; fix``."""
        return f"{self.path}: {self.message}; {self.fix}"


class ConfigError(Exception):
    """A document that is refused. ``problems`` is never empty; ``source`` is the file or variable it came from."""

    def __init__(self, problems: tuple[Problem, ...], *, source: str) -> None:
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))
        self.problems = problems
        self.source = source
