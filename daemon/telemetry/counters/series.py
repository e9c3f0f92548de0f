"""Which series belong to which release and arm, learnt once for each series and looked up ever after.

A series is known by its text (name and labels). What that text means is worked out when it is first met and kept, since the
same text comes again at every tick. When releases begin or end, only what is theirs is worked out anew: there may be a thousand
others, and the event loop waits.
"""

import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto

import msgspec

from config.policy import Failures
from daemon.errors import InvalidInput
from daemon.measurements import Watch
from daemon.model import Release
from daemon.telemetry.counters.arms import ArmKey, Arms, LabelSet
from daemon.telemetry.identification import KnownArms, identify
from daemon.telemetry.outcomes import Ending, Outcomes, ending_labels
from daemon.telemetry.schema import Ended, Schema, Selector, Uptime, View, holds
from daemon.telemetry.wire import number

BASELINE, CANARY = 0, 1
SCRAPED = "up"
"""What Prometheus itself says of each target at each scrape."""
_FORGET_ABOVE = 4
"""Series kept, as a multiple of those met in one reading; more are forgotten."""
_FORGET_LEAST = 256
"""Series that are taken for met at least."""
_PROXYS_LABELS = ("source_", "destination_", "response_", "request_", "grpc_", "connection_", "client_", "envoy_", "consul_")
"""What a proxy itself says of a request: values of these come and go with callers and with answers."""
_SIDECARS_PORTS = (":15020", ":15090")
"""One sidecar of Istio shows the same at both."""


class SampleKind(Enum):
    """What one sample is: of an arm (a native histogram is one sample), or (the last four) of a target as a whole."""

    COUNTER = auto()
    BUCKET = auto()
    SUM = auto()
    NATIVE = auto()
    DENIED = auto()
    UPTIME = auto()
    STARTED_AT = auto()
    SCRAPED = auto()


class Series(msgspec.Struct, frozen=True, eq=False, gc=False, kw_only=True):
    """What is known of one series. There may be 100 000s: the garbage collector, which stops everything, passes them over.

    Attributes:
        identity: the same for the buckets and the sum of one histogram.
        form: the same for series that differ only in what a proxy says of requests: in callers, in answers.
        scraper: who has scraped it, as far as labels say so.
        ending: how its requests ended, as far as its labels say.
        le: upper bound, for a bucket; NaN where it has none that can be read, which is its histogram's fault and nobody else's.
        instance: the label of that name, which every series of one target has.
        place: where its pod is scraped, where the pod is named: another scraper may name it by that alone.
        cluster: the label of that name, which a store for several clusters gives to all series of one.
        of_target: its target says this of itself, and not of an arm.
    """

    kind: SampleKind
    identity: str
    form: int = 0
    scraper: str = ""
    ending: Ending
    le: float
    target: str
    pod: str
    instance: str
    place: str = ""
    cluster: str = ""
    of_target: bool
    label_set: LabelSet


class SeriesIndex:
    """The series of one telemetry source, and the arms of the releases it is watching.

    Args:
        as_text: the series are in Prometheus' format, or were.
        direct: they are the proxies' own, and nobody has added labels to them.
        of_pods: they are the proxies' own, and it is known of which pods.

    Attributes:
        watched: the releases.
        arms: baseline and canary of each release that can be counted.
        known: the labels by which they are known.
        selectors: the labels by which arms are asked for, by view.
        unknowable: why the others cannot be counted.
        series: what is known of each series that was met, by its text; null for those that never concern us.
        forgotten: how often all of them were forgotten.
        apart: how many others keep what is known of.
        attempted: how many series were met before the newest question failed.
        outcomes: how requests end, by what the policies of the releases count as failed.
        by_pod: some arms are known by the names of their pods, and by nothing else.
    """

    def __init__(self, schema: Schema, *, as_text: bool = False, direct: bool = False, of_pods: bool = False) -> None:
        self._schema = schema
        self._as_text = as_text
        self._direct = direct
        self._of_pods = of_pods
        self._arm_labels = tuple(sorted(frozenset().union(*(view.arms.labels for view in schema.views))))
        self._scrapers = schema.scrapers | {schema.target.instance}
        self._families = _families(schema)
        self._ending_labels = ending_labels(schema)
        self._beside = [(re.compile(counter.names), counter, view) for view in schema.views for counter in view.beside]
        self._denials = [(re.compile(counter.names), counter) for counter in schema.about.denials]
        self.series: dict[object, Series | None] = {}
        self.forgotten = self.apart = self.attempted = 0
        self._endings: dict[tuple[Ended | None, tuple[tuple[str, str], ...]], Ending] = {}
        self._all_outcomes: dict[Failures, Outcomes] = {}
        self._by_labels = Arms()
        self._watches: dict[str, Watch] = {}
        self.watched: Sequence[Watch] = ()
        self.arms: dict[str, tuple[ArmKey, ArmKey]] = {}
        self.known: dict[str, KnownArms] = {}
        self.selectors: dict[View, list[Selector]] = {}
        self.unknowable: dict[str, str] = {}
        self.outcomes: tuple[Outcomes, ...] = ()
        self.by_pod = False

    def watch(self, watches: Sequence[Watch]) -> None:
        """Look for the arms of these releases, and no others, from now on."""
        come = [watch for watch in watches if not _same(self._watches.get(watch.release_id), watch)]
        if not come and len(watches) == len(self._watches):
            return
        self.watched = tuple(watches)
        now = {watch.release_id: watch for watch in watches}
        changed = {watch.release_id for watch in come}
        for release_id in [one for one in self._watches if one not in now or one in changed]:
            self._remove(release_id)
        self._watches = now
        failures = dict.fromkeys(watch.failures for watch in watches)
        self._all_outcomes = {one: self._all_outcomes.get(one) or Outcomes(self._schema, one) for one in failures}
        self.outcomes = tuple(self._all_outcomes.values())
        for watch in come:
            self._add(watch)
        self._sum_up()

    def _sum_up(self) -> None:
        """What is asked of all releases together."""
        self.selectors = self.selectors_of(self._watches)
        self.by_pod = any(self._schema.target.pod in known.by for known in self.known.values())

    def selectors_of(self, release_ids: Iterable[str]) -> dict[View, list[Selector]]:
        """The labels by which the arms of these are asked for, by view."""
        found: dict[View, list[Selector]] = {}
        for release_id in release_ids:
            if (known := self.known.get(release_id)) is not None:
                asked = found.setdefault(self.arms[release_id][0].view, [])
                asked.extend(known.baseline.asked)
                asked.extend(known.canary.asked)
        return found

    def __getitem__(self, key: object) -> Series | None:
        """What is known of the series with this text. ``KeyError``: it must be learnt first."""
        return self.series[key]

    def learn(self, key: object, name: str, labels: Mapping[str, str]) -> Series | None:
        """Work out what a series means; null when it does not concern us, whatever is watched."""
        self.series[key] = self._meaning(name, labels)
        return self[key]

    def set_apart(self, keys: Sequence[object]) -> None:
        """Somebody else keeps what is known of these, until all are forgotten. It may be learnt again."""
        for key in keys:
            self.series.pop(key, None)
        self.apart += len(keys)

    def tidy(self, met: int) -> None:
        """Forget series that have gone, once there are many more known than were met in a reading."""
        if len(self.series) + self.apart > _FORGET_ABOVE * max(met, _FORGET_LEAST):
            self.series.clear()
            self.forgotten, self.apart = self.forgotten + 1, 0
            self._by_labels.forget()
            self._endings.clear()
            for outcomes in self.outcomes:
                outcomes.forget()

    def _add(self, watch: Watch) -> None:
        """Count the release in the first view that can tell its arms apart."""
        reasons: dict[str, None] = {}
        for view in self._schema.views:
            if view.protocol != watch.release.protocol:
                continue
            known = self._identified(view, watch)
            if isinstance(known, str):
                reasons[known] = None
                continue
            both, outcomes = (known.baseline, known.canary), self._all_outcomes[watch.failures]
            baseline, canary = (
                ArmKey(watch.release_id, arm, len(one.series[0]) if one.series else 0, view, outcomes)
                for arm, one in enumerate(both)
            )
            for one, arm in zip(both, (baseline, canary), strict=True):
                for labels in one.series:
                    self._by_labels.add(labels, arm)
            self.arms[watch.release_id], self.known[watch.release_id] = (baseline, canary), known
            return
        self.unknowable[watch.release_id] = "; ".join(reasons)

    def _remove(self, release_id: str) -> None:
        """Count it no longer."""
        self.unknowable.pop(release_id, None)
        if (known := self.known.pop(release_id, None)) is None:
            return
        for one, arm in zip((known.baseline, known.canary), self.arms.pop(release_id), strict=True):
            for labels in one.series:
                self._by_labels.remove(labels, arm)

    def _identified(self, view: View, watch: Watch) -> KnownArms | str:
        """By what the arms are known in this view, or why they are not."""
        if self._direct and not view.on_page:
            return f"{self._schema.name}: a proxy's own page does not say whose it is; read it through Prometheus"
        release = _without_workloads(watch.release) if self._of_pods and not view.on_page else watch.release
        known = identify(view, release, watch.pods, dialect=self._schema.name, alone=watch.alone)
        if isinstance(known, str):
            return known
        selectors = (*known.baseline.series, *known.canary.series)
        cut = self._as_text and view.arms.cut_at_dot
        if cut and (dotted := [value for labels in selectors for _, value in labels if "." in value]):
            return f"Envoy cuts {dotted[0]!r} at its dot in Prometheus' format; read the proxies with histograms: bins"
        return known

    def _meaning(self, name: str, labels: Mapping[str, str]) -> Series | None:
        if (kind := self._self_report(name, labels)) is not None:
            return self._series(kind, labels, le=math.nan, family=name, views=())
        if (found := self._families.get(name)) is None:
            return self._counted_beside(name, labels)
        kind, family, candidates = found
        views = _having(labels, candidates)
        if not views:
            return None
        if kind is not SampleKind.COUNTER and not self._schema.timed(labels):
            return None
        le = _bound(labels.get("le", "")) if kind is SampleKind.BUCKET else math.nan
        ended = None
        if views[0].protocol == "tcp":
            # The policy's word is for requests: connections have no status.
            ended = Ended.EXCUSED if self._schema.excused(labels) else Ended.SERVED
        return self._series(kind, labels, le=le, family=family, views=views, ended=ended)

    def _series(
        self,
        kind: SampleKind,
        labels: Mapping[str, str],
        *,
        le: float,
        family: str,
        views: tuple[View, ...],
        ended: Ended | None = None,
    ) -> Series:
        of = self._schema.target
        # A target is one pod: its name tells nothing apart there.
        names = sorted(label for label in labels if label not in ("le", of.pod))
        # Interned, as what follows: of one target there are tens of series, each decoded by itself.
        instance, pod = sys.intern(labels.get(of.instance, "")), sys.intern(labels.get(of.pod, ""))
        cluster, namespace = (
            next((labels[label] for label in those if labels.get(label)), "") for those in (of.clusters, of.namespaces)
        )
        # Pods of a set have the same names in every namespace.
        named, place = _within(cluster, f"{namespace}/{pod}" if namespace and pod else pod), _within(cluster, _sidecar(instance))
        ours = tuple([(label, labels[label]) for label in self._arm_labels if label in labels])
        return Series(
            kind=kind,
            # Interned: the buckets of one histogram, which come one after the other, are known as such by one comparison.
            identity=sys.intern(f"{family}{{{','.join(f'{label}={labels[label]!r}' for label in names)}}}"),
            form=hash(tuple((label, "" if self._of_request(label) else labels[label]) for label in names)),
            scraper=sys.intern(",".join(labels[label] for label in names if label in self._scrapers or "replica" in label)),
            ending=self._ending(labels, ended=ended),
            le=le,
            target=sys.intern(named or place),
            place=sys.intern(place) if named else "",
            pod=pod or instance,
            instance=instance,
            cluster=sys.intern(cluster),
            of_target=not views,
            label_set=self._by_labels.met(views, ours),
        )

    def _of_request(self, label: str) -> bool:
        return label.startswith(_PROXYS_LABELS) or label in self._schema.of_requests

    def _ending(self, labels: Mapping[str, str], *, ended: Ended | None) -> Ending:
        told = tuple([(label, labels[label]) for label in self._ending_labels if label in labels])
        found = self._endings.get((ended, told))
        if found is None:
            found = self._endings[ended, told] = Ending(dict(told), ended)
        return found

    def _counted_beside(self, name: str, labels: Mapping[str, str]) -> Series | None:
        found: dict[Ended, list[View]] = {}
        for names, counter, view in self._beside:
            if names.fullmatch(name) is not None and all(holds(test, labels) for test in counter.when):
                found.setdefault(counter.ended, []).append(view)
        for ended, candidates in found.items():
            if views := _having(labels, candidates):
                return self._series(SampleKind.COUNTER, labels, le=math.nan, family=name, views=views, ended=ended)
        return None

    def _self_report(self, name: str, labels: Mapping[str, str]) -> SampleKind | None:
        age = self._schema.about.age
        if name == SCRAPED:
            return SampleKind.SCRAPED
        if age is not None and name == age.metric:
            return SampleKind.UPTIME if isinstance(age, Uptime) else SampleKind.STARTED_AT
        denied = any(names.fullmatch(name) is not None and counter.counts(labels) for names, counter in self._denials)
        return SampleKind.DENIED if denied else None


def _same(known: Watch | None, watch: Watch) -> bool:
    """Whether it is a watch of the same release and the same pods."""
    return known is watch or (
        known is not None
        and (known.release is watch.release or known.release == watch.release)
        and (known.pods is watch.pods or known.pods == watch.pods)
    )


def _without_workloads(release: Release) -> Release:
    """The release as it is known where only the pods' own names are: nobody adds those of their workloads."""
    baseline, canary = (msgspec.structs.replace(arm, workload=None) for arm in (release.baseline, release.canary))
    return msgspec.structs.replace(release, baseline=baseline, canary=canary)


def _having(labels: Mapping[str, str], views: Sequence[View]) -> tuple[View, ...]:
    """The views whose labels these are."""
    return tuple([view for view in views if all(labels.get(label) == value for label, value in view.always)])


def _bound(le: str) -> float:
    try:
        return number(le, path="le")
    except InvalidInput:
        return math.nan


def _within(cluster: str, name: str) -> str:
    return f"{name}@{cluster}" if cluster and name else name


def _sidecar(instance: str) -> str:
    """Whose page this is, where the label ``pod`` does not say so."""
    host, port = instance[:-6], instance[-6:]
    return host + _SIDECARS_PORTS[0] if port in _SIDECARS_PORTS else instance


def _families(schema: Schema) -> dict[str, tuple[SampleKind, str, tuple[View, ...]]]:
    """What the metrics of each name are, the family they belong to, and the views that have them."""
    found: dict[str, tuple[SampleKind, str, tuple[View, ...]]] = {}
    for view in schema.views:
        kinds = zip(view.names, (SampleKind.COUNTER, SampleKind.BUCKET, SampleKind.SUM, SampleKind.NATIVE), strict=False)
        for name, kind in kinds:
            _, _, others = found.get(name, (kind, "", ()))
            family = name if view.latency is None or kind is SampleKind.COUNTER else view.latency
            found[name] = (kind, family, (*others, view))
    return found
