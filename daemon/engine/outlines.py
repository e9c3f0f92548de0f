"""Announcements whose arms nobody has said, in the engine: refused where nobody looks for arms, else kept until those are seen.

One that waits is shown as a release that is being located. What makes it one comes as an announcement with arms and the same id.
"""

from daemon import names
from daemon.engine import auditing
from daemon.engine.dependencies import Ports
from daemon.errors import InvalidInput, Refused
from daemon.events.hearing import SWITCH_ON
from daemon.interventions import Command
from daemon.model import ArmSpec, Outline, Release, Stage
from daemon.ports.awaiting import HOW_TO_ANSWER, Awaited, Over
from daemon.releaseview import ReleaseView


class Outlines:
    """Those that wait, behind ``ports.awaiting``."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def load(self) -> None:
        """Read them back. Raises ``TransientError``."""
        if self._ports.awaiting is not None:
            await self._ports.awaiting.load()

    async def keep(self, outline: Outline, *, release_id: str, sender: str, announced_at: float | None) -> ReleaseView:
        """Have it wait, once it is durable.

        Raises:
            InvalidInput: nobody finds arms here, or it names a cluster, mesh or policy that is not here.
            Refused: too many wait.
            TransientError: it may be kept or not.
        """
        awaiting = self._ports.awaiting
        if awaiting is None:
            raise InvalidInput("nothing here says which versions to compare", fix=SWITCH_ON)
        _check(outline, self._ports)
        since = self._ports.clock.now() if announced_at is None else announced_at
        return self._view(await awaiting.keep(outline, release_id=release_id, sender=sender, since=since))

    def find(self, release_id: str) -> ReleaseView | None:
        """One that waits."""
        awaited = None if self._ports.awaiting is None else self._ports.awaiting.find(release_id)
        return None if awaited is None else self._view(awaited)

    async def answered(self, release_id: str, *, seconds: float) -> None:
        """Returns when it waits no more, after so many seconds at the latest."""
        if self._ports.awaiting is not None:
            await self._ports.awaiting.answered(release_id, seconds=seconds)

    async def over(self, release_id: str) -> Over | None:
        """Why one that has waited came to nothing; null: none is known. Raises ``TransientError``."""
        return None if self._ports.awaiting is None else await self._ports.awaiting.over(release_id)

    async def command(self, release_id: str, command: Command) -> ReleaseView | None:
        """Cancel one that waits; null: none does. The audit has it before it is done.

        Raises ``Refused`` for another word, as there is nothing yet to be about, and as the audit does.
        """
        view = self.find(release_id)
        if view is None or self._ports.awaiting is None:
            return None
        if command.command != "cancel":
            raise Refused(f"release {release_id} waits for its canary: it can be cancelled only")
        entry = auditing.withdrawn(
            release_id,
            command,
            cluster=self._ports.cluster,
            namespace=view.release.namespace,
            service=view.release.service,
            at=self._ports.clock.now(),
        )
        await self._ports.audit.publish(entry)
        await self._ports.awaiting.forget(release_id, why=f"cancelled by {command.by}")
        return view

    def _view(self, awaited: Awaited) -> ReleaseView:
        outline = awaited.outline
        assert self._ports.awaiting is not None  # it was kept there
        said = self._ports.awaiting.said(awaited.release_id)
        missing = tuple(dict.fromkeys(field for one in said for field in one.missing))
        why = "; ".join(f"{one.route}: {one.why}" for one in said)
        waiting_for = f"a {outline.named} to take traffic{f' ({why})' if why else ''}"
        return ReleaseView(
            id=awaited.release_id,
            release=outlined(outline),
            stage=Stage.LOCATING,
            submitted_at=awaited.since,
            waiting_for=f"{waiting_for}; {HOW_TO_ANSWER}" if missing else waiting_for,
            lapses_at=awaited.until,
            missing=missing,
        )


def outlined(outline: Outline) -> Release:
    """What is shown of it: arms that were not said name nothing."""
    said = {name: getattr(outline, name) for name in outline.__struct_fields__ if name not in {"version", "images"}}
    arms = {"baseline": outline.baseline or ArmSpec(), "canary": outline.canary or ArmSpec()}
    return Release(**said | arms | {"policy": outline.policy or "default", "artifact": outline.artifact or outline.version})


def _check(outline: Outline, ports: Ports) -> None:
    if outline.cluster not in {None, ports.cluster}:
        wrong = f"this daemon watches cluster {ports.cluster!r}, not {outline.cluster!r}"
        fix = "leave it out, send the event to that cluster's daemon, or map its environment (mapping in the settings)"
        raise InvalidInput(wrong, path="$.cluster", fix=fix)
    if outline.mesh is not None:
        names.mesh(outline.mesh, configured=ports.meshes)
    if outline.policy is not None and outline.policy not in ports.policies:
        fix = f"use one of: {', '.join(sorted(ports.policies))}"
        raise InvalidInput(f"no policy {outline.policy!r}", path="$.policy", fix=fix)
