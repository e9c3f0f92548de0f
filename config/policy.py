"""What a team asks of a release: how much worse a canary may be, how sure to be, how long to look, what to do.

Everything is in users' terms: rates as fractions of requests, latency as a factor of the baseline's, times in seconds.
A policy has no name of a service or mesh in it, so that one policy serves many releases. It is identified by the hash of
its content (``config.identity``); the hash goes into every verdict.

Words of earlier versions stand beside the fields that took their place (``RENAMED``, ``RENAMED_VALUES``): whoever writes one is
told the new one (``config.walking``), and what was stored is read (``config.earlier``).
"""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Positive = Annotated[float, Meta(gt=0.0)]
Factor = Annotated[float, Meta(gt=1.0, le=100.0)]
Duration = Annotated[
    str,
    Meta(
        # Helm reads it too, whose expressions look ahead at nothing.
        pattern=r"^(\d{1,4}h(\d{1,5}m)?(\d{1,6}s)?|\d{1,5}m(\d{1,6}s)?|\d{1,6}s)$",
        extra={"fix": "write hours, minutes and seconds with their units, as in 15m, 1h30m or 90s"},
    ),
]
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}
SHORTEST_AFTER_SECONDS, LONGEST_AFTER_SECONDS = 30.0, 86_400.0


class ErrorTolerance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Failed requests (what those are: `failures`): beyond tolerance only when *both* limits are passed."""

    max_rate: Annotated[Fraction, Meta(description="Failed share of the canary's requests that is always accepted.")] = 0.005
    above_baseline: Annotated[
        Fraction,
        Meta(description="Points by which the canary's failed share may exceed the baseline's (0.0025 = 0.25 points)."),
    ] = 0.0025


class LatencyTolerance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Latency of the canary as a factor of the baseline's (1.10 = 10 % slower is accepted)."""

    RENAMED: ClassVar[Mapping[str, str]] = {"p99": "slow_end", "require_p99_certificate": "require_slow_end"}

    typical: Annotated[Factor, Meta(description="Median or mean, whichever the buckets resolve.")] = 1.10
    slow_end: Annotated[Factor, Meta(description="The slowest tenth of the requests, the 99th percentile among them.")] = 1.10
    wander: Annotated[
        Fraction,
        Meta(
            description="How far the latency of one version strays from the other's by itself, as a standard deviation "
            "(0.01 = 1 %). Widens both tolerances by twice as much before a canary is taken back; what must be shown before it is "
            "promoted stays."
        ),
    ] = 0.0
    require_slow_end: Annotated[
        bool,
        Meta(
            description="Promote only when the slow end is shown to be inside its tolerance (needs thousands of canary requests)."
        ),
    ] = False


class DenialTolerance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests denied by security policy (authorization, mTLS)."""

    above_baseline: Annotated[
        Fraction, Meta(description="Points by which the canary's denied share may exceed the baseline's.")
    ] = 0.0


class UnansweredTolerance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Requests that nobody answered before their client gave up: beyond tolerance only when *both* limits are passed."""

    max_rate: Annotated[Fraction, Meta(description="Unanswered share of the canary's requests that is always accepted.")] = 0.01
    above_baseline: Annotated[
        Fraction, Meta(description="Points by which the canary's unanswered share may exceed the baseline's.")
    ] = 0.005


class TrafficTolerance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The canary's share of the traffic against the route's weight."""

    share_factor: Annotated[
        Factor,
        Meta(
            description="Factor by which the odds of a request to be the canary's may differ from those of the route's weight at "
            "that time, either way. Beyond it for sure nothing is promoted: requests are lost, or sessions stick."
        ),
    ] = 1.25


Status = Annotated[
    Annotated[int, Meta(ge=100, le=599)] | Annotated[str, Meta(pattern="^[1-5]xx$")],
    Meta(extra={"fix": "write a status code as a number, such as 404, or a class of them, such as 4xx"}),
]
GrpcStatus = Literal[
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
"""In the order of their numbers, from 1."""
Flag = Annotated[str, Meta(pattern="^[A-Z]{2,16}$", extra={"fix": "write one of Envoy's short response flags, such as UT or RL"})]
Counted = Literal["failures", "unanswered", "excused"]


class Failures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What counts as a failed request. Of `unanswered` ones the baseline's share counts; `excused` ones do not count."""

    status: Annotated[tuple[Status, ...], Meta(description="Status codes (404) and classes of them (5xx) that are failures.")] = (
        "5xx",
    )
    not_status: Annotated[tuple[Status, ...], Meta(description="Codes and classes that are none, though `status` names them.")] = ()
    grpc_status: Annotated[
        tuple[GrpcStatus, ...], Meta(description="gRPC statuses that are failures. They travel under HTTP 200.")
    ] = ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
    flags: Annotated[
        tuple[Flag, ...], Meta(description="Envoy's response flags that are failures whatever the status: [UT, UO].")
    ] = ()
    excused_flags: Annotated[
        tuple[Flag, ...],
        Meta(description="Envoy's response flags that excuse a request whatever the status. FI: a fault that was injected."),
    ] = ("FI",)
    resets: Annotated[
        Counted, Meta(description="What requests are that got no response, while their client waited for one (code 0, without DC).")
    ] = "failures"
    gave_up: Annotated[
        Counted, Meta(description="What requests are whose client went before there was a response (code 0 or 499, flag DC).")
    ] = "unanswered"
    mirrored: Annotated[
        Literal["counted", "excused"],
        Meta(description="Whether copies of other requests count (hosts in -shadow). The canary of a mirror gets nothing else."),
    ] = "counted"

    def __post_init__(self) -> None:
        """Refuse values that contradict each other, a line for each. The loader turns them into errors with path and fix."""
        contradictions = []
        if both := [flag for flag in self.flags if flag in self.excused_flags]:
            contradictions.append(f"flags ({both[0]}) fails what excused_flags excuses; name it in one of them")
        if not (self.status or self.grpc_status or self.flags or "failures" in (self.resets, self.gave_up)):
            contradictions.append("status () names nothing, and nor does anything else: no request could ever fail; write [5xx]")
        if contradictions:
            raise ValueError("\n".join(contradictions))


class Tolerances(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much worse the canary may be before it is taken back."""

    errors: Annotated[ErrorTolerance, Meta(description="Failed requests.")] = ErrorTolerance()
    latency: Annotated[LatencyTolerance, Meta(description="Latency.")] = LatencyTolerance()
    denied: Annotated[DenialTolerance, Meta(description="Requests denied by security policy.")] = DenialTolerance()
    unanswered: Annotated[UnansweredTolerance, Meta(description="Requests whose clients gave up.")] = UnansweredTolerance()
    traffic: Annotated[TrafficTolerance, Meta(description="Share of the traffic.")] = TrafficTolerance()


class Promotion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be shown before a canary is called good."""

    alpha: Annotated[
        float,
        Meta(gt=0.0, lt=0.5, description="Chance of promoting a canary that is exactly at a tolerance, per quantity."),
    ] = 0.05
    min_requests: Annotated[int, Meta(ge=0, description="Canary requests that must have been judged.")] = 500
    min_seconds: Annotated[float, Meta(ge=0.0, description="Time that must have been watched.")] = 300.0


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One policy. Every field has a default: an empty document is a valid policy."""

    RENAMED_VALUES: ClassVar[Mapping[str, Mapping[str, str]]] = {"evidence": {"estimate": "balanced"}}

    mode: Annotated[
        Literal["observe", "enforce"],
        Meta(description="observe: publish the verdict only. enforce: take the traffic back as well."),
    ] = "enforce"
    alpha: Annotated[
        float,
        Meta(
            gt=0.0,
            lt=0.5,
            description="Chance of rolling back a canary that is no worse, at most, over the whole watch and all looks together, "
            "where requests are independent of each other.",
        ),
    ] = 0.01
    evidence: Annotated[
        Literal["fast", "balanced", "strict"],
        Meta(
            description="How sure it must be that the harm is beyond what is tolerated, before a canary is taken back: "
            "3 to 1 (fast), 5 to 1 (balanced) or 100 to 1 (strict)."
        ),
    ] = "balanced"
    window_seconds: Annotated[
        Positive, Meta(description="The watch ends here at the latest; without a decision it is inconclusive.")
    ] = 900.0
    warmup_seconds: Annotated[
        float, Meta(ge=0.0, description="Latency of a pod younger than this is not judged; errors always are.")
    ] = 60.0
    on_inconclusive: Annotated[
        Literal["hold", "promote", "rollback"],
        Meta(description="What an inconclusive verdict means for the pipeline. One cancelled or superseded always means hold."),
    ] = "hold"
    on_promote: Annotated[
        Literal["promote", "wait"],
        Meta(
            description="What becomes of a canary that is found good. promote: it is promoted. wait: a person says so "
            "(verdictd promote or rollback), and until then it is watched, and taken back where it turns bad."
        ),
    ] = "promote"
    approval_seconds: Annotated[
        float,
        Meta(
            gt=0.0,
            le=604_800.0,
            description="How long it waits for a person at most, also past the window; then it is inconclusive. "
            "Nothing where on_promote is promote.",
        ),
    ] = 3600.0
    return_days: Annotated[
        float,
        Meta(
            ge=0.0,
            le=90.0,
            description="A canary whose artifact was promoted so many days ago at most, and not taken back since, is a return: "
            "gates say yes at once, and no minimum is asked of its promotion. 0: none is.",
        ),
    ] = 7.0
    after: Annotated[
        Duration | None,
        Meta(
            description="How long a canary is watched on after its promotion (15m), alone: its failures against what is always "
            "accepted, its latency against the baseline's last minutes. It is a release of its own, with its own verdict. "
            "null: not at all."
        ),
    ] = None
    failures: Annotated[Failures, Meta(description="What counts as a failed request.")] = Failures()
    tolerances: Annotated[Tolerances, Meta(description="How much worse the canary may be.")] = Tolerances()
    promotion: Annotated[Promotion, Meta(description="What must be shown before a canary is called good.")] = Promotion()

    @property
    def after_seconds(self) -> float:
        """How long a canary is watched on after its promotion; 0: not at all."""
        return sum(float(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", self.after or ""))

    def __post_init__(self) -> None:
        """Refuse values that contradict each other, a line for each. The loader turns them into errors with path and fix."""
        window = f"window_seconds ({self.window_seconds:g})"
        contradictions = []
        if self.after is not None and not SHORTEST_AFTER_SECONDS <= self.after_seconds <= LONGEST_AFTER_SECONDS:
            contradictions.append(
                f"after ({self.after}) is no time to watch on after a promotion; "
                f"write {SHORTEST_AFTER_SECONDS:g}s or more, and at most {LONGEST_AFTER_SECONDS / 3600.0:g}h, or leave it out"
            )
        if self.promotion.min_seconds > self.window_seconds:
            contradictions.append(
                f"promotion.min_seconds ({self.promotion.min_seconds:g}) is longer than {window}: "
                "no release could ever be promoted; lengthen the window or shorten min_seconds"
            )
        if self.warmup_seconds >= self.window_seconds:
            contradictions.append(
                f"warmup_seconds ({self.warmup_seconds:g}) is not shorter than {window}: "
                "latency would never be judged; lengthen the window or shorten the warm-up"
            )
        if self.on_promote == "wait" and self.on_inconclusive == "promote":
            contradictions.append(
                "on_inconclusive (promote) lets a canary pass of which nothing is shown, while one that is found good waits for "
                "a person (on_promote); set on_inconclusive to hold or rollback"
            )
        if contradictions:
            raise ValueError("\n".join(contradictions))
