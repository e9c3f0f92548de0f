"""By which labels the series of a release's two arms are known. Pure.

An arm is pods. Where they are known, the cheapest labels that tell the arms apart are looked for: names of workloads, then the
revisions that the mesh gives its pods, and only where these are shared the pods one by one; a subset's name is never a label of
anything. Where nobody could say which pods the arms are, the labels that the release itself, or its rule, names must do.

What is asked for may be more than what is known: arms that are told pod by pod are asked for by their workload, so that a query
has the same length for one pod and for a thousand.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import assert_never

import msgspec

from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.model import ArmSpec, Release
from daemon.telemetry.schema import ArmLabels, PodLabel, Selector, View

_SHOWN = 3
NO_POD = "no pod is behind it"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownArm:
    """One arm's series: each has the labels of one selector of ``series``, and is among what ``asked`` selects."""

    series: tuple[Selector, ...]
    asked: tuple[Selector, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownArms:
    """Both arms, told apart.

    Attributes:
        by: the labels that do it.
        note: for people, where it is not by pods: why.
    """

    baseline: KnownArm
    canary: KnownArm
    by: tuple[str, ...]
    note: str = ""


def identify(view: View, release: Release, pods: PodsByArm | None, *, dialect: str, alone: bool = False) -> KnownArms | str:
    """The labels by which the arms are known in this view, or why they cannot be told apart.

    Where the canary is counted ``alone`` the baseline may have no pod any more: then it has no series.
    """
    if pods is None or _named_outright(view.arms, release):
        return _by_name(view.arms, release, dialect=dialect, note=_guess(view.arms, release))
    unknown = [arm.unknown for arm in (pods.baseline, pods.canary) if arm.pods is None]
    if unknown:
        return _by_name(
            view.arms, _with_labels(release, pods), dialect=dialect, note=f"which pods the arms are is not known: {unknown[0]}"
        )
    if alone and not pods.baseline.pods:
        return _of_one(view.arms, pods.canary) or f"canary: {NO_POD} that has a label to be known by"
    return _by_pods(view.arms, pods, dialect=dialect)


def words(selector: Selector) -> str:
    """``destination_workload="web-v2"``, several joined by commas: as it stands in a query."""
    return ", ".join(f'{label}="{value}"' for label, value in selector)


def _named_outright(arms: ArmLabels, release: Release) -> bool:
    """Whether each arm names a workload of its own: what a person has written is taken as it is."""
    named = {arm.workload for arm in (release.baseline, release.canary) if arm.workload is not None}
    return len(named) == 2 and any(field == "workload" for field, _ in arms.whose)


def _guess(arms: ArmLabels, release: Release) -> str:
    """What had to be guessed of arms that name nothing but a subset; empty where nothing had."""
    guessed = [
        arm.subset
        for arm in (release.baseline, release.canary)
        if arm.subset is not None
        and "subset" in arms.instead
        and not named_selectors(arms, msgspec.structs.replace(arm, subset=None), release)
    ]
    if not guessed:
        return ""
    return f"nobody has said which pods subset {' and '.join(guessed)} stands for: its name is taken for that of a version"


def _by_name(arms: ArmLabels, release: Release, *, dialect: str, note: str = "") -> KnownArms | str:
    baseline, canary = (named_selectors(arms, arm, release) for arm in (release.baseline, release.canary))
    if not baseline or not canary:
        name = "canary" if baseline else "baseline"
        fields = ", ".join(field for field, _ in arms.whose)
        also = f" or the labels {', '.join(arms.pod_labels)}" if arms.pod_labels else ""
        return f"{name}: {dialect} telemetry knows arms by {fields}{also}; it names none" + (f" ({note})" if note else "")
    if not set(baseline).isdisjoint(canary):
        return f"{dialect} telemetry cannot tell the arms apart: both are {words(canary[0])}" + (f" ({note})" if note else "")
    return KnownArms(
        baseline=KnownArm(series=baseline, asked=baseline),
        canary=KnownArm(series=canary, asked=canary),
        by=_labels([*baseline, *canary]),
        note=note,
    )


def _with_labels(release: Release, pods: PodsByArm) -> Release:
    """The release as if its arms named the labels by which they are chosen."""

    def arm(spec: ArmSpec, chosen: ArmPods) -> ArmSpec:
        return msgspec.structs.replace(spec, labels={**chosen.labels, **spec.labels})

    return msgspec.structs.replace(release, baseline=arm(release.baseline, pods.baseline), canary=arm(release.canary, pods.canary))


def _by_pods(arms: ArmLabels, pods: PodsByArm, *, dialect: str) -> KnownArms | str:
    separate = _separate(pods)
    if isinstance(separate, str):
        return separate
    baseline, canary = separate
    for level in range(1, len(arms.pods) + 1):
        labels = arms.pods[level - 1 : level] if arms.pods[level - 1].alone else arms.pods[:level]
        one, other = (_pod_selectors(arms, labels, arm) for arm in (baseline, canary))
        if one and other and one.isdisjoint(other):
            coarse = arms.pods[:1] if arms.pods[level - 1].alone else labels
            return KnownArms(
                baseline=_known(one, _pod_selectors(arms, coarse, baseline)),
                canary=_known(other, _pod_selectors(arms, coarse, canary)),
                by=tuple(label.label for label in labels),
            )
    return _by_service(arms, pods) or _alike(arms, [*baseline, *canary], dialect=dialect)


def _separate(pods: PodsByArm) -> tuple[Sequence[ArmPod], Sequence[ArmPod]] | str:
    """The pods of each arm, those that are in both counted to the arm that is chosen more narrowly; or why that is none."""
    baseline, canary = ({(pod.namespace, pod.name): pod for pod in arm.pods or ()} for arm in (pods.baseline, pods.canary))
    for name, found, arm in (("baseline", baseline, pods.baseline), ("canary", canary, pods.canary)):
        if not found:
            chosen = ", ".join(f"{key}={value}" for key, value in sorted(arm.labels.items()))
            return f"{name}: {NO_POD}" + (f" ({chosen})" if chosen else "")
    both = baseline.keys() & canary.keys()
    if both and both in (baseline.keys(), canary.keys()) and baseline.keys() != canary.keys():
        wider = baseline if len(baseline) > len(canary) else canary
        for one in both:
            del wider[one]
    elif both:
        names = ", ".join(sorted(name for _, name in both)[:_SHOWN])
        return f"baseline and canary are the same pods ({names}): there is nothing to compare"
    return tuple(baseline.values()), tuple(canary.values())


def _of_one(arms: ArmLabels, canary: ArmPods) -> KnownArms | None:
    """The canary by the first labels that its pods have; null where they have none, or there are none."""
    for level in range(1, len(arms.pods) + 1):
        labels = arms.pods[level - 1 : level] if arms.pods[level - 1].alone else arms.pods[:level]
        if found := _pod_selectors(arms, labels, canary.pods or ()):
            nobody = KnownArm(series=(), asked=())
            return KnownArms(baseline=nobody, canary=_known(found, found), by=tuple(label.label for label in labels))
    return None


def _pod_selectors(arms: ArmLabels, labels: Sequence[PodLabel], pods: Iterable[ArmPod]) -> frozenset[Selector]:
    """What the series of these pods have in these labels; none where a pod has nothing to be known by."""
    found = set()
    for pod in pods:
        for values in product(*(_values(pod, label) for label in labels)):
            if not all(values):
                return frozenset()
            pairs = dict(zip((label.label for label in labels), values, strict=True))
            if arms.namespace is not None:
                pairs[arms.namespace] = pod.namespace
            found.add(tuple(sorted(pairs.items())))
    return frozenset(found)


def _values(pod: ArmPod, label: PodLabel) -> tuple[str, ...]:
    match label.fact:
        case "workload":
            return pod.workloads or ("",)
        case "revision":
            return (pod.revision,)
        case "version":
            return (pod.version,)
        case "pod":
            return (pod.name,)
        case _:
            assert_never(label.fact)


def _known(series: Iterable[Selector], asked: Iterable[Selector]) -> KnownArm:
    return KnownArm(series=tuple(sorted(series)), asked=tuple(sorted(asked)))


def _by_service(arms: ArmLabels, pods: PodsByArm) -> KnownArms | None:
    """By the Services that requests are sent to, where no other Service has an arm's pods."""
    one, other = pods.baseline, pods.canary
    if arms.service is None or not one.service or not other.service or one.service == other.service:
        return None

    def known(arm: ArmPods) -> KnownArm:
        found = set()
        for pod in arm.pods or ():
            pairs = {arms.service or "": arm.service, **({arms.namespace: pod.namespace} if arms.namespace else {})}
            found.add(tuple(sorted(pairs.items())))
        return _known(found, found)

    return KnownArms(baseline=known(one), canary=known(other), by=(arms.service,))


def _alike(arms: ArmLabels, pods: Sequence[ArmPod], *, dialect: str) -> str:
    """What the arms have in common, as far as this telemetry can see."""
    seen = "; ".join(
        f"{label.label} {', '.join(sorted({value or 'none' for pod in pods for value in _values(pod, label)})[:_SHOWN])}"
        for label in arms.pods
        if not label.alone
    )
    return f"{dialect} telemetry cannot tell the arms apart: their pods share {seen or 'all labels that it has'}"


def _labels(known: Iterable[Selector]) -> tuple[str, ...]:
    return tuple(sorted({label for selector in known for label, _ in selector}))


def named_selectors(arms: ArmLabels, arm: ArmSpec, release: Release) -> tuple[Selector, ...]:
    """The labels by which the arm's series are known, any of them; none when nothing that the arm names stands in this view."""
    either, named = next(((labels, name) for field, labels in arms.whose if (name := getattr(arm, field)) is not None), ((), ""))
    wanted = {label: arm.labels[key] for key, label in arms.pod_labels.items() if key in arm.labels}
    wanted |= _named(arms.also, arm)
    if not either and not wanted:
        wanted = _named(arms.instead, arm)
    if not either and not wanted:
        return ()
    if not either and arms.service is not None:
        wanted[arms.service] = release.service
    if arms.namespace is not None:
        wanted[arms.namespace] = release.namespace
    return tuple([tuple(sorted({label: named, **wanted}.items())) for label in either]) or (tuple(sorted(wanted.items())),)


def _named(fields: Mapping[str, str], arm: ArmSpec) -> dict[str, str]:
    return {label: value for name, label in fields.items() if (value := getattr(arm, name)) is not None}
