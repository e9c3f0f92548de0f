"""How a release comes in: checked, made durable, and only then there for everybody else.

Until its first checkpoint is safe a release is in no registry: nobody can speak to it, supersede it or count on it. The work
belongs to the engine, not to who asked: a client that hangs up leaves a release that is watched all the same, and whoever
asks for the same id meanwhile waits for the same answer.
"""

import asyncio
import logging

from daemon.engine.admission import admit
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.lives import Lives
from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.engine.world import World
from daemon.errors import InvalidInput, Refused, Unavailable
from daemon.logs import release_bound
from daemon.model import Release

log = logging.getLogger(__name__)

_ACCEPT_SECONDS = 5.0


class Door:
    """One release enters at a time for each id. The work belongs to ``group``."""

    def __init__(
        self, world: World, *, registry: Registry, checkpoints: Checkpoints, lives: Lives, group: asyncio.TaskGroup
    ) -> None:
        self._world = world
        self._registry = registry
        self._checkpoints = checkpoints
        self._lives = lives
        self._group = group
        self._entering: dict[str, asyncio.Task[Exception | None]] = {}

    @property
    def tasks(self) -> list[asyncio.Task[Exception | None]]:
        """Who is entering now."""
        return list(self._entering.values())

    async def enter(self, release: Release, *, release_id: str) -> None:
        """Let the release in, unless it is in, or was. Raises as ``Desk.submit``, and ``Unavailable``."""
        task = self._entering.get(release_id)
        if task is None:
            task = self._group.create_task(self._outcome(release, release_id), name=f"entering {release_id}")
            self._entering[release_id] = task
            task.add_done_callback(lambda _: self._entering.pop(release_id))
        await asyncio.wait([task])
        if task.cancelled():
            raise Unavailable("the daemon is stopping; try again")
        if (error := task.result()) is not None:
            raise error

    async def _outcome(self, release: Release, release_id: str) -> Exception | None:
        """What ``_enter`` raised, as a value: in a group, an error that gets out ends everything."""
        with release_bound(release_id):
            try:
                await self._enter(release, release_id)
            except Exception as error:  # noqa: BLE001 - raised again for whoever asked
                return error
        return None

    async def _enter(self, release: Release, release_id: str) -> None:
        if await self._world.records.get(release_id) is not None:
            return
        running = len(self._registry) + len(self._entering) - 1
        session = admit(self._world, release, release_id=release_id, running=running)
        await self._keep(session)
        log.info("submitted", extra={"service": release.service, "namespace": release.namespace, "mesh": session.release.mesh})
        self._registry.put(session)
        self._lives.supersede_rivals(session)
        self._lives.begin(release_id)

    async def _keep(self, session: Session) -> None:
        try:
            async with asyncio.timeout(_ACCEPT_SECONDS):
                await self._checkpoints.saved(session)
        except TimeoutError as error:
            self._checkpoints.remove(session.release_id)
            raise Unavailable("the store did not take the release in time; nothing is being watched; try again") from error
        except Refused as error:
            raise InvalidInput(f"the release cannot be kept: {error}", fix="shorten it, or mend what the store says") from error
