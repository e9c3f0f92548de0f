"""Which pods an arm is by definition: the labels that choose them. Pure.

What chooses says more than who is there: two arms chosen by the same labels are the same pods also while there are none, and a
subset that was given other labels is another arm under an old name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.errors import VerdictdError
from daemon.meshes import destinationrule
from daemon.meshes.destinationrule import Labels, Subsets
from daemon.meshes.istiohosts import Destination
from daemon.meshes.uses import nearest

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """Which pods are an arm's by definition: those behind its host that carry the labels.

    Attributes:
        host: as ``istiohosts.normal`` gives it.
        labels: those of the subset; none: all pods.
        selector: by which the Service itself chooses, with its namespace; null when it does not, or was not asked.
    """

    host: str
    labels: frozenset[tuple[str, str]]
    selector: tuple[str, frozenset[tuple[str, str]]] | None = None

    def is_same(self, other: "Meaning") -> bool:
        """Whether both surely choose the same pods."""
        if self.host == other.host:
            return self.labels == other.labels
        return self.selector is not None and self.whole == other.whole

    def is_nested(self, other: "Meaning") -> bool:
        """Whether one of both chooses a part of what the other does."""
        mine, others = self.whole, other.whole
        if self.host == other.host:
            return self.labels < other.labels or other.labels < self.labels
        if mine is None or others is None or mine[0] != others[0]:
            return False
        return mine[1] < others[1] or others[1] < mine[1]

    def is_apart(self, other: "Meaning") -> bool:
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
class SubsetMeaning:
    """What an arm's subset means to the clients that are sent there.

    Attributes:
        labels: those of its pods; null when it is not known or there is no such subset.
        missing: that surely no client has such a subset, in words; else empty.
        unknown: why its labels are not known; else empty.
        note: clients that have no such subset, though others have.
    """

    labels: Labels | None = None
    missing: str = ""
    unknown: str = ""
    note: str = ""


def subset_meaning(arm: Destination, views: Mapping[str, Subsets]) -> SubsetMeaning:
    """What the arm's subset means, given what each namespace of clients goes by."""
    if arm.subset is None:
        return SubsetMeaning(labels={})
    having = {client: view.labels[arm.subset] for client, view in views.items() if arm.subset in view.labels}
    if having:
        if any(labels != next(iter(having.values())) for labels in having.values()):
            return SubsetMeaning(unknown=f"subset {arm.subset} means other pods to clients of {' and '.join(sorted(having))}")
        lacking = [client for client, view in views.items() if client not in having and not view.unread]
        note = f"clients of {', '.join(lacking)} have no subset {arm.subset} of {arm.host}" if lacking else ""
        return SubsetMeaning(labels=next(iter(having.values())), note=note)
    for view in views.values():
        if view.unread:
            return SubsetMeaning(unknown=view.unread)
        if arm.subset in view.partly:
            return SubsetMeaning(unknown=f"subset {arm.subset} is only in a rule for some workloads (workloadSelector)")
    return SubsetMeaning(missing=_no_subset(arm, views))


def looked_everywhere(arm: Destination, found: SubsetMeaning, rules: Sequence[Json] | VerdictdError) -> SubsetMeaning:
    """A subset that the clients we know of have not, given all rules of the cluster: a gateway's proxies, and sidecars that we
    know nothing of, may be where a rule has it."""
    if isinstance(rules, VerdictdError):
        return SubsetMeaning(unknown=f"{found.missing}; whether clients elsewhere have it could not be read: {rules}")
    having = destinationrule.defining(arm.subset or "", rules, host=arm.host)
    return SubsetMeaning(unknown=f"{found.missing}; clients elsewhere may, by {', '.join(having)}") if having else found


def _no_subset(arm: Destination, views: Mapping[str, Subsets]) -> str:
    rules = dict.fromkeys(rule for view in views.values() for rule in view.rules)
    if not rules:
        return f"no DestinationRule for {arm.host} defines subset {arm.subset}: there is none for it"
    known = {name for view in views.values() for name in view.labels}
    named = ", ".join(rules)
    return f"DestinationRule {named} for {arm.host} does not define subset {arm.subset} ({nearest(arm.subset or '', known)})"
