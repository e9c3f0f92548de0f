"""The questions that somebody must answer, whoever asks them: kept from when they are asked until they are answered or moot.

They are in a store and nowhere else, so that every daemon beside it and every restart shows the same ones. Who asks says
when a question is over, since only it knows what answers.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress

from daemon import stored
from daemon.aio.singleflight import SingleFlight
from daemon.errors import Conflict
from daemon.interventions import OpenQuestion
from daemon.ports.durable import Store

log = logging.getLogger(__name__)


class Questions:
    """Those of a cluster, in ``store``. Every method raises as the store does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._reading = SingleFlight(self._read)

    async def ask(self, question: OpenQuestion) -> None:
        """Keep it; returns when that is durable. One that is asked already stays as it is, since when it was asked first."""
        with suppress(Conflict):
            await self._store.put(question.id, stored.encode(question, carried={}), over=0)

    async def close(self, ids: Iterable[str]) -> None:
        """These are answered, or nobody needs the answer any more. No error where one was not asked."""
        for question_id in ids:
            await self._store.delete(question_id)

    async def open(self) -> list[OpenQuestion]:
        """Those that have no answer, the oldest first. What cannot be read is said, and left out.

        All are read for it, once for all who ask at the same time.
        """
        return await self._reading()

    async def _read(self) -> list[OpenQuestion]:
        found: list[OpenQuestion] = []
        for key, kept in await self._store.items():
            try:
                found.append(stored.decode(kept.value, OpenQuestion).value)
            except stored.Unreadable as error:
                log.warning("a question that was kept cannot be read", extra={"question": key, "reason": str(error)})
        return sorted(found, key=lambda one: (one.since, one.id))
