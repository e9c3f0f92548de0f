"""What the doctor can find, as data: a code that never changes its meaning, how bad it is, where, what was seen, and what mends it.

A code is one kind of fault with one kind of mend, so that a pipeline may branch on it and a page may explain it. How bad it is
belongs to the code: what stops a release from being judged or taken back is a fault, what makes that slower or coarser a warning,
and what is there and well a note.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal

import msgspec

Severity = Literal["fault", "warning", "note"]
_WORST_FIRST: tuple[Severity, ...] = ("fault", "warning", "note")


class Code(StrEnum):
    """What was found; in each group first what others may follow from."""

    BROKER_UNREACHABLE = "broker-unreachable"
    BROKER_FORBIDDEN = "broker-forbidden"
    CLUSTER_UNREACHABLE = "cluster-unreachable"
    CLUSTER_FORBIDDEN = "cluster-forbidden"
    TELEMETRY_UNREACHABLE = "telemetry-unreachable"
    TELEMETRY_FORBIDDEN = "telemetry-forbidden"
    TELEMETRY_THROTTLED = "telemetry-throttled"
    TELEMETRY_FAILING = "telemetry-failing"
    TELEMETRY_REDIRECTED = "telemetry-redirected"
    TELEMETRY_NOT_DATA = "telemetry-not-data"
    TELEMETRY_REFUSED = "telemetry-refused"
    TELEMETRY_PARTIAL = "telemetry-partial"
    CLOCK_SKEW = "clock-skew"
    STREAM_UNFIT = "stream-unfit"
    MESH_NOT_SERVED = "mesh-not-served"
    MESH_UNREACHABLE = "mesh-unreachable"
    PERMISSION_MISSING = "permission-missing"
    REFUSED = "refused"
    NO_ROUTE = "no-route"
    ARM_WITHOUT_PODS = "arm-without-pods"
    NO_BASELINE = "no-baseline"
    NO_SERIES = "no-series"
    STALE_DATA = "stale-data"
    SUMMED_COUNTERS = "summed-counters"
    MIXED_CLUSTERS = "mixed-clusters"
    ARMS_ALIKE = "arms-alike"
    LABEL_MISSING = "label-missing"
    ARM_WITHOUT_SERIES = "arm-without-series"
    NOT_COUNTED = "not-counted"
    NOT_EXAMINED = "not-examined"

    CLOCK_OFF = "clock-off"
    OBSERVED_TOO_SHORT = "observed-too-short"
    SLOW_SAMPLES = "slow-samples"
    LATE_SAMPLES = "late-samples"
    PODS_TWICE = "pods-twice"
    ARMS_BY_NAME = "arms-by-name"
    GIT_PUTS_BACK = "git-puts-back"
    NO_REQUESTS = "no-requests"
    NO_LATENCY = "no-latency"
    BLUNT_BUCKETS = "blunt-buckets"
    AGES_UNKNOWN = "ages-unknown"
    DENIALS_UNKNOWN = "denials-unknown"
    CONTROL_PLANE_BROKEN = "control-plane-broken"
    CONTROL_PLANE_UNSEEN = "control-plane-unseen"
    SIDECARS_UNSEEN = "sidecars-unseen"
    PERMISSION_NARROW = "permission-narrow"

    SERIES = "series"
    PACE = "pace"
    COUNTED = "counted"
    LABELS = "labels"
    BUCKETS = "buckets"
    CLOCK = "clock"
    CLUSTER = "cluster"
    CONTROL_PLANE = "control-plane"
    SIGNALS = "signals"
    PERMISSIONS = "permissions"
    MESH = "mesh"
    ROUTE = "route"
    GIT_LEAVES_ALONE = "git-leaves-alone"
    OBSERVED_ONLY = "observed-only"
    BROKER = "broker"

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return _SEVERITIES[self]


def _severities() -> dict[Code, Severity]:
    """Codes stand in the order of how bad they are: the first warning and the first note begin their groups."""
    found: dict[Code, Severity] = {}
    severity: Severity = "fault"
    for code in Code:
        if code is Code.CLOCK_OFF:
            severity = "warning"
        elif code is Code.SERIES:
            severity = "note"
        found[code] = severity
    return found


_SEVERITIES = _severities()


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was found.

    Attributes:
        code: what it is.
        where: a place in the settings (``telemetry.prometheus``), or a release (``shop/web``).
        found: what was seen, in one line.
        fix: what mends it: the key to set, the rule to add; lines of YAML may follow the first one. Empty for a note.
        more: further lines, for whoever wants to know exactly.
    """

    code: Code
    where: str
    found: str
    fix: str = ""
    more: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return self.code.severity


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """All of an examination, the worst first. ``seconds``: how long it took."""

    diagnoses: tuple[Diagnosis, ...]
    seconds: float

    def count(self, severity: Severity) -> int:
        """How many are so bad."""
        return sum(one.severity == severity for one in self.diagnoses)


def worst_first(diagnoses: Iterable[Diagnosis]) -> tuple[Diagnosis, ...]:
    """In the order in which to read them; what was found twice is told once."""
    codes = list(Code)
    once = dict.fromkeys(diagnoses)
    return tuple(sorted(once, key=lambda one: (_WORST_FIRST.index(one.severity), codes.index(one.code), one.where)))
