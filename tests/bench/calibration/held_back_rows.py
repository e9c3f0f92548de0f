"""The rows of the second generator, which nothing is tuned on: services of other shapes, rates, bounds and failures."""

from dataclasses import replace
from typing import Final

from tests.bench.calibration.asks import Ask, Found, Promoted, RolledBack
from tests.bench.calibration.held_back import LINKERD_MS, RAW_MS, Service
from tests.bench.calibration.row import TICKS, USUAL, Row

WEIBULL: Final = Service(canary_rps=30.0, baseline_rps=270.0)
GAMMAS: Final = Service(law="gammas", bounds_ms=RAW_MS, busy=1.8, strain=1.25)
TRUNCATED: Final = Service(law="truncated", canary_rps=120.0, baseline_rps=480.0, bounds_ms=LINKERD_MS)
HUMPS: Final = Service(law="humps", bounds_ms=LINKERD_MS, busy=1.5, strain=1.4, sojourn=40.0)
STEPS: Final = Service(law="steps", canary_rps=7.0, baseline_rps=63.0, bounds_ms=RAW_MS, errors=0.0)
CAUCHY: Final = Service(law="cauchy", canary_rps=200.0, baseline_rps=200.0, busy=2.0, strain=1.6, sojourn=10.0)
FLICKERING: Final = Service(law="gammas", bounds_ms=RAW_MS, errors=0.004, flicker=0.5)
DOWN: Final = Service(law="weibull", down=0.02)
_SERVICES: Final = {
    "Weibull, 30/270 rps": WEIBULL,
    "two gammas, raw bins, busy spells": GAMMAS,
    "truncated, Linkerd's bounds, 120/480 rps": TRUNCATED,
    "two humps, Linkerd's bounds, busy spells": HUMPS,
    "five paths, raw bins, 7/63 rps, no errors": STEPS,
    "heavy tail, 200/200 rps, busy spells": CAUCHY,
    "failure rate drawn anew every tick, .4 %": FLICKERING,
    "a shared backend down in 2 % of the ticks": DOWN,
}


def _row(title: str, service: Service, asked: Ask, *, releases: int = 2000) -> Row:
    return Row(section="held back", title=title, stream=service, asked=asked, releases=releases)


def held_back() -> list[Row]:
    """Every row of the second generator."""
    one = RolledBack(at_most=0.01)
    same = [_row(f"same: {name}", service, one) for name, service in _SERVICES.items()]
    better = [
        _row(f"{words}: {name}", replace(_SERVICES[name], **{field: factor}), one)  # type: ignore[arg-type]  # a factor of Service
        for words, field, factor in (("x.7", "canary_factor", 0.7), ("faster half x.5", "fastest_factor", 0.5))
        for name in ("Weibull, 30/270 rps", "two gammas, raw bins, busy spells", "two humps, Linkerd's bounds, busy spells")
    ]
    changed: list[tuple[str, Service, Ask]] = [
        ("x1.08: Weibull, 30/270 rps", replace(WEIBULL, canary_factor=1.08), RolledBack(at_most=0.04)),
        ("x1.08: two gammas, raw bins, busy spells", replace(GAMMAS, canary_factor=1.08), RolledBack(at_most=0.04)),
        ("x1.10: Weibull, 30/270 rps", replace(WEIBULL, canary_factor=1.1), RolledBack(at_most=0.1)),
        ("x1.10: two gammas, raw bins, busy spells", replace(GAMMAS, canary_factor=1.1), RolledBack(at_most=0.1)),
        ("x1.10: two humps, Linkerd's bounds, busy spells", replace(HUMPS, canary_factor=1.1), RolledBack(at_most=0.1)),
        ("errors .2 -> .4 %", replace(WEIBULL, canary_rps=80.0, baseline_rps=720.0, canary_errors=0.004), RolledBack(at_most=0.03)),
        ("errors .2 -> .5 %", replace(GAMMAS, canary_errors=0.005), RolledBack(at_most=0.12)),
        ("slow 3 % x1.10: heavy tail", replace(CAUCHY, slowest=0.03, slow_factor=1.1), RolledBack(at_most=0.11)),
        ("errors .2 -> 1 %", replace(GAMMAS, canary_errors=0.01), Found()),
        ("errors .2 -> 3 %, 30/270 rps", replace(WEIBULL, canary_errors=0.03), Found()),
        ("x1.25: Weibull, 30/270 rps", replace(WEIBULL, canary_factor=1.25), Found()),
        ("x1.2: two humps, Linkerd's bounds", replace(HUMPS, canary_factor=1.2), Found()),
        ("slow 3 % x1.6: two gammas", replace(GAMMAS, slowest=0.03, slow_factor=1.6), Found()),
        ("from tick 110: errors 2 %", replace(GAMMAS, onset_tick=110, canary_errors=0.02), Found()),
        ("from tick 110: x1.3, two humps", replace(HUMPS, onset_tick=110, canary_factor=1.3), Found()),
    ]
    found = [_row(title, service, asked, releases=TICKS if isinstance(asked, Found) else 2000) for title, service, asked in changed]
    promoted = [
        replace(row, title=f"promoted: {row.title}", watch=USUAL, asked=Promoted(at_least=0.95))
        for row in (same[0], same[2], *better[:3])
    ]
    return [*same, *better, *found, *promoted]
