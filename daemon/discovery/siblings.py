"""A second workload behind one Service: a release without a route, where replicas share the traffic. Pure.

There is no weight to change, so that it can only be observed. Two workloads behind a Service are mostly something else: zones,
roles, two applications under one label. So only a change opens anything: a workload that was not there, or had no replicas, beside
one that served, and of the same image in another version.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from daemon.discovery.answers import Ask, Confidence, FoundArm, FoundArms, Sign
from daemon.discovery.naming import is_place, newer, speaks_of
from daemon.discovery.openings import Asks, Opens, Outcome, Quiet
from daemon.discovery.surroundings import TRACK_LABELS, Surroundings, Workload

_HASHES = frozenset({"pod-template-hash", "rollouts-pod-template-hash", "controller-revision-hash"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One that served and one that is new, and their share of the replicas."""

    old: Workload
    new: Workload
    differing: dict[str, set[str]] = field(default_factory=dict)


def outcome(before: Surroundings | None, after: Surroundings, *, namespace: str, service: str) -> Outcome:
    """What a change of the workloads behind a Service means.

    Args:
        before: as they were when they were last looked at; null: that is not known.
        after: as they are now.
        namespace, service: the Service.
    """
    there = _serving(after, namespace, service)
    if before is None:
        return Quiet(why="since when its workloads stand there was not seen")
    return beside(there, was={one.name for one in _serving(before, namespace, service)})


def beside(there: Sequence[Workload], *, was: Collection[str]) -> Outcome:
    """What it means that these workloads serve now. ``was``: the names of those that did before."""
    new = [one for one in there if one.name not in was]
    if not new:
        return Quiet(why="no workload has come")
    old = [one for one in there if one.name in was]
    if not old:
        return Quiet(why="there is no workload beside that served before")
    if len(there) > 2:
        if all(isinstance(_of_pair(one), Quiet) for one in _pairs(old, new)):
            return Quiet(why=f"{' and '.join(one.name for one in new)} came, and are no other version of what served")
        return Asks(ask=_ask(there, f"which of {' and '.join(one.name for one in there)} is the new one, and beside which?"))
    [pair] = _pairs(old, new)
    return _of_pair(pair)


def _pairs(old: Sequence[Workload], new: Sequence[Workload]) -> list[_Pair]:
    return [_Pair(old=one, new=other, differing=_differing(one, other)) for one in old for other in new]


def _of_pair(pair: _Pair) -> Outcome:
    old, new = pair.old, pair.new
    if any(is_place(key, values) for key, values in pair.differing.items()):
        return Quiet(why=f"{old.name} and {new.name} are told apart by place, not by version")
    mine, others = ({one.tail for one in workload.images} for workload in (new, old))
    if not mine & others:
        return Quiet(why=f"{new.name} runs another image than {old.name}: it is another application")
    if set(new.images) == set(old.images) and new.version == old.version:
        return Quiet(why=f"{new.name} runs the same image and version as {old.name}")
    words, versions = _said(pair, by=speaks_of), _said(pair, by=newer)
    if words < 0 or versions < 0:
        return Asks(ask=_ask([old, new], f"{new.name} came beside {old.name}, and by its names is the older one: is it a release?"))
    agreeing = [Sign.WORDS] * (words > 0) + [Sign.VERSIONS] * (versions > 0)
    total = old.replicas + new.replicas
    found = FoundArms(
        baseline=_arm(old, total),
        canary=_arm(new, total),
        confidence=Confidence.MEDIUM,
        by=(Sign.BEFORE, *agreeing),
        why=f"{new.name} came beside {old.name}, which served; no route tells them apart: their replicas share the traffic",
    )
    return Opens(found=found)


def _serving(around: Surroundings, namespace: str, service: str) -> list[Workload]:
    selector = around.services.get((namespace, service))
    return [one for one in around.carrying(selector, namespace=namespace) if one.replicas > 0] if selector else []


def _differing(one: Workload, other: Workload) -> dict[str, set[str]]:
    keys = (one.labels.keys() | other.labels.keys()) - _HASHES
    return {
        key: {one.labels.get(key, ""), other.labels.get(key, "")} for key in keys if one.labels.get(key) != other.labels.get(key)
    }


def _said(pair: _Pair, *, by: Callable[[str, str], int]) -> int:
    """What names say of the new one: 1 that it is the canary, -1 that it is not; 0 where they do not say, or disagree."""
    names = [(pair.new.name, pair.old.name), (pair.new.version, pair.old.version)]
    names += [(pair.new.labels.get(key, ""), pair.old.labels.get(key, "")) for key in TRACK_LABELS]
    found = {said for one, other in names if (said := by(one, other))}
    return found.pop() if len(found) == 1 else 0


def _arm(workload: Workload, total: int) -> FoundArm:
    percent = 100.0 * workload.replicas / total if total else 0.0
    return FoundArm(
        name=workload.name, labels=workload.labels, workloads=(workload.name,), version=workload.version, percent=percent
    )


def _ask(workloads: Sequence[Workload], why: str) -> Ask:
    total = sum(one.replicas for one in workloads)
    return Ask(candidates=tuple(_arm(one, total) for one in workloads), missing=("canary",), why=why)
