"""Announcements that wait, and releases by pods that may be theirs: who announces a canary that is observed joins that release.

A release by pods is told of only once what it compares is there, so that an announcement waits no longer than for that.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from daemon.discovery.announced import fitting
from daemon.discovery.contests import Candidate
from daemon.discovery.images import image
from daemon.discovery.picture import UNUSED, Destination
from daemon.discovery.surroundings import Behind, Workload
from daemon.model import ArmSpec, Outline, Release
from daemon.ports.awaiting import Awaited
from daemon.ports.events import DeadLetters
from daemon.watcher.kept import RouteKey
from daemon.watcher.meeting import as_announced, is_about, notice_of
from daemon.watcher.notices import Answer
from daemon.watcher.patience import Patience
from daemon.watcher.updatenotices import UpdateNotice
from daemon.watcher.watchports import WatchPorts

_NO_ROUTE: Final = ""


class PodsAwaited:
    """Those of all clusters."""

    def __init__(self, ports: WatchPorts) -> None:
        self._awaited = ports.awaited
        self._patience = Patience(ports)
        self._letters = ports.letters
        self._tell = ports.tell
        self._told: set[str] = set()

    @property
    def namespaces(self) -> set[str]:
        """Where something is waited for."""
        return {one.outline.namespace for one in self._awaited.all()}

    def follow(self, changed: Callable[[], None]) -> None:
        """Hear of each that comes or goes."""
        self._awaited.follow(changed)

    def unfollow(self, changed: Callable[[], None]) -> None:
        """Hear no more."""
        self._awaited.unfollow(changed)

    def offer(self, key: RouteKey, release: Release, *, again: Callable[[], None]) -> None:
        """Tell all whose release this is, each once at a time. ``again``: called where one must be told again."""
        for one in self._awaited.all():
            if one.release_id not in self._told and fits(one.outline, release):
                self._told.add(one.release_id)
                self._tell(self._notice(key, one, release, again=again))

    def _notice(self, key: RouteKey, awaited: Awaited, release: Release, *, again: Callable[[], None]) -> "AwaitedPodsNotice":
        async def answered(answer: Answer) -> None:
            self._told.discard(awaited.release_id)
            if answer is Answer.AGAIN:
                again()

        return AwaitedPodsNotice(key, release, awaited, patience=self._patience, letters=self._letters, answered=answered)


class AwaitedPodsNotice(UpdateNotice):
    """``SentAnnouncement`` of a release by pods for which somebody's announcement has waited: it is answered with it."""

    def __init__(
        self,
        key: RouteKey,
        release: Release,
        awaited: Awaited,
        *,
        patience: Patience,
        letters: DeadLetters,
        answered: Callable[[Answer], Awaitable[None]],
    ) -> None:
        said = as_announced(release, awaited.outline)
        policy = awaited.outline.policy or release.policy
        super().__init__(
            key,
            msgspec.structs.replace(said, policy=policy),
            release_id=awaited.release_id,
            announced_at=awaited.since,
            letters=letters,
            answered=answered,
        )
        self._awaited = awaited
        self._patience = patience

    @property
    def sender(self) -> str:
        """Whoever has announced it."""
        return self._awaited.sender

    async def accept(self) -> None:
        """It is kept safe, and waits no more."""
        await self._patience.found(self._awaited)
        await super().accept()

    async def reject(self, reason: str) -> None:
        """It comes to nothing, and is kept with the reason as it was announced."""
        await self._patience.refused(self._awaited, reason=reason)
        await self._answered(Answer.REFUSED)


def fits(outline: Outline, release: Release) -> bool:
    """Whether an announcement is of a release by pods: by the arms that it names, else by what only the canary runs.

    One that names only the service means whatever is new of it, as it does where there is a route.
    """
    named = {name.lower() for name in (release.service, release.baseline.workload, release.canary.workload) if name}
    if outline.namespace != release.namespace or outline.service.lower() not in named:
        return False
    if not is_about(outline, mesh=release.mesh or "", route=_NO_ROUTE):
        return False
    arms = ((outline.baseline, release.baseline), (outline.canary, release.canary))
    if any(said is not None and not _is(said, arm) for said, arm in arms):
        return False
    notice = notice_of(outline)
    if notice.is_whatever or (outline.canary is not None and outline.canary.workload is not None):
        return True
    candidates = [_candidate("baseline", release, ""), _candidate("canary", release, release.artifact or "")]
    return fitting(notice, candidates).only is candidates[1]


def _is(said: ArmSpec, arm: ArmSpec) -> bool:
    """Whether all that is said of an arm is so of another; what only a route has is not."""
    if said.subset is not None or said.service is not None:
        return False
    return said.workload in {None, arm.workload} and all(arm.labels.get(key) == value for key, value in said.labels.items())


def _candidate(name: str, release: Release, runs: str) -> Candidate:
    images = (image(runs),) if runs else ()
    there = Workload(kind="Deployment", namespace=release.namespace, name=name, images=images)
    to = Destination(namespace=release.namespace, host=name, service=name)
    return Candidate(destination=to, use=UNUSED, behind=Behind(workloads=(there,)))
