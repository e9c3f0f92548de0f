"""What readers see of sessions: a view of one, and the changes of all for whoever follows.

Who follows is never waited for. Of each release only the newest state waits to be read, and of at most so many releases as the
reader has said: then the oldest is given up and counted, and the reader told. A view is made when it is read, so that a change
costs next to nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager

import msgspec

from daemon.engine.hindrances import hindrances
from daemon.engine.session import Session
from daemon.errors import Refused
from daemon.model import Stage
from daemon.ports.service import ReleaseChange
from daemon.releaseview import ReleaseView

MOST_SUBSCRIBERS = 64


class Changes:
    """``Feed`` of the sessions that it is told of. ``sessions`` are those in memory now."""

    def __init__(self, sessions: Callable[[], Iterable[Session]] = tuple) -> None:
        self._sessions = sessions
        self._number = 0
        self._numbers: dict[str, int] = {}
        self._subscribers: set[_Subscriber] = set()
        self._closed = False

    @property
    def is_followed(self) -> bool:
        """Whether anybody follows."""
        return bool(self._subscribers)

    def tell(self, session: Session) -> None:
        """This is the release's state now."""
        self._number += 1
        self._numbers[session.release_id] = self._number
        for subscriber in self._subscribers:
            subscriber.put(self._number, session)

    def forget(self, release_id: str) -> None:
        """It is not in memory any more."""
        self._numbers.pop(release_id, None)

    @contextmanager
    def subscribe(
        self, *, limit: int, after: int | None = None, release_id: str | None = None
    ) -> Iterator[AsyncIterator[ReleaseChange]]:
        """Follow; see ``ports.service.Feed``."""
        if limit < 1:
            raise ValueError(f"a limit of {limit} changes: 1 or more are needed")
        if len(self._subscribers) >= MOST_SUBSCRIBERS:
            raise Refused(f"{MOST_SUBSCRIBERS} follow the releases already; try again later")
        subscriber = _Subscriber(limit, release_id)
        if after is not None:
            self._catch_up(subscriber, after)
        if self._closed:
            subscriber.close()
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    def _catch_up(self, subscriber: "_Subscriber", after: int) -> None:
        numbered = [(self._numbers.get(one.release_id, 0), one) for one in self._sessions()]
        for number, session in sorted((one for one in numbered if one[0] > after), key=lambda one: one[0]):
            subscriber.put(number, session)

    def close(self) -> None:
        """Nothing changes any more: who follows reads what waits, and is done."""
        self._closed = True
        for subscriber in self._subscribers:
            subscriber.close()


class _Subscriber:
    """What waits for one reader, the oldest change first; of one release alone where it is named."""

    def __init__(self, limit: int, release_id: str | None) -> None:
        self._limit = limit
        self._of = release_id
        self._waiting: dict[str, tuple[int, Session]] = {}
        self._missed = 0
        self._closed = False
        self._wake = asyncio.Event()

    def put(self, number: int, session: Session) -> None:
        if self._of not in {None, session.release_id}:
            return
        self._waiting.pop(session.release_id, None)
        if len(self._waiting) >= self._limit:
            del self._waiting[next(iter(self._waiting))]
            self._missed += 1
        self._waiting[session.release_id] = (number, session)
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._wake.set()

    def __aiter__(self) -> AsyncIterator[ReleaseChange]:
        return self

    async def __anext__(self) -> ReleaseChange:
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        number, session = self._waiting.pop(next(iter(self._waiting)))
        missed, self._missed = self._missed, 0
        return ReleaseChange(number=number, release=view(session), missed=missed)


def view(session: Session) -> ReleaseView:
    """What the API shows of a session, beside others."""
    return ReleaseView(
        id=session.release_id,
        release=session.release,
        stage=session.stage,
        submitted_at=session.submitted_at,
        ticks=session.ticks,
        seconds=session.t,
        window_seconds=session.window_seconds,
        after=None if session.after is None else session.after.of,
        evidence=session.evidence,
        boundary=session.boundary,
        waiting_for=session.waiting_for,
        canary_requests=session.canary_requests,
        baseline_requests=session.baseline_requests,
        gaps=session.gaps,
        owner=session.owner,
        on_promote=session.policy.on_promote,
        waits_until=session.waits_until,
        returns=session.returns if session.decision is None else "",
        fallback=session.fallback if session.decision is None else "",
        signals=session.signals if session.decision is None else (),
        cadence=session.cadence if session.decision is None else None,
        hindrances=tuple(hindrances(session).values()) if session.stage is Stage.WATCHING else (),
        unresolved=() if session.decision is not None else session.unresolved,
        verdict=session.verdict if session.settled else None,
    )


def whole_view(session: Session) -> ReleaseView:
    """What the API shows of a session that is asked for by itself: its steps too."""
    return msgspec.structs.replace(view(session), steps=session.marks)
