"""What a watch of a release has shown: whether it is counted and if not why, how soon, and what the judge could not know of it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from analyzers.fitness import ENOUGH, resolutions
from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.doctor.routes import Case
from daemon.doctor.stores import let_through
from daemon.doctor.watching import Tally, passes
from daemon.doctor.witness import Witness
from daemon.meshes.kind import MeshKind
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.readings import NO_SERIES, SEVERAL_CLUSTERS, STALE, SUMS
from daemon.telemetry.counters.snapshot import SnapshotBuilder
from daemon.telemetry.identification import NO_POD
from daemon.telemetry.prometheus.pace import Pace

SLOW_SECONDS = 20.0
"""Samples further apart than these make a bad release be found late, whatever is done."""
LATE_SECONDS = 10.0
_SHORT_SECONDS = 60.0
"""For so long it is looked unless somebody says otherwise; that is enough where samples are not far apart."""
_SPACINGS = 3.0
"""Both arms have a scrape within one, the canary's next is waited for within another, and one may be missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A release that was watched.

    Attributes:
        case: it, with its policy.
        kind: of its mesh.
        release_id: by which its source knows it.
        where: its telemetry stands in the settings.
        tally: what was read.
        witness: what the last reading was made of.
        tick_seconds: the sampling interval.
        observed_seconds: how long it was looked at most.
    """

    case: Case
    kind: MeshKind
    release_id: str
    where: str
    tally: Tally
    witness: Witness
    tick_seconds: float
    observed_seconds: float


def diagnoses(one: Watched) -> Iterator[Diagnosis]:
    """All that the watch has shown."""
    index = one.witness.index
    if (reason := index.unknowable.get(one.release_id)) is not None:
        if NO_POD in reason:
            return  # that is said of the pods themselves
        fix = (
            "name in the release what tells the arms apart (workload, version or labels of baseline and canary), or give the right "
            f"to list pods, so that they can be told pod by pod; labels that the store calls otherwise stand in {one.where}.labels"
        )
        yield Diagnosis(code=Code.ARMS_ALIKE, where=one.case.name, found=reason, fix=fix)
        return
    known = index.known.get(one.release_id)
    if known is not None and known.note:
        fix = "name workload, version or labels of both arms in the release, or give the right to list pods"
        yield Diagnosis(code=Code.ARMS_BY_NAME, where=one.case.name, found=known.note, fix=fix)
    if one.tally.counted == 0:
        yield _uncounted(one)
    else:
        yield from _counted(one)
        yield from _latency(one)
        yield from _unknown(one)
    yield from _pace(one)
    yield from _twice(one)


def _uncounted(one: Watched) -> Diagnosis:
    """Why no reading was counted, by the daemon's own reason."""
    gap, name = one.tally.last.gap or "nothing was read", one.case.name
    if SUMS in gap:
        fix = (
            f"ask the server that scrapes the pods ({one.where}.url), or keep the labels pod and instance in the recording rules "
            f"and the federation; where they are called otherwise, say so in {one.where}.labels"
        )
        return Diagnosis(code=Code.SUMMED_COUNTERS, where=name, found=gap, fix=fix)
    if SEVERAL_CLUSTERS in gap:
        fix = f"set {one.where}.matchers to the cluster that counts, as in {{cluster: prod}}, or name it in the release"
        return Diagnosis(code=Code.MIXED_CLUSTERS, where=name, found=gap, fix=fix)
    if NO_SERIES in gap:
        fix = (
            "send both versions requests; then correct namespace and arms of the release, or what this store is told to have: "
            f"{one.where}.reporter, matchers, labels"
        )
        return Diagnosis(code=Code.ARM_WITHOUT_SERIES, where=name, found=gap, fix=fix)
    if gap.startswith(STALE):
        fix = (
            f"mend the scrape, the remote write or the clocks; where they are always so late, raise {one.where}.stale_after_seconds"
        )
        return Diagnosis(code=Code.STALE_DATA, where=name, found=gap, fix=fix)
    enough_seconds = _enough_seconds(one)
    if passes(gap) and one.observed_seconds < enough_seconds:
        found = f"{one.observed_seconds:.3g} s are too short for anything to be counted: {gap}"
        return Diagnosis(code=Code.OBSERVED_TOO_SHORT, where=name, found=found, fix=f"look longer: --observe {enough_seconds:.0f}")
    fix = "look at what is said in the store or the proxy itself: whether the release's pods are still scraped, and what they show"
    return Diagnosis(code=Code.NOT_COUNTED, where=name, found=f"nothing was counted: {gap}", fix=fix)


def _enough_seconds(one: Watched) -> float:
    """For how many whole seconds to look so that samples as far apart and as late as those seen are counted."""
    pace = one.witness.pace
    if pace is None:
        return _SHORT_SECONDS
    if not pace.spacing_seconds:
        return max(_SHORT_SECONDS, math.ceil(2.0 * one.observed_seconds))
    return max(_SHORT_SECONDS, math.ceil(_SPACINGS * pace.spacing_seconds + pace.late_seconds + 2.0 * LATE_SECONDS))


def _counted(one: Watched) -> Iterator[Diagnosis]:
    seen, name = one.tally.seen, one.case.name
    baseline, canary = seen.baseline_requests, seen.canary_requests
    # A view counts one kind of thing, whichever arm it is of.
    one_of_them = "connection" if one.case.release.protocol == "tcp" else "request"
    counts = f"{baseline} {one_of_them}s of the baseline and {canary} of the canary in {seen.seconds:.0f} s"
    said = f"{counts}; {seen.errors} of the baseline's failed"
    by = ", ".join(one.witness.index.known[one.release_id].by)
    yield Diagnosis(code=Code.COUNTED, where=name, found=said, more=(f"known by {by}",))
    for arm, requests in (("baseline", baseline), ("canary", canary)):
        if not requests:
            fix = "route some traffic to it before it is watched; without any it is never promoted"
            yield Diagnosis(code=Code.NO_REQUESTS, where=name, found=f"the {arm} was sent no {one_of_them}", fix=fix)


def _latency(one: Watched) -> Iterator[Diagnosis]:
    """Whether there are latencies, and whether their buckets can tell what the policy tolerates."""
    tally, name = one.tally, one.case.name
    view = one.witness.index.arms[one.release_id][0].view
    if view.latency is None:
        return
    builders = [builder for _, builder in _builders(one)]
    if builders and not any(builder.timed for builder in builders):
        found = f"requests are counted, and no latency: no {view.latency}"
        yield Diagnosis(code=Code.NO_LATENCY, where=name, found=found, fix=let_through(view.latency))
        return
    if not tally.bounds_ms or sum(tally.seen.counts) < ENOUGH:
        said = f"what the buckets can tell is not known by {sum(tally.seen.counts)} latencies of the baseline; it takes {ENOUGH}"
        yield Diagnosis(code=Code.BUCKETS, where=name, found=said)
        return
    allowed = one.case.policy.tolerances.latency
    key = f"policies.{one.case.release.policy}.tolerances.latency"
    for told in resolutions(tally.bounds_ms, tally.seen.counts, typical=allowed.typical, slow_end=allowed.slow_end):
        if told.resolved:
            yield Diagnosis(code=Code.BUCKETS, where=name, found=told.sentence)
            continue
        mend = one.kind.mends.get("buckets", "add that bound to the proxies' histograms")
        fix = f"{mend}, or set {key}.{told.quantity} to what can be told"
        yield Diagnosis(code=Code.BLUNT_BUCKETS, where=name, found=told.sentence, fix=fix)


def _unknown(one: Watched) -> Iterator[Diagnosis]:
    """What would have to be there for the judge to know more."""
    name, view, mends = one.case.name, one.witness.index.arms[one.release_id][0].view, one.kind.mends
    if missing := ", ".join(sorted({label for outcomes in one.witness.index.outcomes for label in outcomes.missing})):
        fix = (
            f"keep them where labels are dropped (metric_relabel_configs, Telemetry API), or say their names in {one.where}.labels"
        )
        found = f"series lack {missing}: how their requests ended is not known, and nothing of them is promoted"
        yield Diagnosis(code=Code.LABEL_MISSING, where=name, found=found, fix=fix)
    if view.server_side and one.tally.ageless and one.case.policy.warmup_seconds > 0.0:
        some = ", ".join(sorted(one.tally.ageless)[:3])
        fix = mends.get("ages", "have the proxies' start times scraped")
        found = f"since when pods run is not known ({some}): a cold pod is judged as a warm one, whatever warmup_seconds says"
        yield Diagnosis(code=Code.AGES_UNKNOWN, where=name, found=found, fix=fix)
    collected = one.witness.collected
    if collected is not None and not _denials_there(collected):
        fix = mends.get("denials", "")
        found = "requests denied by policy cannot be told from others: they count as what their status says"
        yield Diagnosis(code=Code.DENIALS_UNKNOWN, where=name, found=found, fix=fix or "none: this mesh does not say")


def _denials_there(collected: Collection) -> bool:
    return collected.denials_known and any(one.denied for one in collected.metadata.values())


def _pace(one: Watched) -> Iterator[Diagnosis]:
    """How soon a bad release can be known."""
    pace = one.witness.pace
    spacing = _spacing(pace)
    if pace is None or not spacing:
        return
    late = pace.late_seconds
    said = f"samples are {spacing:.0f} s apart" + (f" and at most {late:.0f} s late" if late else "")
    if spacing > SLOW_SECONDS:
        fix = "scrape the proxies more often (scrape_interval of their job or PodMonitor): at 15 s two scrapes are half a minute"
        found = f"{said}: a bad release is known after {2.0 * spacing + late:.0f} s at the earliest"
        yield Diagnosis(code=Code.SLOW_SAMPLES, where=one.where, found=found, fix=fix)
    else:
        yield Diagnosis(code=Code.PACE, where=one.where, found=said)
    if late > max(LATE_SECONDS, 2.0 * one.tick_seconds):
        fix = "ask a server nearer to the scrape (not the one behind remote write, Thanos, Mimir), or set the clocks"
        found = f"samples come up to {late:.0f} s after their time, and so does every verdict"
        yield Diagnosis(code=Code.LATE_SAMPLES, where=one.where, found=found, fix=fix)


def _spacing(pace: Pace | None) -> float:
    return 0.0 if pace is None else pace.spacing_seconds


def _twice(one: Watched) -> Iterator[Diagnosis]:
    """Pods of the release that several scrapers show."""
    twice = sorted(target for target, builder in _builders(one) if builder.scrapers > 1)
    if twice:
        fix = "scrape each proxy once: leave out one of its ports, or one of the jobs or PodMonitors that select these pods"
        some = ", ".join(twice[:3]) + (f" and {len(twice) - 3} more" if len(twice) > 3 else "")
        found = f"pods are there several times ({some}): one scraper of each is followed, the others are twice the work for nothing"
        yield Diagnosis(code=Code.PODS_TWICE, where=one.case.name, found=found, fix=fix)


def _builders(one: Watched) -> list[tuple[str, SnapshotBuilder]]:
    """What was collected of the release's arms, by target."""
    collected, arms = one.witness.collected, one.witness.index.arms.get(one.release_id, ())
    if collected is None:
        return []
    return [(target, builder) for arm in arms for target, builder in collected.builders.get(arm, {}).items()]
