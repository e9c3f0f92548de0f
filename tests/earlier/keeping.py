"""A daemon's stores in the middle of its work, a release in each stage: made by running it, so that the bytes are its own.

``python -m tests.earlier`` writes them into a file, once for each form of what is kept; the tests read the files of all forms.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from analyzers.counts import Signal
from config.policy import Failures
from config.settings import Limits
from daemon.errors import Unavailable
from daemon.measurements import Cadence, Reading, Watch
from daemon.model import GitHubDeployment, GitHubRule, GitLabCommit, Release, Verdict
from daemon.placement import ObjectName, PatchedObject, PatchReceipt, PlannedObject, RouteChange, Undo, ValueChange
from tests.hand.ports import HandRouter, HandTelemetry, MemorySink, Scene, killed, running, until
from tests.hand.samples import POLICY, RELEASE, failing, gap, healthy

SERVICES = ("locating", "better", "worse", "reverting", "publishing", "guarding", "ended")
"""A release of each, named for the stage it is caught in; ``better`` and ``worse`` are being watched. ``ended`` was promoted, and
is watched on by a release of its own."""
_BAD = frozenset({"worse", "reverting", "guarding"})
_CAUGHT = {"locating": "locating", "better": "watching", "worse": "watching", "ended": "watching"} | {
    stage: stage for stage in ("reverting", "publishing", "guarding")
}
_CADENCE = Cadence(spacing_seconds=15.0, late_seconds=2.0, longest_seconds=300.0)
# The clock of these tests runs with whoever sleeps: no watch may end for its window.
_SIGNALS = (Signal(kind="not_ready", about="baseline", effect="says", words="1 of 3 pods of the baseline are not ready"),)
_ROUTE = ObjectName(kind="Route", name="route")
_UNDO = Undo(
    object=_ROUTE,
    values=(ValueChange(path="/spec/routes/0/weight", before="10", after="0", around="0123456789abcdef"),),
    resource="routes.mesh.example",
)
_POLICY = msgspec.structs.replace(POLICY, window_seconds=86_400.0, failures=Failures(not_status=(501,), flags=("UT",)))
_ON = msgspec.structs.replace(_POLICY, after="24h")


def release(service: str) -> Release:
    """The release of one service."""
    policy = "on" if service == "ended" else "default"
    github = GitHubDeployment(repository="acme/shop", deployment=42)
    gitlab = GitLabCommit(project="acme/shop", commit="a" * 40)
    rule = GitHubRule(repository="acme/shop", run=77, environment="production")
    return msgspec.structs.replace(
        RELEASE,
        service=service,
        policy=policy,
        revision="main@sha1:4f2a",
        initiated_by="ana",
        callback="https://ci.example/",
        github=github,
        gitlab=gitlab,
        github_rule=rule,
    )


def release_id(service: str) -> str:
    """Its id."""
    return f"{service}-1"


class ManyTelemetry(HandTelemetry):
    """Each service has its own readings. Those of ``better`` and ``worse`` say little while the world ``ails``, then nothing.

    A canary that is watched on after its promotion says nothing while the world ``ails``, and fails then.
    """

    def __init__(self, *, ails: bool) -> None:
        super().__init__()
        self.ails = ails
        self.left = dict.fromkeys(("better", "worse"), 4)

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        readings = {one.release_id: self._lone() if one.alone else self._reading(one.release.service) for one in watches}
        return {key: msgspec.structs.replace(one, signals=_SIGNALS, cadence=_CADENCE) for key, one in readings.items()}

    def _lone(self) -> Reading:
        return gap() if self.ails else failing()

    def _reading(self, service: str) -> Reading:
        if not self.ails or service not in self.left:
            return failing() if service in _BAD else healthy()
        self.left[service] -= 1
        if self.left[service] < 0:
            return gap()
        return failing(1) if service in _BAD else healthy()


@dataclass
class ManyRouter(HandRouter):
    """A route for each service; some cannot be found or changed while the mesh ``ails``."""

    ails: bool = True
    patched: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    async def locate(self, release: Release) -> Any:
        if self.ails and release.service == "locating":
            raise Unavailable("the mesh does not answer")
        return await super().locate(release)

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        if self.ails and release.service == "reverting":
            await asyncio.Event().wait()
        if release.service in self.patched:
            return PatchReceipt(nothing="nothing is left", sent_at=1.0, acknowledged_at=2.0)
        self.patched[release.service] = 1
        changes = (RouteChange(detail="canary 10 -> 0"),)
        part = PatchedObject(object=_ROUTE, changes=changes, sent_at=1.0, acknowledged_at=2.0, undo=_UNDO)
        return PatchReceipt(parts=(part,), sent_at=1.0, acknowledged_at=2.0)

    async def plan(self, release: Release, *, located: str = "") -> tuple[PlannedObject, ...]:
        left = release.service not in self.patched
        return (PlannedObject(object=_ROUTE, values=_UNDO.values, resource=_UNDO.resource),) if left else ()

    async def plan_restore(self, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
        return tuple(PlannedObject(object=one.object, values=one.values) for one in undos)

    async def restore(self, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
        raise NotImplementedError

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        return None if release.service in self.patched else "the route"


class ManySink(MemorySink):
    """Takes every verdict but one, while it ``ails``."""

    ails = True

    async def publish(self, verdict: Verdict) -> None:
        if self.ails and verdict.service == "publishing":
            raise Unavailable("the broker does not answer")
        await super().publish(verdict)


def scene(*, ails: bool) -> Scene:
    """The ports; with ``ails`` in a state in which releases stay in every stage."""
    limits = Limits(guard_seconds=1e9 if ails else 5.0, locate_seconds=1e9)
    made = Scene(telemetry=ManyTelemetry(ails=ails), limits=limits, policies={"default": _POLICY, "on": _ON})
    made.router, made.sink = ManyRouter(ails=ails), ManySink()
    made.sink.ails = ails
    return made


async def kept() -> dict[str, Any]:
    """What is in the stores when a daemon is killed in the middle of its work, and the verdicts that it comes to afterwards."""
    world = scene(ails=True)
    async with killed(world) as engine:
        for service in SERVICES:
            await engine.submit(release(service), release_id=release_id(service))
        await until(lambda: _stages(world.sessions.data) == _CAUGHT)
    sessions, records, told = dict(world.sessions.data), dict(world.records.data), list(world.sink.verdicts)
    after = scene(ails=False)
    after.clock, after.sessions, after.records, after.sink.verdicts = world.clock, world.sessions, world.records, [*told]
    at = world.clock.time
    async with running(after):
        await until(lambda: not after.sessions.data)
    verdicts = {one.release_id: one for one in after.sink.verdicts}
    assert len(verdicts) == len(after.sink.verdicts) == len(SERVICES) + 1, "and that of the one that is watched on"
    return {
        "at": at,
        "sessions": {key: msgspec.json.decode(value) for key, value in sorted(sessions.items())},
        "records": {key: msgspec.json.decode(value) for key, value in sorted(records.items())},
        "told": [msgspec.to_builtins(one) for one in told],
        "verdicts": {key: essence(one) for key, one in sorted(verdicts.items())},
    }


def essence(verdict: Verdict) -> dict[str, Any]:
    """What no version may decide otherwise of it; the words of a reason may change."""
    return {key: getattr(verdict, key) for key in ("outcome", "meaning", "action", "by", "leg")}


def _stages(sessions: Mapping[str, bytes]) -> dict[str, str]:
    documents = (msgspec.json.decode(value)["session"] for value in sessions.values())
    return {one["release"]["service"]: one["stage"] for one in documents if one["ticks"] or one["stage"] == "locating"}
