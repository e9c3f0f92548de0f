"""The one mutable place of the engine: which release is in which state now, and who is waiting for its verdict.

Everything else passes frozen sessions around and puts the new one here. Not shared between threads.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import assert_never, overload

from daemon.engine.feed import Changes, view
from daemon.engine.joining import is_by_pods
from daemon.engine.session import Session
from daemon.errors import Elsewhere, NotFound
from daemon.model import Action, Outline, Release, Stage, Verdict
from daemon.releaseview import ReleaseView


class Registry:
    """Running sessions, and the newest ended ones for readers."""

    def __init__(self, *, max_ended: int) -> None:
        self._running: dict[str, Session] = {}
        self._ended: OrderedDict[str, Session] = OrderedDict()
        self._max_ended = max_ended
        self._waiters: dict[str, list[asyncio.Future[Verdict]]] = {}
        self._followed: dict[str, asyncio.Event] = {}
        self._elsewhere: dict[str, Session] = {}
        self.changes = Changes(lambda: [*self._elsewhere.values(), *self._all()])

    def __len__(self) -> int:
        """Number of running sessions."""
        return len(self._running)

    def __contains__(self, release_id: str) -> bool:
        """Whether the release is running or among the ended ones still in memory."""
        return release_id in self._running or release_id in self._ended

    def get(self, release_id: str) -> Session:
        """The session, running or ended. Raises ``NotFound``."""
        session = self._running.get(release_id) or self._ended.get(release_id)
        if session is None:
            raise NotFound(f"no release {release_id!r}")
        return session

    def find_running(self, release_id: str) -> Session | None:
        """The session while it is running."""
        return self._running.get(release_id)

    def is_current(self, session: Session) -> bool:
        """Whether nobody has put a newer value in this one's place (a command while the judge was busy, say)."""
        return self._running.get(session.release_id) is session

    @property
    def elsewhere(self) -> Mapping[str, Session]:
        """Other replicas' releases, as they were last shown."""
        return self._elsewhere

    def show_elsewhere(self, sessions: Mapping[str, Session]) -> None:
        """These are other replicas' releases now, but for those that are here: who follows is told what has changed."""
        before, self._elsewhere = self._elsewhere, {name: one for name, one in sessions.items() if name not in self}
        for name in before.keys() - self._elsewhere.keys():
            if name not in self:
                self.changes.forget(name)
        for name, session in self._elsewhere.items():
            if name not in before or _shown(before[name]) != _shown(session):
                self.changes.tell(session)

    def put(self, session: Session) -> None:
        """Put a new value in the old one's place, tell who follows, and wake whoever waits for its verdict once that is settled."""
        if session.stage is Stage.ENDED:
            self._running.pop(session.release_id, None)
            self._ended[session.release_id] = session
            while len(self._ended) > self._max_ended:
                self.changes.forget(self._ended.popitem(last=False)[0])
        else:
            self._running[session.release_id] = session
        self._elsewhere.pop(session.release_id, None)
        self.changes.tell(session)
        if (changed := self._followed.get(session.release_id)) is not None:
            changed.set()
        if session.settled and session.verdict is not None:
            for waiter in self._waiters.pop(session.release_id, []):
                if not waiter.done():
                    waiter.set_result(session.verdict)

    @contextmanager
    def followed(self, release_id: str) -> Iterator[asyncio.Event]:
        """An event that is set with each new value of this session, for the one task that follows it."""
        changed = self._followed[release_id] = asyncio.Event()
        try:
            yield changed
        finally:
            if self._followed.get(release_id) is changed:
                del self._followed[release_id]

    def leave(self, release_id: str) -> Session | None:
        """Forget a running session that is another process's; whoever waits for its verdict here is told."""
        for waiter in self._waiters.pop(release_id, []):
            if not waiter.done():
                waiter.set_exception(Elsewhere(f"release {release_id} is another verdictd's by now; ask there"))
        self.changes.forget(release_id)
        return self._running.pop(release_id, None)

    def running(self) -> list[Session]:
        """All running sessions."""
        return list(self._running.values())

    def of_meshes(self, meshes: frozenset[str]) -> list[Session]:
        """Running sessions of these meshes."""
        return [s for s in self._running.values() if s.release.mesh in meshes]

    def sampled(self, meshes: frozenset[str]) -> list[Session]:
        """Sessions of these meshes whose counters are wanted."""
        return [s for s in self.of_meshes(meshes) if _counters_wanted(s)]

    def rivals(self, session: Session) -> list[Session]:
        """Running sessions of the same service, but for the watch after its promotion, or the one whose promotion it watches on.

        One by a route and one by pods are no rivals: neither is what becomes of the other.
        """
        of, by_pods = (session.release.namespace, session.release.service), is_by_pods(session.release)
        others = (s for s in self._running.values() if s.release_id != session.release_id and not _is_one_canary(s, session))
        return [s for s in others if (s.release.namespace, s.release.service) == of and is_by_pods(s.release) is by_pods]

    def of_service(self, release: Release | Outline) -> list[Session]:
        """Sessions of the same service, running or ended and still in memory."""
        of = (release.namespace, release.service)
        return [s for s in self._all() if (s.release.namespace, s.release.service) == of]

    def views(self) -> Sequence[ReleaseView]:
        """Everything that is in memory now, newest first."""
        return _Views(sorted(self._all(), key=lambda s: (s.submitted_at, s.release_id), reverse=True))

    def _all(self) -> list[Session]:
        return [*self._ended.values(), *self._running.values()]

    async def wait(self, release_id: str, *, seconds: float) -> Verdict | None:
        """The verdict of a session in memory, waiting for it at most so long. Raises ``NotFound``."""
        session = self.get(release_id)
        if session.settled or seconds <= 0:
            return session.verdict if session.settled else None
        waiter: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(release_id, []).append(waiter)
        try:
            async with asyncio.timeout(seconds):
                return await waiter
        except TimeoutError:
            return None
        finally:
            waiting = self._waiters.get(release_id, [])
            if waiter in waiting:
                waiting.remove(waiter)


def _shown(session: Session) -> tuple[object, ...]:
    """What tells another state of a session, as far as it is seen from outside."""
    return session.stage, session.ticks, session.digest, len(session.marks), session.waiting_for, session.settled


def _is_one_canary(one: Session, other: Session) -> bool:
    """Whether one watches on after the other's promotion."""
    return (one.after is not None and one.after.of == other.release_id) or (
        other.after is not None and other.after.of == one.release_id
    )


def _counters_wanted(session: Session) -> bool:
    """From the start (so that the first tick of the watch has something to subtract from) to the end of the guard (so that the
    last canary response is seen); not while a verdict that took nothing back is being told."""
    match session.stage:
        case Stage.LOCATING | Stage.WATCHING | Stage.REVERTING | Stage.GUARDING:
            return True
        case Stage.PUBLISHING:
            return session.verdict is None or session.verdict.action is not Action.NONE
        case Stage.ENDED:
            return False
        case _:
            assert_never(session.stage)


class _Views(Sequence[ReleaseView]):
    """Views of sessions, each made when it is asked for: there may be thousands, of which a page is shown."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._sessions = sessions

    def __len__(self) -> int:
        return len(self._sessions)

    @overload
    def __getitem__(self, index: int) -> ReleaseView: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ReleaseView]: ...
    def __getitem__(self, index: int | slice) -> ReleaseView | Sequence[ReleaseView]:
        if isinstance(index, slice):
            return _Views(self._sessions[index])
        return view(self._sessions[index])
