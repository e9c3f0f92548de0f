"""That a release is over, as the engine takes announcements: it is told until it is taken."""

from collections.abc import Awaitable, Callable

from daemon.errors import InvalidEvent
from daemon.interventions import Command
from daemon.model import Release
from daemon.watcher.endings import Ending
from daemon.watcher.notices import Answer


class EndNotice:
    """``EndAnnouncement`` of one. ``answered`` hears once what became of it."""

    def __init__(self, ending: Ending, *, answered: Callable[[Answer], Awaitable[None]]) -> None:
        self._ending = ending
        self._answered = answered

    @property
    def release_id(self) -> str | None:
        """Of the release that is over."""
        return self._ending.release_id

    @property
    def announced_at(self) -> float | None:
        """Null: it announces nothing."""
        return None

    @property
    def command(self) -> Command:
        """Nothing more can be seen of it: its watch ends without a word on the canary."""
        return Command(command="cancel", by=self._ending.by, reason=self._ending.why)

    def release(self) -> Release:
        """Always ``InvalidEvent``."""
        raise InvalidEvent(f"it is over: {self._ending.why}", path=self._ending.by)

    async def accept(self) -> None:
        """It is over, or was already."""
        await self._answered(Answer.SAFE)

    async def reject(self, reason: str) -> None:
        """Nobody could do anything about it."""
        del reason
        await self._answered(Answer.SAFE)

    async def postpone(self) -> None:
        """It is told again in a while."""
        await self._answered(Answer.AGAIN)

    async def put_back(self) -> None:
        """The same."""
        await self._answered(Answer.AGAIN)
