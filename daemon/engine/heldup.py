"""What ended releases wait for because it does not succeed: a verdict that nobody takes is tried for ever, and must be seen to be.

Each try's failure is a line in the log and a count; neither says what still waits now, and a release that waits to be told looks
like any other that is about to be. It is kept by who waits, not by how the last try ended: of a stream that is full a small verdict
may find room where a large one goes on waiting.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

_NOT_DONE: Final[Mapping[str, str]] = {
    "publish": "verdicts not published",
    "audit": "not told to the audit",
    "record": "records not kept",
    "promotions": "promotions not kept",
    "after": "watches after a promotion not begun",
}


class HeldUp:
    """By step. ``waiting`` is one release's wait for one."""

    def __init__(self) -> None:
        self._reasons: dict[str, dict[object, str]] = {step: {} for step in _NOT_DONE}

    @property
    def verdicts(self) -> int:
        """How many verdicts have failed to be published, and are tried again."""
        return len(self._reasons["publish"])

    @property
    def problem(self) -> str | None:
        """How many wait for what, and what the last of them was told; null: nothing has failed that is still to be done."""
        held = [f"{_NOT_DONE[step]} ({len(of)}): {list(of.values())[-1]}" for step, of in self._reasons.items() if of]
        return "; ".join(held) or None

    @contextmanager
    def waiting(self, step: str) -> Iterator[Callable[[str], None]]:
        """For as long as it takes, or until whoever waits is cancelled; call what is given with the reason of each failure."""
        of, who = self._reasons[step], object()

        def failed(reason: str) -> None:
            of[who] = reason

        try:
            yield failed
        finally:
            of.pop(who, None)
