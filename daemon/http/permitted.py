"""The engine's ports as callers have them: nothing gets through that who calls may not do, or may not name.

It stands before the engine, not in each endpoint, so that no endpoint can forget it. Whoever says nothing of who it is stands in
the records by the name of its token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from daemon.http.callers import CALLING, said_by
from daemon.interventions import Command, Freeze
from daemon.model import Outline, Release
from daemon.ports.events import EventLog, IncomingEvent
from daemon.ports.service import FreezeService, ReleaseService
from daemon.releaseview import ReleaseView


@dataclass(frozen=True, slots=True)
class PermittedReleases:
    """Implements ``ReleaseService``."""

    inner: ReleaseService

    async def submit(
        self, release: Release | Outline, *, release_id: str, sender: str = "", announced_at: float | None = None
    ) -> ReleaseView:
        """As the engine does. Raises ``NotAllowed`` where who calls may not announce, or may not name what the release names."""
        _check_release(release)
        return await self.inner.submit(release, release_id=release_id, sender=sender, announced_at=announced_at)

    async def attempt(self, release: Release, *, release_id: str, sender: str, silence_seconds: float) -> ReleaseView:
        """As ``submit``."""
        _check_release(release)
        return await self.inner.attempt(release, release_id=release_id, sender=sender, silence_seconds=silence_seconds)

    async def command(self, release_id: str, command: Command) -> ReleaseView:
        """As the engine does. Raises ``NotAllowed`` where who calls may not command, or not in the release's namespace."""
        caller = CALLING.get()
        caller.check_scope("command")
        caller.check_namespace((await self.inner.view(release_id)).release.namespace)
        return await self.inner.command(release_id, replace(command, by=said_by(command.by)))

    def views(self) -> Sequence[ReleaseView]:
        """As the engine does."""
        return self.inner.views()

    async def all_views(self) -> Sequence[ReleaseView]:
        """As the engine does."""
        return await self.inner.all_views()

    async def view(self, release_id: str) -> ReleaseView:
        """As the engine does."""
        return await self.inner.view(release_id)


@dataclass(frozen=True, slots=True)
class PermittedFreezes:
    """Implements ``FreezeService``."""

    inner: FreezeService

    @property
    def freezes(self) -> Sequence[Freeze]:
        """As the engine does."""
        return self.inner.freezes

    async def freeze(self, freeze: Freeze) -> None:
        """As the engine does. Raises ``NotAllowed``."""
        _check_freezing(freeze.namespace)
        await self.inner.freeze(freeze)

    async def thaw(self, namespace: str | None, *, by: str, reason: str) -> Freeze:
        """As the engine does. Raises ``NotAllowed``."""
        _check_freezing(namespace)
        return await self.inner.thaw(namespace, by=said_by(by), reason=reason)


@dataclass(frozen=True, slots=True)
class PermittedEvents:
    """Implements ``EventLog``."""

    inner: EventLog

    async def keep(self, event: IncomingEvent) -> bool:
        """As the stream does. Raises ``NotAllowed`` where who calls may not announce, or may not name what the release names."""
        _check_release(event.release)
        return await self.inner.keep(event)


def _check_release(release: Release | Outline) -> None:
    caller = CALLING.get()
    caller.check_scope("submit")
    caller.check_namespace(release.namespace)
    caller.check_policy(release.policy or "default")


def _check_freezing(namespace: str | None) -> None:
    caller = CALLING.get()
    caller.check_scope("freeze")
    caller.check_namespace(namespace)
