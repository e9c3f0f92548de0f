"""The live account: who does what, one line an event, and once a second what the users get."""

import time
from collections.abc import Iterable
from statistics import median

from daemon.demo.traffic import Answer

_WIDTH = 9


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
        print(f"{self.seconds:6.1f} s  {self._bold(f'{who:<{_WIDTH}}')} {what}", flush=True)

    def lines(self, text: Iterable[str]) -> None:
        """Text as it is, indented."""
        for line in text:
            print(f"  {line}", flush=True)

    def traffic(self, answers: list[Answer], *, seconds: float, evidence: str) -> None:
        """What the users got in the last seconds, and what verdictd makes of it."""
        parts = [_of_version(version, answers, seconds=seconds) for version in sorted({a.version for a in answers})]
        print(f"{self.seconds:6.1f} s  {'users':<{_WIDTH}} {'   '.join(parts)}{evidence}", flush=True)

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._colours else text


def _of_version(version: str, answers: list[Answer], *, seconds: float) -> str:
    own = [answer for answer in answers if answer.version == version]
    failed = 100.0 * sum(answer.failed for answer in own) / len(own)
    milliseconds = 1000.0 * median(answer.seconds for answer in own)
    return f"{version or 'edge'} {len(own) / seconds:3.0f}/s {failed:4.1f} % bad {milliseconds:3.0f} ms"
