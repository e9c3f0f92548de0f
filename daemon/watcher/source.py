"""A source of events that needs no sender: routes and Deployments are watched, and a release is announced where one opens."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial

from daemon.aio.clock import Clock
from daemon.aio.tasks import background
from daemon.errors import Defect, VerdictdError
from daemon.ports.durable import Store
from daemon.ports.events import Announcement, DeadLetters
from daemon.ports.sharing import Turn
from daemon.questions import Questions
from daemon.watcher.awaited import AwaitedCanaries
from daemon.watcher.kept import KeptRoutes
from daemon.watcher.lookout import Lookout, WatchedCluster
from daemon.watcher.updating import Updating
from daemon.watcher.watchports import WatchPorts


class RouteWatcher:
    """``EventSource`` on routes.

    Args:
        clusters: by their names in the settings.
        store: where routes are kept.
        updates: where rolling updates are kept.
        serving: where it is kept who served each Service.
        questions: where people look for what is asked.
        awaited: announcements that wait for their canaries.
        letters: where questions go.
        turn: in which the cluster is watched. Of several replicas one does, and what it has kept is read when another begins.
        random: gives numbers in [0, 1).
    """

    def __init__(
        self,
        clusters: Mapping[str, WatchedCluster],
        *,
        store: Store,
        updates: Store,
        serving: Store,
        questions: Questions,
        awaited: AwaitedCanaries,
        letters: DeadLetters,
        turn: Turn,
        clock: Clock,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._clusters = clusters
        self._store = store
        self._updates = updates
        self._serving = serving
        self._questions = questions
        self._awaited = awaited
        self._letters = letters
        self._turn = turn
        self._clock = clock
        self._random = random
        self._run: tuple[Lookout, Updating] | None = None

    @property
    def problem(self) -> str | None:
        """See ``ExaminedSource``."""
        return next((one.problem for one in self._run or () if one.problem), None)

    async def announcements(self) -> AsyncGenerator[Announcement, None]:
        """What is found, for ever; see ``EventSource``. Raises what makes it begin anew."""
        found: asyncio.Queue[Announcement | VerdictdError] = asyncio.Queue()
        async with background(_reported(partial(self._watch, found), found.put_nowait)):
            while True:
                one = await found.get()
                if isinstance(one, VerdictdError):
                    raise one
                yield one

    async def _watch(self, found: asyncio.Queue[Announcement | VerdictdError]) -> None:
        """In each turn, from what is kept then. What was found and is not taken yet when it ends is whoever's is next."""
        while True:
            await self._turn.begins()
            routes, updates = self._run = self._begun(found.put_nowait)
            try:
                async with background(routes.run(), updates.run()):
                    await self._turn.ends()
            finally:
                self._run = None
            while not found.empty():
                found.get_nowait()

    def _begun(self, tell: Callable[[Announcement], None]) -> tuple[Lookout, Updating]:
        kept = KeptRoutes(self._store)
        ports = WatchPorts(
            awaited=self._awaited,
            questions=self._questions,
            letters=self._letters,
            clock=self._clock,
            random=self._random,
            tell=tell,
        )
        routes = Lookout(self._clusters, kept=kept, ports=ports)
        return routes, Updating(self._clusters, store=self._updates, serving=self._serving, routes=kept, ports=ports)


async def _reported(run: Callable[[], Awaitable[None]], tell: Callable[[VerdictdError], None]) -> None:
    """Whatever ends it is told, and raised where the source is read: a task that fails would end whoever reads."""
    try:
        await run()
    except* VerdictdError as errors:
        tell(_first(errors))
    except* Exception as errors:  # noqa: BLE001 - told as a defect, with its cause
        defect = Defect("a defect of the watch of routes")
        defect.__cause__ = errors
        tell(defect)


def _first(errors: BaseExceptionGroup[VerdictdError]) -> VerdictdError:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
