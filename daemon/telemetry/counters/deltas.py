"""One arm's streams of counters, one per target, and the arm that is made of their growth."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from analyzers.counts import Arm, Latency, Pod
from daemon.telemetry.counters.differencing import Histogram, Tally, grown, tally
from daemon.telemetry.counters.snapshot import ArmView


@dataclass(slots=True, kw_only=True)
class Stream:
    """What is remembered of one arm at one target.

    Attributes:
        at: time of the counters.
        spacing_seconds: how far apart new ones usually are.
        counters: last value of each series, those that have gone included.
        present: the series that were there last time.
        histograms: latencies as of the last tick that took any, by series.
        latencies_before: it had requests, but showed no histogram, when it was joined: the first one will hold history.
        denied: counters of the target's policy filter, those that have gone included; null while they have not been known.
        fresh: nothing was there of the arm when it was joined.
    """

    at: float
    spacing_seconds: float
    counters: dict[str, int] = field(default_factory=dict)
    present: frozenset[str] = frozenset()
    histograms: dict[str, Histogram] = field(default_factory=dict)
    latencies_before: bool = False
    denied: Mapping[str, int] | None = None
    fresh: bool = False

    @classmethod
    def joining(cls, view: ArmView) -> "Stream":
        """A stream whose history is not known: what its counters hold now is where counting starts."""
        return cls(
            at=view.at,
            spacing_seconds=view.spacing_seconds,
            counters={series: value for series, (_, value) in view.counters.items()},
            present=frozenset(view.counters),
            latencies_before=bool(view.counters) and not view.histograms,
            denied=view.denied,
        )

    def renamed(self, view: ArmView) -> bool:
        """Whether series have gone and others come at once: their labels changed, and the new ones hold the old counts."""
        names = view.counters.keys()
        return names != self.present and not names <= self.counters.keys() and not self.present <= names

    def advance(self, view: ArmView, *, restarted: bool) -> None:
        """Take the view's counters as the last ones. Series that went in a restart of the process begin again at zero."""
        if view.denied is not None:
            self.denied = view.denied if restarted else {**(self.denied or {}), **view.denied}
        self.fresh = False
        if restarted:
            for series in self.counters.keys() - view.counters.keys():
                self.counters[series] = 0
        for series, (_, value) in view.counters.items():
            self.counters[series] = value
        if view.counters.keys() != self.present:
            self.present = frozenset(view.counters)
        self.at = view.at
        self.spacing_seconds = view.spacing_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """A stream whose growth counts in this tick."""

    target: str
    stream: Stream
    view: ArmView
    grown: Tally
    denied: int

    @property
    def requests(self) -> int:
        """Those that were not denied. What the policy filter denies is counted as forbidden as well."""
        return self.grown.served + self.grown.failed + max(0, self.grown.forbidden - self.denied)

    @property
    def age_seconds(self) -> float | None:
        """How long the target has run, where it is known."""
        return None if self.view.born is None else round(max(0.0, self.view.at - self.view.born), 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmLatency:
    """New latencies of an arm, together and by target."""

    latency: Latency
    by_target: Mapping[str, Latency]


def counting(
    streams: Mapping[str, Stream], views: Mapping[str, ArmView], *, before: Mapping[str, float], seen: AbstractSet[str]
) -> list[Active]:
    """The streams that can be counted: known ones, and new ones at a target that had nothing of them just before.

    Args:
        streams: what is remembered, by target.
        views: what is there now, by target.
        before: when each target answered last time; empty when there was no last time.
        seen: the targets that had series of this arm then, whether or not they were counted.
    """
    active = []
    for target, view in views.items():
        stream = streams.get(target)
        if stream is None:
            since = before.get(target)
            if since is None or since >= view.at or target in seen:
                continue
            denied: Mapping[str, int] | None = None if view.denied is None else {}
            stream = Stream(at=since, spacing_seconds=view.spacing_seconds, denied=denied, fresh=True)
        elif stream.renamed(view):
            continue
        step = tally(stream.counters, view.counters)
        active.append(Active(target=target, stream=stream, view=view, grown=step, denied=_denied(stream, view, step)))
    return active


def _denied(stream: Stream, view: ArmView, step: Tally) -> int:
    """Requests denied since. Unknown on either side counts as none: what follows is then counted from what is first known."""
    if stream.denied is None or view.denied is None:
        return 0
    denied = grown(stream.denied, view.denied)
    # The filter's counters may be older than the arm: of those, only what the arm itself was denied is new.
    return min(denied, step.forbidden) if stream.fresh else denied


def mean_interval(active: Sequence[Active]) -> float:
    """Seconds that the growth of these streams covers, each over its own interval."""
    return sum(one.view.at - one.stream.at for one in active) / len(active)


def make_arm(active: Sequence[Active], latency: ArmLatency | None, *, server_side: bool) -> Arm:
    """The arm's counts in this tick; by pod as well where targets are pods."""
    requests = failed = denied = 0
    for one in active:
        requests += one.requests
        failed += one.grown.failed
        denied += one.denied
    return Arm(
        requests=requests,
        errors=failed,
        denied=denied,
        latency=None if latency is None else latency.latency,
        pods=_pods(active, latency) if server_side else None,
    )


def _pods(active: Sequence[Active], latency: ArmLatency | None) -> dict[str, Pod]:
    pods: dict[str, Pod] = {}
    for one in active:
        if not one.view.counters:
            continue
        name = one.view.pod if one.view.pod and one.view.pod not in pods else one.target
        pods[name] = Pod(
            requests=one.requests,
            errors=one.grown.failed,
            denied=one.denied,
            latency=None if latency is None else latency.by_target.get(one.target),
            age_seconds=one.age_seconds,
        )
    return pods
