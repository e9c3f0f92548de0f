"""Those who want much the same of one server go to it in companies: few at a time, and each in step.

A thousand releases that are located after a restart, or looked at every ten seconds, each ask a handful of questions, one after the
other. What neighbours ask in the same turn of the event loop is one question (``daemon.aio.singleflight``), so it pays to let
neighbours begin together, and to let others wait meanwhile: the longer the line, the larger are the companies, and the fewer the
questions. Who comes when there is no line goes at once.

A company that is kept waiting by its server has its place for a moment only: then the next one goes beside it.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class _Company:
    """Who began together. ``place``: gives its place up in time; null once it has."""

    members: int
    place: asyncio.TimerHandle | None = None


class Companies:
    """The line for one server.

    Args:
        at_once: companies that have a place at the same time.
        least: a company is filled up with further groups until it has so many members.
        most: so many it has at most; the others of their group go to the end of the line.
        place_seconds: how long a company keeps others waiting.
    """

    def __init__(self, *, at_once: int = 2, least: int = 16, most: int = 100, place_seconds: float = 1.0) -> None:
        self._free = at_once
        self._least = least
        self._most = most
        self._place_seconds = place_seconds
        self._line: dict[Hashable, list[asyncio.Future[_Company]]] = {}

    @asynccontextmanager
    async def joined(self, group: Hashable) -> AsyncIterator[None]:
        """Wait in the line; the body runs together with those of the others of this group who wait as well."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[_Company] = loop.create_future()
        self._line.setdefault(group, []).append(waiting)
        loop.call_soon(self._begin)
        try:
            await waiting
            yield
        finally:
            if waiting.done() and not waiting.cancelled():
                self._leave(waiting.result())

    def _begin(self) -> None:
        while self._free and (members := self._next()):
            self._free -= 1
            company = _Company(members=len(members))
            company.place = asyncio.get_running_loop().call_later(self._place_seconds, self._give_up, company)
            for waiting in members:
                waiting.set_result(company)

    def _next(self) -> list[asyncio.Future[_Company]]:
        """Whole groups in the order of their first members, as long as there is need and room."""
        members: list[asyncio.Future[_Company]] = []
        while self._line and len(members) < self._least:
            group = next(iter(self._line))
            waiting = [one for one in self._line.pop(group) if not one.done()]
            room = self._most - len(members)
            members += waiting[:room]
            if left := waiting[room:]:
                self._line[group] = left  # behind the others, who would wait for ever where a large one keeps coming back
        return members

    def _leave(self, company: _Company) -> None:
        company.members -= 1
        if not company.members:
            self._give_up(company)

    def _give_up(self, company: _Company) -> None:
        if company.place is not None:
            company.place.cancel()
            company.place = None
            self._free += 1
            self._begin()
