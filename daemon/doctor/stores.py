"""What a Prometheus has of a mesh, asked in few questions whose answers are bounded: services, labels, clock, control plane.

Nothing here waits for a second sample; what takes time is learnt by watching, release by release (``daemon.doctor.counting``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from daemon.aio.clock import Clock
from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.doctor.silence import unanswered
from daemon.errors import VerdictdError
from daemon.telemetry.prometheus.query import quoted
from daemon.telemetry.prometheus.source import PrometheusSource
from daemon.telemetry.schema import Schema, Selector, View
from daemon.telemetry.signs import ArmSigns, ControlPlane

MOST = 30
"""Services that are told."""
_CLOCK_SECONDS = 5.0
"""Two clocks that differ by more were never set by the same time."""
LOOK = "[1s:1s]"
"""Makes raw samples of a question's answer, the one form that the reader takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """One store, and how it is named.

    Attributes:
        source: asks it, as the daemon's own questions are asked.
        schema: what the mesh's series look like there.
        where: its place in the settings.
        build: the series by which the mesh's control plane says which it is; empty where it has none.
        stale_after_seconds: samples that are older are no information.
        control_plane, arm_signs: see ``MeshKind``.
        heeded: what signs that it does not do, by the settings.
        matchers: labels that all series have.
    """

    source: PrometheusSource
    schema: Schema
    where: str
    build: str
    stale_after_seconds: float
    control_plane: ControlPlane | None = None
    arm_signs: ArmSigns | None = None
    heeded: Literal["excuses", "says", "ignored"] = "excuses"
    matchers: Mapping[str, str] = field(default_factory=dict)


async def examine(store: Store, *, clock: Clock) -> list[Diagnosis]:
    """All of it; one that does not answer is told once."""
    try:
        found = [await _clock(store, clock)]
        if found[0].code is Code.CLOCK_SKEW:
            return found  # by such a clock nothing else can be said
        return [*found, *await _views(store, clock=clock)]
    except VerdictdError as error:
        return [unanswered(error, where=store.where)]


async def _clock(store: Store, clock: Clock) -> Diagnosis:
    """Our clock beside the server's, by which it dates what it scrapes."""
    before = clock.now()
    answer = await store.source.asked("vector(time())[2s:1s]")
    after = clock.now()
    if not answer:
        return Diagnosis(code=Code.CLOCK, where=store.where, found="the server does not tell its time")
    # Its steps are whole seconds: it is up to one second later there.
    ahead = answer[0][1] + 0.5 - (before + after) / 2.0
    sure = 0.5 + (after - before) / 2.0
    if abs(ahead) <= _CLOCK_SECONDS + sure:
        return Diagnosis(
            code=Code.CLOCK, where=store.where, found=f"our clock and the server's differ by {abs(ahead):.0f} s at most"
        )
    direction = "ahead of" if ahead > 0.0 else "behind"
    lost = abs(ahead) >= store.stale_after_seconds
    means = (
        "all its samples are taken for too old"
        if lost and ahead < 0.0
        else "samples seem to be late by that much, or to come early"
    )
    return Diagnosis(
        code=Code.CLOCK_SKEW if lost else Code.CLOCK_OFF,
        where=store.where,
        found=f"the server's clock is {abs(ahead):.0f} s {direction} ours: {means}",
        fix="let both machines follow one time (NTP, chrony); the daemon learns a small difference as lateness",
    )


async def _views(store: Store, *, clock: Clock) -> list[Diagnosis]:
    """The series of the mesh, in the first view that has any."""
    for view in store.schema.views:
        groups = await _services(store, view)
        if groups:
            labels = await _labels(store, view, groups[0][0])
            return [_there(store, view, groups), *await _age(store, view, clock), *labels, *await _latency(store, view)]
    return [await _nothing(store, store.schema.views[0])]


def _selector(view: View, more: Mapping[str, str] | None = None) -> str:
    matchers = dict(view.always) | dict(more or {})
    return (
        "{" + ",".join([f"__name__={quoted(view.requests)}", *(f"{key}={quoted(value)}" for key, value in matchers.items())]) + "}"
    )


def service_labels(view: View) -> list[str]:
    """By what services are told apart, for a person."""
    arms = view.arms
    service = arms.service or next((labels[0] for _, labels in arms.whose if labels), None)
    return [label for label in (arms.namespace, service) if label is not None]


Group = tuple[Mapping[str, str], float]
"""Labels of a service, and how many series it has."""


async def _services(store: Store, view: View) -> list[Group]:
    by = ",".join(service_labels(view))
    answer = await store.source.asked(f"topk({MOST},count by ({by}) ({_selector(view)})){LOOK}")
    return sorted(((labels, count) for labels, _, count in answer), key=lambda one: -one[1])


def _there(store: Store, view: View, groups: list[Group]) -> Diagnosis:
    names = ["/".join(labels.get(one, "none") for one in service_labels(view)) for labels, _ in groups]
    word = "service" if len(groups) == 1 else "services"
    more = f" (the {MOST} with the most series)" if len(groups) == MOST else ""
    lines = tuple(f"{name}: {count:.0f} series" for name, (_, count) in zip(names, groups, strict=True))
    said = f"{view.requests}{_words(view.always)}: {len(groups)} {word}{more}"
    return Diagnosis(code=Code.SERIES, where=store.where, found=said, more=lines)


async def _age(store: Store, view: View, clock: Clock) -> list[Diagnosis]:
    """Whether the newest sample is one that still counts."""
    answer = await store.source.asked(f"max(timestamp({_selector(view)})){LOOK}")
    age = clock.now() - max((value for _, _, value in answer), default=clock.now())
    if age <= store.stale_after_seconds:
        return []
    fix = (
        "mend the scrape, the remote write or the clocks; where samples are always so late, raise "
        f"{store.where}.stale_after_seconds (it is {store.stale_after_seconds:g})"
    )
    found = f"the newest sample of {view.requests} is {age:.0f} s old: none of them counts"
    return [Diagnosis(code=Code.STALE_DATA, where=store.where, found=found, fix=fix)]


async def _nothing(store: Store, view: View) -> Diagnosis:
    """There is no series of the mesh: what there is instead."""
    labels = [label for label, _ in view.always]
    others = []
    if labels:
        query = f"topk({MOST},count by ({','.join(labels)}) ({{__name__={quoted(view.requests)}}})){LOOK}"
        others = [_words(tuple((label, one.get(label, "")) for label in labels)) for one, _, _ in await store.source.asked(query)]
    said = f"there is no {view.requests}{_words(view.always)}"
    if others:
        fix = f"set {store.where}.reporter or matchers to what is there, or have the proxies' own pages scraped"
        return Diagnosis(code=Code.NO_SERIES, where=store.where, found=f"{said}; there is {', '.join(others)}", fix=fix)
    fix = (
        f"have {store.schema.name}'s proxies scraped by this server, or set {store.where}.dialect to the mesh whose proxies are, "
        f"or {store.where}.url to the server that does"
    )
    return Diagnosis(code=Code.NO_SERIES, where=store.where, found=f"{said} at all", fix=fix)


async def _labels(store: Store, view: View, group: Mapping[str, str]) -> list[Diagnosis]:
    """Which of the labels that we could read are there, in the service with the most series."""
    wanted = sorted({*view.arms.labels, store.schema.target.pod, store.schema.target.instance})
    where = _selector(view, {label: group[label] for label in service_labels(view) if label in group})
    each = (f'label_replace(count({where[:-1]},{label}!=""}}),"label",{quoted(label)},"","")' for label in wanted)
    there = {labels.get("label", "") for labels, _, _ in await store.source.asked(f"({' or '.join(each)}){LOOK}")}
    missing = [label for label in wanted if label not in there]
    name = "/".join(group.get(label, "none") for label in service_labels(view))
    said = f"{view.requests} of {name} has {', '.join(sorted(there)) or 'none of our labels'}"
    found = [
        Diagnosis(code=Code.LABELS, where=store.where, found=said, more=(f"not there: {', '.join(missing)}",) if missing else ())
    ]
    target = (store.schema.target.pod, store.schema.target.instance)
    if view.server_side and there.isdisjoint(target):
        said = f"{view.requests} of {name} has neither {' nor '.join(target)}: sums over pods cannot be counted"
        fix = f"keep one of them in your rules and relabelling; where they are called otherwise, say so in {store.where}.labels"
        found.append(Diagnosis(code=Code.SUMMED_COUNTERS, where=store.where, found=said, fix=fix))
    return found


async def _latency(store: Store, view: View) -> list[Diagnosis]:
    if view.latency is None:
        return []
    names = "|".join((f"{view.latency}_bucket", view.latency))
    if await store.source.asked(f"count({{__name__=~{quoted(names)}}}){LOOK}"):
        return []
    found = f"there is no histogram {view.latency}"
    return [Diagnosis(code=Code.NO_LATENCY, where=store.where, found=found, fix=let_through(view.latency))]


def let_through(histogram: str) -> str:
    """What to do where there are no latencies."""
    return (
        f"let {histogram} through where series are dropped (metric_relabel_configs, keep-lists): without it only errors are judged"
    )


def _words(labels: Selector) -> str:
    return "{" + ", ".join(f'{label}="{value}"' for label, value in labels) + "}" if labels else ""
