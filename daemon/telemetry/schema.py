"""What a mesh's telemetry looks like, as data: names, labels, units, and what counts as a failure.

The one decision: a mesh is a ``Schema`` and nothing else. Nothing else in this package knows a metric or a label by name, and
nothing here knows a mesh: a label that is absent is the empty text, and a rule is a test of one label's value.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, assert_never

from daemon.model import Protocol

Selector = tuple[tuple[str, str], ...]
"""Labels and the values they must have, sorted by label: how the series of one arm are known."""


class Ended(IntEnum):
    """How the requests that a series counts have ended.

    ``FORBIDDEN`` ones were answered as a policy filter answers, be it by one or by the application: those that its own counter
    has not denied were served; of ``REFUSED`` ones those have failed. ``EXCUSED`` ones are nobody's fault and are not counted.
    The clients of ``UNANSWERED`` ones gave up. Of ``UNCLASSIFIED`` ones the labels do not say how they ended. ``FAILED_AMONG``
    ones have failed, and another counter of the view counts the same ones, as served or as failed: a call of gRPC under HTTP 200,
    a connection that was opened.
    """

    SERVED = 0
    FAILED = 1
    FORBIDDEN = 2
    EXCUSED = 3
    UNANSWERED = 4
    UNCLASSIFIED = 5
    REFUSED = 6
    FAILED_AMONG = 7


@dataclass(frozen=True, slots=True)
class Is:
    """The label has one of these values; the empty text stands for a label that is absent."""

    label: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Begins:
    """The label's value begins with one of these."""

    label: str
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lists:
    """The label's value is a list, joined by commas, that has one of these in it."""

    label: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """The label's value matches this pattern from end to end, in Python and in RE2."""

    label: str
    pattern: str


Test = Is | Begins | Lists | Like


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How the requests of a series ended for which all these tests hold, if no earlier rule has said so."""

    when: tuple[Test, ...]
    ended: Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Which labels say how a request ended, for what counts as a failure is the policy's to say (``daemon.telemetry.outcomes``).

    Attributes:
        status: label of the status code. status_class: of its class alone ("5", "5xx"), where there are no codes.
        none: status codes that stand for no response. gone: those of a request whose client had gone.
        grpc: label of the number of the gRPC status. speaks_grpc: how a gRPC request is known that has none.
        flags: label of Envoy's response flags.
        mirrored: how copies are known that a route has made of other requests.
    """

    status: str | None = None
    status_class: str | None = None
    none: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    grpc: str | None = None
    speaks_grpc: Is | None = None
    flags: str | None = None
    mirrored: Like | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PodLabel:
    """A label that says something of the pod that serves.

    Attributes:
        fact: what it says: the name of the pod's workload, its canonical revision, its label ``version``, its own name.
        label: the label.
        alone: it is enough by itself; others are looked at together with those before them.
    """

    fact: Literal["workload", "revision", "version", "pod"]
    label: str
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmLabels:
    """Which labels tell an arm: by its pods, where they are known, else by what the release names (``ArmSpec``).

    Attributes:
        pods: what tells the arms' pods apart, the cheapest first: the first label counts in which no pods of both are the same.
        whose: fields that tell an arm from all other workloads, best first; the first that the arm names is used. With several
            labels, the arm's series are those that have its name in any of them (a workload is one of several kinds).
        also: fields that are looked at in addition, where the arm names them.
        instead: fields that are looked at only when the arm names nothing else that this telemetry carries.
        service: label of the release's service, added when no field of ``whose`` is named: versions are shared by many workloads.
        namespace: label of the namespace, always added.
        pod_labels: pod labels that the telemetry carries.
        cut_at_dot: in Prometheus' format a name ends at its first dot, the rest going into the metric's name.
    """

    whose: tuple[tuple[str, tuple[str, ...]], ...]
    also: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    service: str | None = None
    namespace: str | None = None
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    cut_at_dot: bool = False
    pods: tuple[PodLabel, ...] = ()

    @property
    def labels(self) -> frozenset[str]:
        """All labels by which arms are known."""
        named = [label for label in (self.service, self.namespace) if label is not None]
        either = [label for _, labels in self.whose for label in labels]
        of_pods = [label.label for label in self.pods]
        return frozenset([*named, *either, *self.also.values(), *self.instead.values(), *self.pod_labels.values(), *of_pods])


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A counter beside the one of requests.

    Attributes:
        names: pattern of the metric's names, for Python and RE2, with no ``|`` outside of brackets.
        when: all of these hold for a series that counts; others of the name say nothing.
        ended: how what it counts has ended.
    """

    names: str
    when: tuple[Test, ...] = ()
    ended: Ended


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One place from where requests are seen: at the pods that serve them, or at those who ask. Views are never added up.

    Attributes:
        protocol: what is counted: requests, or connections of TCP.
        requests: counter of requests by outcome; of TCP, of the connections that were opened.
        latency: base name of the latency histogram; null: there is none, which only connections may lack.
        unit_ms: what one unit of the histogram is in ms.
        beside: further counters of the same requests.
        always: labels every series of the view has, such as the reporter.
        server_side: the proxies stand beside the pods: one target is one pod, and what it says of itself is of that pod.
        on_page: its labels stand on the proxy's own page; else whoever scrapes it adds them, as Prometheus does from the pod's.
        arms: how arms are known.
    """

    protocol: Protocol = "http"
    requests: str
    latency: str | None
    unit_ms: float = 1.0
    beside: tuple[Counter, ...] = ()
    always: Selector = ()
    server_side: bool = False
    on_page: bool = True
    arms: ArmLabels

    def __post_init__(self) -> None:
        """Refuse requests without a latency: a release of them would wait for it to its end."""
        if self.protocol == "http" and self.latency is None:
            raise ValueError(f"{self.requests}: requests have a histogram of latency; only connections may have none")

    @property
    def histogram(self) -> tuple[str, ...]:
        """The metric names of its latencies: buckets and sum (the count is the +Inf bucket), and a native histogram's only one."""
        return () if self.latency is None else (f"{self.latency}_bucket", f"{self.latency}_sum", self.latency)

    @property
    def names(self) -> tuple[str, ...]:
        """The metric names to ask for, but for those that are known by a pattern."""
        return (self.requests, *self.histogram)


@dataclass(frozen=True, slots=True, kw_only=True)
class DenialCounter:
    """Where a target counts the requests that security policy denied. Its series carry no arm: the pod tells whose they are.

    Attributes:
        names: pattern of the metric's names (they differ between versions), for Python and RE2, with no ``|`` outside of brackets.
        when: all of these hold for a series that counts.
        unless: none of these does.
    """

    names: str
    when: tuple[Test, ...] = ()
    unless: tuple[Test, ...] = ()

    def counts(self, labels: Mapping[str, str]) -> bool:
        """Whether a series whose name matches counts requests to the pod that were denied."""
        return all(holds(test, labels) for test in self.when) and not any(holds(test, labels) for test in self.unless)


@dataclass(frozen=True, slots=True)
class Uptime:
    """A gauge of the seconds since a process began."""

    metric: str


@dataclass(frozen=True, slots=True)
class StartedAt:
    """A gauge of when a process began, in seconds since 1970."""

    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfReport:
    """What a target says of itself rather than of an arm.

    Attributes:
        denials: where requests denied by security policy are counted; none: they cannot be told from others.
        age: what stands for the age of its pod; null: ages are not known.
        always: labels that all of its series have.
        instance: the label that names the target.
    """

    denials: tuple[DenialCounter, ...] = ()
    age: Uptime | StartedAt | None = None
    always: Selector = ()
    instance: str = "instance"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPage:
    """A page in Prometheus' text format, read whole: its path, and the port at which a pod shows it."""

    path: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BinName:
    """Envoy's own names of one of its statistics, on its JSON page.

    Attributes:
        pattern: of the whole name; its named groups are labels.
        metric: the statistic's name in Prometheus' format; ``\\g<group>`` stands for what a named group has.
    """

    pattern: str
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyStats:
    """Envoy's admin or stats endpoint, asked for little.

    Attributes:
        filter: RE2 on Envoy's internal stat names; ``{arms}`` becomes the alternatives of the arms' names.
        port: at which a pod shows them to others; null: it does not.
        bins: its names on the JSON page, where raw bins of its histograms are; none: they cannot be read.
    """

    filter: str
    port: int | None = None
    bins: tuple[BinName, ...] = ()


SCRAPERS = frozenset({"job", "prometheus", "monitor"})
"""These, a target's instance, and whatever has ``replica`` in its name, tell who has scraped: copies of the very same time are
told apart by them."""

CLUSTERS = ("cluster", "cluster_name", "cluster_id", "k8s_cluster", "k8s_cluster_name", "kubernetes_cluster")
"""What clusters are told apart by in a store that several share, in the wild."""


NAMESPACES = ("namespace", "kubernetes_namespace", "k8s_namespace_name")
"""What the namespace of a scraped pod is called, in the wild."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetLabels:
    """Labels that say whose series it is, and where it was scraped.

    Attributes:
        pod, instance: of the target.
        clusters: the first of these that a series has names its cluster. namespaces: the same of its pod's namespace.
    """

    pod: str = "pod"
    instance: str = "instance"
    clusters: tuple[str, ...] = CLUSTERS
    namespaces: tuple[str, ...] = NAMESPACES


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One mesh's telemetry.

    Attributes:
        outcome: how requests ended by this mesh's own word, whatever the policy says; the first rule that holds. Those that were
            forbidden come here.
        told: what the policy's rules are made of; null: the mesh's own word is all there is, and without one they were served.
        split: the histograms carry the outcome, so that only successes are taken.
        streams: any of these holds for what lasts as long as its client likes (websockets, streams): counted, and never timed.
        views: from where requests can be seen, best first. A release is counted in the first that can tell its arms apart.
        reporters: further places from where requests can be seen, by the word that chooses one in the settings; the usual one is
            among them.
        about: what targets say of themselves.
        scrape: how a target is asked directly.
        scrapers: labels that tell who has scraped, and nothing of what is counted, beside those with ``replica`` in their name.
        of_requests: labels of the mesh's requests, where they do not begin as Envoys' do, and names that a store has for such.
        target: labels of a target.
    """

    name: str
    outcome: tuple[Rule, ...]
    told: Told | None = None
    split: bool
    streams: tuple[Test, ...] = ()
    views: tuple[View, ...]
    reporters: Mapping[str, tuple[View, ...]] = field(default_factory=dict)
    scrapers: frozenset[str] = SCRAPERS
    of_requests: frozenset[str] = frozenset()
    target: TargetLabels = TargetLabels()
    about: SelfReport = SelfReport()
    scrape: TextPage | EnvoyStats

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """What can be counted, in the order of the views."""
        return tuple(dict.fromkeys(view.protocol for view in self.views))

    def has_latency(self, protocol: Protocol) -> bool:
        """Whether what is counted of it has a histogram, in one view at least."""
        return any(view.latency is not None for view in self.views if view.protocol == protocol)

    def timed(self, labels: Mapping[str, str]) -> bool:
        """Whether the durations of a series with these labels are latencies."""
        return not any(holds(test, labels) for test in self.streams)

    def excused(self, labels: Mapping[str, str]) -> bool:
        """Whether what a series with these labels counts is nobody's fault by the mesh's own word, requests or connections."""
        rules = (rule.ended for rule in self.outcome if all(holds(test, labels) for test in rule.when))
        return next(rules, Ended.SERVED) is Ended.EXCUSED


def holds(test: Test, labels: Mapping[str, str]) -> bool:
    """Whether the test holds for these labels."""
    value = labels.get(test.label, "")
    match test:
        case Is():
            return value in test.values
        case Begins():
            return value.startswith(test.prefixes)
        case Lists():
            return not set(test.items).isdisjoint(value.split(","))
        case Like():
            return re.fullmatch(test.pattern, value) is not None
        case _:
            assert_never(test)
