"""Which release an announcement means: a canary has one, whoever announces it. Pure.

Several may announce the same canary, each in words of his own: whoever watches the cluster, a pipeline's hook, a controller's
question at a gate. The first begins the watch, and the others join it. One sender's next attempt is another one: who knows his
attempts apart is believed. What is known on one side only contradicts nothing, and what contradicts is another canary, which
supersedes. In doubt it is another one: that costs a watch begun anew, and the other mistake a verdict that is about something else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import msgspec

from daemon.armpods import ArmPods, PodsByArm
from daemon.engine import artifacts
from daemon.engine.session import Session
from daemon.errors import InvalidInput
from daemon.model import ArmSpec, Outcome, Release, Stage

LATE_SECONDS: Final = 600.0
"""So long after its decision a release is still what somebody may mean who speaks of its canary only now."""
UNSAID: Final = Release(service="", baseline=ArmSpec(), canary=ArmSpec())
"""What stands in a release of which nothing more was said."""
_HOW_WATCHED: Final = ("strategy", "protocol", "route")
_ADDED: Final = ("artifact", "revision", "initiated_by", "callback", "github", "gitlab", "github_rule")
"""What one that joins adds, where nobody but Git's tool has said it; beside the policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """An announcement that has no release yet. ``announced_at``: in seconds since 1970; null for now."""

    release: Release
    release_id: str
    sender: str
    announced_at: float | None = None


class Arms(Enum):
    """What two releases' words say of their arms."""

    SAME = auto()
    OTHERS = auto()
    UNTOLD = auto()


def is_by_pods(release: Release) -> bool:
    """Whether its arms are pods that no route tells apart: beside it a route of its service may have a canary of its own."""
    return release.strategy == "pods"


def candidates(newcomer: Newcomer, sessions: Iterable[Session], *, now: float) -> list[tuple[Session, Arms]]:
    """The releases that may be meant, the likeliest first, and what the arms' words say: not ``OTHERS``. None: another canary.

    Each is the newest one by a route, or by pods: what came before that is over, whatever it was about.

    Args:
        sessions: those of the newcomer's service, running or ended, as they came in.
        now: in seconds since 1970.
    """
    # Of one moment the later one in is the newer.
    announced = (session for session in sessions if session.after is None)  # nobody announces a watch after a promotion
    in_order = sorted(enumerate(announced), key=lambda one: (one[1].age, one[0]), reverse=True)
    newest_first = [session for _, session in in_order]
    for session in newest_first:
        if session.attempts.get(newcomer.sender) == newcomer.release_id:
            return [(session, Arms.SAME)]
    newest: dict[bool, Session] = {}
    for session in newest_first:
        newest.setdefault(is_by_pods(session.release), session)
    meant = (one for one in newest.values() if _may_be_meant(newcomer, one, now=now))
    found = [(one, compared(newcomer.release, one.release)) for one in meant]
    return sorted((one for one in found if one[1] is not Arms.OTHERS), key=lambda one: one[1] is not Arms.SAME)


def compared(one: Release, other: Release) -> Arms:
    """Both arms by what is said of them: what is known on one side only says nothing.

    Where a word of the one's canary is one of the other's baseline, words do not tell.
    """
    canaries, baselines = _in_common(one.canary, other.canary), _in_common(one.baseline, other.baseline)
    if canaries is None or baselines is None:
        return Arms.OTHERS
    tells_apart = canaries - _facts(one.baseline) - _facts(other.baseline)
    return Arms.SAME if tells_apart and not _crossed(one, other) and not _crossed(other, one) else Arms.UNTOLD


def same_pods(one: PodsByArm | None, other: PodsByArm | None) -> bool:
    """Whether the arms are the same pods, as far as both are known now: a pod of each arm is, and none is of the other arm."""
    if one is None or other is None:
        return False
    mine, theirs = (_names(one.baseline), _names(one.canary)), (_names(other.baseline), _names(other.canary))
    across = mine[0] & theirs[1] | mine[1] & theirs[0]
    return bool(mine[1] & theirs[1]) and not across


def together(session: Session, newcomer: Newcomer) -> Release:
    """The release with what the newcomer adds: it is observed only where both say so.

    Raises:
        InvalidInput: both name a policy, and not the same.
    """
    ours, theirs = session.release, newcomer.release
    unsaid, policy = UNSAID.policy, ours.policy
    if unsaid not in {ours.policy, theirs.policy} and ours.policy != theirs.policy:
        told = (
            f"{theirs.policy!r} is not {ours.policy!r}, under which release {session.release_id} of this canary is watched already"
        )
        raise InvalidInput(told, path="$.policy", fix="name the same policy wherever it is announced, or name it in one place only")
    if policy == unsaid:
        policy = theirs.policy
    at_git = session.found_at_git
    unsaid_here = [name for name in _ADDED if getattr(ours, name) is None or name in at_git]
    added = {name: said for name in unsaid_here if (said := getattr(theirs, name)) is not None}
    return msgspec.structs.replace(ours, policy=policy, observe=ours.observe and theirs.observe, **added)


def comes_second(session: Session, newcomer: Newcomer) -> bool:
    """Whether the newcomer's job is another than the one that the session's verdict will answer."""
    ours, theirs = session.release.github_rule, newcomer.release.github_rule
    is_open = session.stage in {Stage.LOCATING, Stage.WATCHING}
    return theirs is not None and theirs != ours and not (is_open and ours is None)


def _may_be_meant(newcomer: Newcomer, session: Session, *, now: float) -> bool:
    """All but the arms."""
    if session.superseded_by is not None or (session.decision is not None and session.decision.by == "superseded"):
        return False
    if newcomer.announced_at is not None and newcomer.announced_at < session.age[0] - LATE_SECONDS:
        return False
    new, old = newcomer.release, session.release
    if new.mesh not in {None, old.mesh} or any(getattr(new, name) not in _unless_said(old, name) for name in _HOW_WATCHED):
        return False
    same = _same_version(new, old)
    if same is False:
        return False
    known = newcomer.sender in session.attempts
    if session.decision is None:
        return same is True or not known
    is_fresh = now - session.decision.at <= LATE_SECONDS
    # Nobody is told to promote what may be another version; a canary that was taken back is not given a second chance by hearsay.
    return is_fresh and not known and (same is True or session.decision.outcome is Outcome.ROLLBACK)


def _unless_said(old: Release, name: str) -> tuple[object, object]:
    return getattr(old, name), getattr(UNSAID, name)


def _same_version(one: Release, other: Release) -> bool | None:
    """By the artifact, and by the canary's version; null where neither tells."""
    versions = (one.canary.version, other.canary.version)
    told = (artifacts.same(one.artifact, other.artifact), None if None in versions else versions[0] == versions[1])
    return False if False in told else (True in told or None)


def _facts(arm: ArmSpec) -> frozenset[tuple[str, str]]:
    """What is said of an arm; of a Service's full name, the Service."""
    named = {"workload": arm.workload, "version": arm.version, "subset": arm.subset, "service": _short(arm.service)}
    said = {**named, **{f"label {key}": value for key, value in arm.labels.items()}}
    return frozenset((key, value) for key, value in said.items() if value is not None)


def _crossed(one: Release, other: Release) -> bool:
    """Whether something that is said of the one's canary alone is said of the other's baseline alone."""
    mine, theirs = _facts(one.canary) - _facts(one.baseline), _facts(other.baseline) - _facts(other.canary)
    return bool(mine & theirs)


def _in_common(one: ArmSpec, other: ArmSpec) -> frozenset[tuple[str, str]] | None:
    """What both say alike; null where they contradict each other."""
    mine, theirs = _facts(one), _facts(other)
    both = {key for key, _ in mine} & {key for key, _ in theirs}
    alike = mine & theirs
    return alike if len(alike) == len(both) else None


def _short(service: str | None) -> str | None:
    """``web`` of ``web.shop.svc.cluster.local``."""
    return service if service is None or ".svc" not in service else service.partition(".")[0]


def _names(arm: ArmPods) -> frozenset[tuple[str, str]]:
    return frozenset((pod.namespace, pod.name) for pod in arm.pods or ())
