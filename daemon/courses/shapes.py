"""How a watch went, as whoever draws it is told: the page over the API, and the pages that are written to a file."""

import msgspec

from analyzers.ruling import Finding
from daemon.measurements import PodsState


class LegNowShown(msgspec.Struct, frozen=True, kw_only=True):
    """One quantity now. ``effect`` is in its ``unit``, null where nothing can be said; evidence is a decimal logarithm."""

    leg: str
    words: str
    unit: str
    effect: float | None
    log_evidence: float
    log_beyond: float


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """The last tick in short.

    Attributes:
        weight: the canary's by its route, in percent; null where nobody has said one.
        share: its part of the requests, 0 to 1; null where there were none.
        leg, words: the quantity that speaks most against the canary; empty where none does.
        gap: why the tick had no information, or empty.
    """

    weight: float | None = None
    share: float | None = None
    leg: str = ""
    words: str = ""
    gap: str = ""


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """A figure over the stretches, each with its 95 % interval for one look; null where it, or an end of it, is not known."""

    value: list[float | None] = []
    low: list[float | None] = []
    high: list[float | None] = []


class ArmCourse(msgspec.Struct, frozen=True, kw_only=True):
    """One arm: requests a second over the rows (null where there is no information), the rest over the stretches.

    Attributes:
        failed_share: of its requests, 0 to 1.
        median_ms, p99_ms: of its latency, as far as the buckets tell them.
        buckets: its requests by latency over the whole watch, one more than there are bounds.
    """

    per_second: list[float | None]
    failed_share: Estimated = Estimated()
    median_ms: Estimated = Estimated()
    p99_ms: Estimated = Estimated()
    buckets: list[int] = []


class PodCourse(msgspec.Struct, frozen=True, kw_only=True):
    """What one pod served over the whole watch. ``mean_ms`` is null where no latency is known."""

    arm: str
    pod: str
    requests: int
    errors: int
    mean_ms: float | None


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """What the policy tolerates of the canary beside the baseline of the same stretch; null where that is not known."""

    failed_share: list[float | None] = []
    median_ms: list[float | None] = []
    p99_ms: list[float | None] = []


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """A watch over time: parallel lists, the oldest first. Empty where nothing of it is in memory.

    Rows tell evidence and traffic; stretches are the same time in fewer pieces, since a share or a quantile needs requests.

    Attributes:
        t: seconds since the watch began, at the row's end. seconds: how long each row is.
        gaps: whether the row had no information.
        log_evidence: that the canary is worse at all, all together, as a decimal logarithm. boundary: what a rollback needs of it.
        legs, beyond: of each quantity: that it is worse at all, and that it is worse than tolerated.
        beyond_boundary: what a rollback needs of the latter, of one quantity; null where its policy is not known.
        weight: the canary's by its route, in percent.
        stretches: seconds since the watch began, at the stretch's end.
        bounds_ms: of the latency buckets.
        pods: the busiest of each arm. pods_left_out: how many more there were.
        pods_state: how the arms' pods are, where it is known.
        now: each quantity at the last tick, while it is watched.
        findings: what each says so far, while it is watched and both arms are compared.
    """

    t: list[float] = []
    seconds: list[float] = []
    gaps: list[bool] = []
    log_evidence: list[float] = []
    boundary: float | None = None
    legs: dict[str, list[float]] = {}
    beyond: dict[str, list[float]] = {}
    beyond_boundary: float | None = None
    weight: list[float | None] = []
    stretches: list[float] = []
    bounds_ms: list[float] = []
    baseline: ArmCourse | None = None
    canary: ArmCourse | None = None
    allowed: Allowed = Allowed()
    pods: tuple[PodCourse, ...] = ()
    pods_left_out: int = 0
    pods_state: PodsState | None = None
    now: tuple[LegNowShown, ...] = ()
    findings: tuple[Finding, ...] = ()
