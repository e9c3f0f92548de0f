"""The live account: who does what, one line an event, and once a second what the users get."""

import textwrap
import time
from collections.abc import Iterable
from statistics import median

from daemon.demo.traffic import Answer

_COLUMNS = 80
_WIDTH = 9
_INDENT = 20


class Account:
    """Writes to standard output; times are seconds since the demo began."""

    def __init__(self, *, colours: bool) -> None:
        self._began = time.monotonic()
        self._colours = colours

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._began

    def heading(self, text: str) -> None:
        """A new part."""
        print(f"\n{self._bold(text)}", flush=True)

    def says(self, who: str, what: str) -> None:
        """Somebody does something."""
        # A number and its unit stay together.
        wrapped = textwrap.wrap(what.replace(" %", "\u00a0%"), _COLUMNS - _INDENT, break_on_hyphens=False)
        first, *rest = (line.replace("\u00a0", " ") for line in wrapped)
        print(f"{self.seconds:6.1f} s  {self._bold(f'{who:<{_WIDTH}}')} {first}", flush=True)
        for line in rest:
            print(" " * _INDENT + line, flush=True)

    def lines(self, text: Iterable[str]) -> None:
        """Text as it is, indented."""
        for line in text:
            print(f"  {line}" if line else "", flush=True)

    def traffic(self, answers: list[Answer], *, seconds: float) -> None:
        """What the users got in the last seconds."""
        versions = sorted({answer.version for answer in answers})
        self.says("users", " | ".join(_of_version(version, answers, seconds=seconds) for version in versions) or "get no answer")

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._colours else text


def _of_version(version: str, answers: list[Answer], *, seconds: float) -> str:
    own = [answer for answer in answers if answer.version == version]
    failed = 100.0 * sum(answer.failed for answer in own) / len(own)
    milliseconds = 1000.0 * median(answer.seconds for answer in own)
    return f"{version or 'edge'} {len(own) / seconds:.0f}/s, {failed:.1f} % bad, {milliseconds:.0f} ms"
