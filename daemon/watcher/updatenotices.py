"""A release by pods, a rolling update or a second Deployment, as the engine takes announcements."""

import logging
from collections.abc import Awaitable, Callable

import msgspec

from daemon.model import Release
from daemon.ports.events import DeadLetter, DeadLetters
from daemon.watcher.kept import RouteKey
from daemon.watcher.notices import Answer

log = logging.getLogger(__name__)


class UpdateNotice:
    """``Announcement`` of one. ``answered`` hears once what became of it."""

    def __init__(
        self,
        key: RouteKey,
        release: Release,
        *,
        release_id: str,
        announced_at: float,
        letters: DeadLetters,
        answered: Callable[[Answer], Awaitable[None]],
    ) -> None:
        self._key = key
        self._release = release
        self._release_id = release_id
        self._announced_at = announced_at
        self._letters = letters
        self._answered = answered

    @property
    def release_id(self) -> str | None:
        """The same for the same attempt."""
        return self._release_id

    @property
    def announced_at(self) -> float | None:
        """When it was seen."""
        return self._announced_at

    def release(self) -> Release:
        """The release."""
        return self._release

    async def accept(self) -> None:
        """It is kept safe."""
        told = {"about": str(self._key), "canary": self._release.canary.workload, "release": self._release_id}
        log.info("a release by pods was noticed", extra=told)
        await self._answered(Answer.SAFE)

    async def reject(self, reason: str) -> None:
        """Keep it with the reason, where people look for what has become of nothing."""
        body = msgspec.json.encode(self._release)
        letter = DeadLetter(body=body, headers={}, reason=reason, key=self._release_id, sent_to=str(self._key))
        await self._letters.keep(letter)
        await self._answered(Answer.REFUSED)

    async def postpone(self) -> None:
        """It is looked at again in a while."""
        await self._answered(Answer.AGAIN)

    async def put_back(self) -> None:
        """The same."""
        await self._answered(Answer.AGAIN)
