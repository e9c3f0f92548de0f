"""Announcements that wait, as the watch of routes has them: looked for again and again, and told when their time is over.

What is deployed is not watched, routes are: so the routes of their namespaces are looked at anew while one waits. One that lapses
is a dead letter with what was missing; what only somebody can say is asked meanwhile, where all questions are.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from daemon.aio.tasks import cancel_all
from daemon.errors import VerdictdError
from daemon.interventions import OpenQuestion
from daemon.ports.awaiting import HOW_TO_ANSWER, Awaited
from daemon.ports.events import DeadLetter
from daemon.watcher.kept import RouteKey
from daemon.watcher.meeting import StillWaits
from daemon.watcher.watchports import WatchPorts

log = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS: Final = 10.0
_LONGEST_SECONDS: Final = 60.0
"""Between two looks: the longer all have waited, the less often."""
_QUESTION: Final = "awaited-"


class Patience:
    """Those that wait, and what is said of them at the routes of one watch."""

    def __init__(self, ports: WatchPorts) -> None:
        self._awaited = ports.awaited
        self._questions = ports.questions
        self._letters = ports.letters
        self._clock = ports.clock
        self._asked: dict[str, str] = {}
        self._changed = asyncio.Event()

    def at(self, namespaces: Collection[str]) -> list[Awaited]:
        """Those that wait for something in these namespaces."""
        return [one for one in self._awaited.all() if one.outline.namespace in namespaces]

    async def heard(self, key: RouteKey, waiting: Iterable[Awaited], *, still: Sequence[StillWaits]) -> None:
        """What a route says of those that wait. Raises ``VerdictdError``: a question may be asked or not."""
        said = {one.release_id: one for one in still}
        for one in waiting:
            found = said.get(one.release_id)
            why, ask = ("", None) if found is None else (found.why, found.ask)
            self._awaited.says(one.release_id, route=str(key), why=why, missing=() if ask is None else ask.missing)
            if found is not None and found.ask is not None and self._awaited.find(one.release_id) is not None:
                await self._ask(one, found)

    async def found(self, awaited: Awaited) -> None:
        """It is a release now. Raises ``VerdictdError``: it may wait still."""
        await self._forget(awaited, why="")

    async def refused(self, awaited: Awaited, *, reason: str) -> None:
        """It comes to nothing, and why is kept among the dead letters. Raises as ``found``."""
        key = f"awaited-{awaited.release_id}"
        body = msgspec.json.encode(awaited.outline)
        await self._letters.keep(DeadLetter(body=body, headers={}, reason=reason, key=key, sent_to=awaited.sender))
        await self._forget(awaited, why=reason)
        log.warning("an announcement came to nothing", extra={"release": awaited.release_id, "reason": reason})

    async def run(self, look_in: Callable[[str], None]) -> None:
        """Have the namespaces of those that wait looked at, and tell those whose time is over; for ever.

        Those whose time was over while no daemon ran are looked for once more.
        """
        self._awaited.follow(self._changed.set)
        began = self._clock.monotonic()
        waited: set[str] | None = None
        before = set[str]()  # what waits no more may have kept a release from being noticed
        try:
            while True:
                self._changed.clear()
                try:
                    await self._awaited.load()
                    if waited != (waited := {one.release_id for one in self._awaited.all()}):
                        await self._close_answered(waited)
                    if self._clock.monotonic() - began >= LOOK_AGAIN_SECONDS:
                        await self._lapse()
                except VerdictdError as error:
                    log.debug("announcements that wait cannot be looked at now", extra={"reason": str(error)})
                now = {one.outline.namespace for one in self._awaited.all()}
                for namespace in now | before:
                    look_in(namespace)
                before = now
                await self._rest()
        finally:
            self._awaited.unfollow(self._changed.set)

    async def _close_answered(self, waiting: Collection[str]) -> None:
        """Whoever has ended what waited, a person's cancel or another daemon: nobody needs its answer any more."""
        over = {one.id for one in await self._questions.open() if one.id.startswith(_QUESTION)} - {*map(_question, waiting)}
        await self._questions.close(over)
        self._asked = {release_id: why for release_id, why in self._asked.items() if release_id in waiting}

    async def _rest(self) -> None:
        waiting = self._awaited.all()
        if not waiting:  # what another daemon beside the store has taken is read now and then
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                    await self._changed.wait()
            return
        youngest = min(self._clock.now() - one.since for one in waiting)
        again = min(max(LOOK_AGAIN_SECONDS, youngest / 6.0), _LONGEST_SECONDS) * (0.75 + 0.5 * random.random())  # noqa: S311 - jitter, not a secret
        left = [seconds for one in waiting if (seconds := one.until - self._clock.now()) > 0]
        waits: list[asyncio.Task[Any]] = [asyncio.ensure_future(self._changed.wait())]
        waits.append(asyncio.ensure_future(self._clock.sleep(max(0.1, min([again, *left])))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_all(waits)

    async def _lapse(self) -> None:
        now = self._clock.now()
        for one in self._awaited.all():
            if one.until <= now:
                outline = one.outline
                why = self._awaited.why(one.release_id)
                missing = why or f"no route sends to two versions of {outline.service} in {outline.namespace}"
                told = f"no {outline.named} took traffic in {one.until - one.since:.0f} s"
                await self.refused(one, reason=f"$: {told}: {missing}; {HOW_TO_ANSWER}")

    async def _ask(self, awaited: Awaited, found: StillWaits) -> None:
        assert found.ask is not None  # who calls has looked
        if self._asked.get(awaited.release_id) == found.why:
            return
        outline = awaited.outline
        asked = OpenQuestion(
            id=_question(awaited.release_id),
            about=f"{outline.service} in {outline.namespace}, announced by {awaited.sender or 'somebody'}",
            namespace=outline.namespace,
            question=found.why,
            answer=HOW_TO_ANSWER,
            annotations=("verdictd.io/canary", "verdictd.io/baseline"),
            fields=found.ask.missing,
            since=self._clock.now(),
        )
        if awaited.release_id in self._asked:
            await self._questions.close([asked.id])
        await self._questions.ask(asked)
        self._asked[awaited.release_id] = found.why
        log.warning("an announcement waits for a word", extra={"release": awaited.release_id, "reason": found.why})

    async def _forget(self, awaited: Awaited, *, why: str) -> None:
        self._asked.pop(awaited.release_id, None)
        await self._questions.close([_question(awaited.release_id)])
        await self._awaited.forget(awaited.release_id, why=why)


def _question(release_id: str) -> str:
    return f"{_QUESTION}{release_id}"
