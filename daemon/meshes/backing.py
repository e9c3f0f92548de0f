"""Who stands behind an arm, and what follows for a revert. Pure; how it is found out is each mesh's own.

An arm is pods, not a name. What chooses them says more than who is there: two arms chosen by the same labels are the same pods
also while there are none, and a name that was given other labels is another arm. *Surely nobody* needs all of it read.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.kube.endpoints import Endpoint
from daemon.meshes.references import listed

_MANY = 2
"""From how many canaries for each pod of the baseline on it is remarked that these take over the load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSelector:
    """Which pods are an arm's by definition: those behind its host that carry the labels.

    Attributes:
        host: what the mesh sends requests to, in a form that can be compared.
        labels: those of its subset; none: all pods.
        selector: by which the Service itself chooses, with its namespace; null when it does not, or was not asked.
    """

    host: str
    labels: frozenset[tuple[str, str]]
    selector: tuple[str, frozenset[tuple[str, str]]] | None = None

    def is_same(self, other: "PodSelector") -> bool:
        """Whether both surely choose the same pods."""
        if self.host == other.host and self.labels == other.labels:
            return True
        return self.selector is not None and self.whole == other.whole

    def is_within(self, other: "PodSelector") -> bool:
        """Whether this surely chooses a part of what the other does."""
        mine, others = self.whole, other.whole
        if self.host == other.host:
            return other.labels < self.labels
        return mine is not None and others is not None and mine[0] == others[0] and others[1] < mine[1]

    def is_nested(self, other: "PodSelector") -> bool:
        """Whether one of both chooses a part of what the other does."""
        return self.is_within(other) or other.is_within(self)

    def is_apart(self, other: "PodSelector") -> bool:
        """Whether no pod can be of both, since they ask for different values of one label."""
        if self.host != other.host and (self.whole is None or other.whole is None or self.whole[0] != other.whole[0]):
            return False
        wanted = dict(self.chosen)
        return any(wanted.get(key, value) != value for key, value in other.chosen)

    @property
    def chosen(self) -> frozenset[tuple[str, str]]:
        """All labels that choose, as far as they are known."""
        return self.labels | (self.selector[1] if self.selector is not None else frozenset())

    @property
    def whole(self) -> tuple[str, frozenset[tuple[str, str]]] | None:
        """The namespace and all labels that choose, the Service's and the subset's; null when the Service's are not known."""
        return None if self.selector is None else (self.selector[0], self.chosen)

    def __str__(self) -> str:
        """``app=web, version=v2``."""
        return ", ".join(sorted(f"{key}={value}" for key, value in self.chosen)) or self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """Who stands behind an arm.

    Attributes:
        arm: as its mesh names it, for people.
        ready: endpoints that would be sent to; null when it is not known.
        endpoints: its pods (or addresses, where there are no pods), ready or not; null when they are not known.
        selector: which pods are its own by definition, as far as it is known.
        missing: that the subset or the Service surely is not there, in words; else empty.
        unknown: why it is not known; else empty.
        note: what else should be said of it.
    """

    arm: object
    ready: int | None = None
    endpoints: frozenset[str] | None = None
    selector: PodSelector | None = None
    missing: str = ""
    unknown: str = ""
    note: str = ""


def counted(arm: object, behind: Mapping[str, Endpoint], *, selector: PodSelector | None = None) -> Backing:
    """By endpoints, by their addresses. A pod counts once, however many addresses it has."""
    kept = [(one.pod or address, one.ready) for address, one in behind.items()]
    ready, names = {name for name, is_ready in kept if is_ready}, frozenset(name for name, _ in kept)
    return Backing(arm=arm, selector=selector, ready=len(ready), endpoints=names)


def harm(baseline: Backing, canary: Backing, *, convicted: PodSelector | None = None) -> str | None:
    """Why traffic must not be sent to the baseline, where that is sure. ``convicted``: what the canary was when located."""
    if baseline.missing:
        return f"{baseline.missing}; taking the traffic back would answer errors to all of it"
    if (same := same_pods(baseline, canary)) is not None and not _was_given_back(baseline, canary, convicted):
        return f"{same}: there is nothing to go back to"
    if baseline.selector is not None and convicted is not None and baseline.selector.is_same(convicted):
        return f"{baseline.arm} has come to mean the canary's pods since they were located: going back would give them everything"
    if baseline.ready == 0:
        behind = f"none of the {len(baseline.endpoints)} behind it is ready" if baseline.endpoints else "no pod is behind it"
        return f"the baseline has no ready endpoints ({behind}): taking the traffic back would answer errors to all of it"
    return None


def same_pods(baseline: Backing, canary: Backing) -> str | None:
    """That both arms are the same pods, where that is sure: by what chooses them, or because they are."""
    said = f"baseline ({baseline.arm}) and canary ({canary.arm}) are the same pods"
    one, other = baseline.selector, canary.selector
    if one is not None and other is not None and one.is_same(other):
        return f"{said} ({one})"
    # A whole service beside a part of it has the same pods for a moment, while the rest of it is not there.
    nested = one is not None and other is not None and one.is_nested(other)
    if baseline.endpoints and baseline.endpoints == canary.endpoints and not nested:
        return f"{said} ({listed(baseline.endpoints)})"
    return None


def _was_given_back(baseline: Backing, canary: Backing, convicted: PodSelector | None) -> bool:
    """Both arms choose the same pods, and none that was convicted: as a controller leaves them that undid the release first."""
    if baseline.selector is None or canary.selector is None or convicted is None:
        return False
    return baseline.selector.is_same(canary.selector) and baseline.selector.is_apart(convicted)


def account(baseline: Backing, canary: Backing) -> str:
    """What is known of who would serve, in a line."""
    if baseline.ready is None:
        told = f"how many endpoints the baseline has is not known: {baseline.unknown or baseline.missing}"
    else:
        told = f"{baseline.ready} ready endpoints"
        told += "" if canary.ready is None else f" (the canary has {canary.ready})"
        if baseline.ready and (canary.ready or 0) >= _MANY * baseline.ready:
            told += f": {baseline.ready} will have the load of {baseline.ready + (canary.ready or 0)}"
    return told + (f"; {baseline.note}" if baseline.note else "")
