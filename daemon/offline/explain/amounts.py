"""Numbers of an account in words: amounts of evidence, and the classical figures by their names."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, assert_never

from analyzers import words

Kind = Literal["count", "percent", "chance", "factor", "ms"]

_FIGURES: Final[Mapping[str, tuple[str, Kind]]] = {
    "canary_errors_low": ("canary's failures, at least (Wilson, 95 %)", "percent"),
    "canary_errors_high": ("canary's failures, at most", "percent"),
    "baseline_errors_low": ("baseline's failures, at least (Wilson, 95 %)", "percent"),
    "baseline_errors_high": ("baseline's failures, at most", "percent"),
    "binomial_p": ("p of failing no more than the baseline (binomial)", "chance"),
    "relative_risk": ("failures, canary to baseline (relative risk)", "factor"),
    "mann_whitney_u": ("U of the canary's latencies (Mann-Whitney)", "count"),
    "mann_whitney_probability": ("chance that a canary request is the slower one", "chance"),
    "mann_whitney_p": ("p of being no slower (Mann-Whitney)", "chance"),
    "typical_factor": ("typical latency, canary to baseline", "factor"),
    "canary_p50_low_ms": ("canary's median, at least", "ms"),
    "canary_p50_high_ms": ("canary's median, at most", "ms"),
    "canary_p99_low_ms": ("canary's p99, at least", "ms"),
    "canary_p99_high_ms": ("canary's p99, at most", "ms"),
    "baseline_p50_low_ms": ("baseline's median, at least", "ms"),
    "baseline_p50_high_ms": ("baseline's median, at most", "ms"),
    "baseline_p99_low_ms": ("baseline's p99, at least", "ms"),
    "baseline_p99_high_ms": ("baseline's p99, at most", "ms"),
}
"""What the judge's classical figures are called; one that is not here goes by its own name."""


def amount(value: float) -> str:
    """Evidence: 0.12, 7.3, 164, 12 500, 10^9."""
    if value >= 1e6:
        return f"10^{f'{value:e}'.partition('e+')[2].lstrip('0')}"
    return words.count(value) if value >= 100.0 else f"{value:.2g}"


def figures(fixed_horizon: Mapping[str, float | None]) -> Iterator[tuple[str, str]]:
    """Classical figures as name and value."""
    for name, value in fixed_horizon.items():
        shown, kind = _FIGURES.get(name, (name.replace("_", " "), "chance"))
        yield shown, "not known" if value is None else _shown(value, kind)


def _shown(value: float, kind: Kind) -> str:
    match kind:
        case "count":
            return words.count(value)
        case "percent":
            return words.percent(value)
        case "chance":
            return f"{value:.3g}"
        case "factor":
            return words.times(value)
        case "ms":
            return f"{words.count(value) if value >= 100.0 else f'{value:.3g}'} ms"
        case _:
            assert_never(kind)
