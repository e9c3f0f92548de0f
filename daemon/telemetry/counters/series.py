"""Which series belong to which release and arm, learnt once for each series and looked up ever after.

A series is known by its text (name and labels). What that text means is worked out when it is first met and kept, since the
same text comes again at every tick. When releases begin or end, only the way from labels to arms is worked out anew.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

import msgspec

from daemon.errors import InvalidInput
from daemon.model import Watch
from daemon.telemetry.schema import Dialect, Ended, Selector, ended, selector
from daemon.telemetry.scrape.text import number

BASELINE, CANARY = 0, 1
_FORGET_ABOVE = 4
"""Series kept, as a multiple of those met in one reading; more are forgotten."""


class Part(Enum):
    """What of a metric one sample is."""

    COUNTER = auto()
    BUCKET = auto()
    SUM = auto()
    DENIED = auto()
    UPTIME = auto()


@dataclass(slots=True, eq=False)
class Slot:
    """One arm of one watched release."""

    release_id: str
    arm: int
    specific: int


@dataclass(slots=True, eq=False)
class Owner:
    """Whose the series with these labels are; shared by all of them.

    Attributes:
        labels: those that arms are known by.
        slots: the arms, as of ``generation``.
    """

    labels: Mapping[str, str]
    slots: tuple[Slot, ...] = ()
    generation: int = -1


class Series(msgspec.Struct, frozen=True, eq=False, gc=False, kw_only=True):
    """What is known of one series. There may be 100 000s: the garbage collector, which stops everything, passes them over.

    Attributes:
        identity: the same for the buckets and the sum of one histogram; without labels of Prometheus replicas.
        le: upper bound, for a bucket.
        instance: the label of that name, which every series of one target has.
    """

    part: Part
    identity: str
    ended: Ended
    le: float
    target: str
    pod: str
    instance: str
    owner: Owner

    @property
    def aside(self) -> bool:
        """Whether its target says this of itself, and not of an arm."""
        return self.part is Part.DENIED or self.part is Part.UPTIME


@dataclass(frozen=True, slots=True)
class _Index:
    """Arms by the labels they are known by: for every set of label names, from values to arms."""

    shapes: dict[tuple[str, ...], dict[tuple[str, ...], list[Slot]]] = field(default_factory=dict)

    def add(self, labels: Selector, slot: Slot) -> None:
        names = tuple(name for name, _ in labels)
        self.shapes.setdefault(names, {}).setdefault(tuple(value for _, value in labels), []).append(slot)

    def find(self, labels: Mapping[str, str]) -> tuple[Slot, ...]:
        """The arms of these labels. Where both arms of a release fit, the one that is told more exactly has it."""
        found: dict[str, Slot] = {}
        for names, arms in self.shapes.items():
            for slot in arms.get(tuple([labels.get(name, "") for name in names]), ()):
                other = found.get(slot.release_id)
                if other is None or slot.specific > other.specific:
                    found[slot.release_id] = slot
        return tuple(found.values())


_REPLICA_LABELS = frozenset({"prometheus_replica", "prometheus", "replica", "__replica__", "le"})


class Catalogue:
    """The series of one telemetry source, and the arms of the releases it is watching."""

    def __init__(self, dialect: Dialect, *, as_text: bool = False) -> None:
        self._dialect = dialect
        self._cut_at_dot = as_text and dialect.arms.cut_at_dot
        self._arm_labels = tuple(sorted(dialect.arms.labels))
        self._parts = dict(zip(dialect.names, (Part.COUNTER, Part.BUCKET, Part.SUM), strict=True))
        self._denials = None if dialect.denials is None else re.compile(dialect.denials.names)
        self._known: dict[object, Series | None] = {}
        self._owners: dict[tuple[tuple[str, str], ...], Owner] = {}
        self._generation = 0
        self._index = _Index()
        self._watched: dict[str, Watch] = {}
        self.slots: dict[str, tuple[Slot, Slot]] = {}
        self.selectors: list[Selector] = []
        self.unknowable: dict[str, str] = {}

    def watch(self, watches: Sequence[Watch]) -> None:
        """Look for the arms of these releases, and no others, from now on."""
        if len(watches) == len(self._watched) and all(
            (known := self._watched.get(watch.release_id)) is not None
            and (known.release is watch.release or known.release == watch.release)
            for watch in watches
        ):
            return
        self._watched = {watch.release_id: watch for watch in watches}
        self._generation += 1
        self._index = _Index()
        self.slots, self.selectors, self.unknowable = {}, [], {}
        for watch in watches:
            self._add(watch)

    def __getitem__(self, key: object) -> Series | None:
        """What is known of the series with this text, its arms brought up to date. ``KeyError``: it must be learnt first."""
        series = self._known[key]
        if series is not None and (owner := series.owner).generation != self._generation:
            owner.slots = self._index.find(owner.labels)
            owner.generation = self._generation
        return series

    def learn(self, key: object, name: str, labels: Mapping[str, str]) -> Series | None:
        """Work out what a series means; null when it does not concern us, whatever is watched."""
        self._known[key] = self._meaning(name, labels)
        return self[key]

    def tidy(self, met: int) -> None:
        """Forget series that have gone, once there are many more known than were met in a reading."""
        if len(self._known) > _FORGET_ABOVE * max(met, 256):
            self._known.clear()
            self._owners.clear()

    def _add(self, watch: Watch) -> None:
        dialect, release = self._dialect, watch.release
        baseline, canary = (selector(dialect.arms, arm, release) for arm in (release.baseline, release.canary))
        if baseline is None or canary is None:
            name = "baseline" if baseline is None else "canary"
            fields = ", ".join(field for field, _ in dialect.arms.whose)
            self.unknowable[watch.release_id] = f"{name}: {dialect.name} telemetry knows arms by {fields}; it names none"
            return
        if baseline == canary:
            self.unknowable[watch.release_id] = f"{dialect.name} telemetry cannot tell the arms apart: both are {dict(canary)}"
            return
        dotted = [value for _, value in (*baseline, *canary) if "." in value] if self._cut_at_dot else []
        if dotted:
            self.unknowable[watch.release_id] = (
                f"Envoy cuts {dotted[0]!r} at its dot in Prometheus' format; read the proxies with histograms: bins"
            )
            return
        pair = (Slot(watch.release_id, BASELINE, len(baseline)), Slot(watch.release_id, CANARY, len(canary)))
        for labels, slot in zip((baseline, canary), pair, strict=True):
            self._index.add(labels, slot)
            self.selectors.append(labels)
        self.slots[watch.release_id] = pair

    def _meaning(self, name: str, labels: Mapping[str, str]) -> Series | None:
        dialect = self._dialect
        if (aside := self._aside(name, labels)) is not None:
            return self._series(aside, labels, ended=Ended.EXCUSED, le=math.nan, family=name)
        part = self._parts.get(name)
        if part is None or any(labels.get(label) != value for label, value in dialect.always):
            return None
        outcome = ended(dialect.failures, labels)
        if outcome is Ended.EXCUSED or (part is not Part.COUNTER and dialect.split and outcome is not Ended.SERVED):
            return None
        if part is Part.BUCKET and "le" not in labels:
            raise InvalidInput("a bucket without its bound (label le)", path=name)
        le = number(labels["le"], path=f"{name}: le") if part is Part.BUCKET else math.nan
        family = dialect.requests if part is Part.COUNTER else dialect.latency
        return self._series(part, labels, ended=outcome, le=le, family=family)

    def _series(self, part: Part, labels: Mapping[str, str], *, ended: Ended, le: float, family: str) -> Series:
        identity = [f"{label}={value!r}" for label, value in sorted(labels.items()) if label not in _REPLICA_LABELS]
        instance, pod = labels.get("instance", ""), labels.get("pod", "")
        return Series(
            part=part,
            identity=f"{family}{{{','.join(identity)}}}",
            ended=ended,
            le=le,
            target=f"{pod}@{instance}" if pod and instance else pod or instance,
            pod=pod or instance,
            instance=instance,
            owner=self._owner(labels),
        )

    def _owner(self, labels: Mapping[str, str]) -> Owner:
        ours = tuple([(label, labels[label]) for label in self._arm_labels if label in labels])
        return self._owners.setdefault(ours, Owner(dict(ours)))

    def _aside(self, name: str, labels: Mapping[str, str]) -> Part | None:
        dialect = self._dialect
        if name == dialect.uptime:
            return Part.UPTIME
        if self._denials is None or dialect.denials is None or self._denials.fullmatch(name) is None:
            return None
        return Part.DENIED if dialect.denials.counted(name, labels) else None
