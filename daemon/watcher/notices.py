"""What a look at a route has found, as the engine takes announcements: each is answered once, and the last answer ends the look."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import msgspec

from daemon.model import Release
from daemon.ports.awaiting import Awaited
from daemon.ports.events import DeadLetter, DeadLetters
from daemon.watcher.kept import RouteKey
from daemon.watcher.patience import Patience
from daemon.watcher.steps import Opening, Question, Step

log = logging.getLogger(__name__)

_MOST_TIMES: Final = 20
"""How often a release is announced that meets a defect each time."""


class Answer(StrEnum):
    """What became of a notice."""

    SAFE = "safe"
    REFUSED = "refused"
    AGAIN = "again"


@dataclass(slots=True, kw_only=True)
class Look:
    """A step whose notices are being answered. ``ended`` is called with the last answer, with the marks of what was refused."""

    key: RouteKey
    step: Step
    ended: Callable[["Look"], Awaitable[None]]
    answers: dict[str, Answer] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    async def answered(self, mark: str, answer: Answer, *, reason: str = "") -> None:
        """One of them has its answer. ``reason``: why it was refused."""
        self.answers[mark] = answer
        self.reasons[mark] = reason
        marks = {one.mark for one in self.step.openings} | {one.mark for one in self.step.questions}
        marks |= {one.mark for one in self.step.endings}
        if marks <= self.answers.keys():
            await self.ended(self)

    @property
    def refused(self) -> dict[str, str]:
        """Why openings were refused, by their marks."""
        own = [one for one in self.step.openings if not one.joins]
        return {one.mark: self.reasons[one.mark] for one in own if self.answers.get(one.mark) is Answer.REFUSED}

    @property
    def is_safe(self) -> bool:
        """Whether none of them has to be told again."""
        return Answer.AGAIN not in self.answers.values()


class RouteNotice:
    """``Announcement`` of one opening or question."""

    def __init__(
        self, look: Look, about: Opening | Question, *, letters: DeadLetters, announced_at: float, failures: dict[str, int]
    ) -> None:
        self._look = look
        self._about = about
        self._letters = letters
        self._announced_at = announced_at
        self._failures = failures

    @property
    def release_id(self) -> str | None:
        """The same for the same attempt; null for a question."""
        return self._about.kept.release_id if isinstance(self._about, Opening) else None

    @property
    def announced_at(self) -> float | None:
        """When the change was seen."""
        return self._announced_at

    def release(self) -> Release:
        """The release; a question is raised, with whom to answer it and how."""
        if isinstance(self._about, Question):
            raise self._about.error
        return self._about.release

    async def accept(self) -> None:
        """It is kept safe."""
        assert isinstance(self._about, Opening)  # a question is never accepted
        log.info(
            "a release was noticed",
            extra={"route": str(self._look.key), "release": self._about.kept.release_id, "reason": self._about.why},
        )
        self._failures.pop(self._about.mark, None)
        await self._look.answered(self._about.mark, Answer.SAFE)

    async def reject(self, reason: str) -> None:
        """Keep it with the reason, where people look for what has become of nothing."""
        about = self._about
        body = msgspec.json.encode(about.release if isinstance(about, Opening) else about.seen)
        letter = DeadLetter(
            body=body, headers={}, reason=reason, key=f"{self._look.key.stored}:{about.mark}", sent_to=str(self._look.key)
        )
        await self._letters.keep(letter)
        await self._look.answered(about.mark, Answer.REFUSED if isinstance(about, Opening) else Answer.SAFE, reason=reason)

    async def postpone(self) -> None:
        """The route is looked at again in a while."""
        await self._look.answered(self._about.mark, Answer.AGAIN)

    async def put_back(self) -> None:
        """The same, but not for ever."""
        times = self._failures[self._about.mark] = self._failures.get(self._about.mark, 0) + 1
        if times >= _MOST_TIMES:
            self._failures.pop(self._about.mark)
            await self.reject(f"it has failed {times} times, through a defect")
        else:
            await self._look.answered(self._about.mark, Answer.AGAIN)


class AwaitedNotice(RouteNotice):
    """``SentAnnouncement`` of an opening for which somebody's announcement has waited: it is answered with it."""

    def __init__(
        self,
        look: Look,
        about: Opening,
        awaited: Awaited,
        *,
        patience: Patience,
        letters: DeadLetters,
        announced_at: float,
        failures: dict[str, int],
    ) -> None:
        super().__init__(look, about, letters=letters, announced_at=announced_at, failures=failures)
        self._awaited = awaited
        self._patience = patience

    @property
    def sender(self) -> str:
        """Whoever has announced it."""
        return self._awaited.sender

    async def accept(self) -> None:
        """It is kept safe, and waits no more."""
        await self._patience.found(self._awaited)
        await super().accept()

    async def reject(self, reason: str) -> None:
        """It comes to nothing, and is kept with the reason as it was announced."""
        await self._patience.refused(self._awaited, reason=reason)
        await self._look.answered(self._about.mark, Answer.REFUSED, reason=reason)
