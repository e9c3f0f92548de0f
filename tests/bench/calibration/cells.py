"""What is measured: one cell per row of a table, a world and a question.

The latency histograms keep only those of Istio's default bounds between which a request of these worlds ever falls: an empty bucket
changes no evidence (a test says so) and only costs time.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from daemon.simulation.world import Change, Failures, Pods, Times, Traffic, Unsteady, World, fine_bounds

Section = Literal["detection", "false", "hazards", "costs", "shapes", "promotion", "product"]
BOUNDS: Final = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0)
TIMES: Final = Times(bounds_ms=BOUNDS)
LOW: Final = Traffic(canary_rps=5.0, baseline_rps=95.0)
EVEN: Final = Traffic(canary_rps=500.0, baseline_rps=500.0)
NARROW: Final = Times(median_ms=370.0, p99_ms=430.0, bounds_ms=BOUNDS)
MIDDLE: Final = Times(median_ms=60.0, p99_ms=360.0, bounds_ms=BOUNDS)
FINE: Final = Times(bounds_ms=fine_bounds())
TIED: Final = Times(median_ms=355.0, p99_ms=390.0, bounds_ms=BOUNDS)
NO_CHANGE: Final = Change()
_BAD: Final = ("e1", "e5", "e20", "x1.2", "x1.5", "t1.5", "e1x1.2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row.

    Attributes:
        key: names it, in the cache and among the reference figures.
        title: for the reader.
        world: the truth. runs: releases in a full calibration.
        window_seconds: of the watch. warmup_seconds: the policy's.
        legs: follow the legs by themselves too, beyond the rollback.
        tolerance: of errors in a promotion: beside the baseline, or absolute.
        wander: the policy's.
    """

    section: Section
    key: str
    title: str
    world: World
    runs: int
    window_seconds: float = 300.0
    warmup_seconds: float = 60.0
    legs: bool = True
    tolerance: Literal["relative", "absolute"] = "relative"
    wander: float = 0.01

    @property
    def best_leg(self) -> str:
        """The leg that is made for the change."""
        change = self.world.change
        return "rank" if change.factor != 1.0 else "tail" if change.tail != 1.0 else "errors"


def _world(**parts: object) -> World:
    world = World(times=TIMES)
    return replace(world, **parts)  # type: ignore[arg-type]  # parts are World's own fields, given by name


_CHANGES: Final[dict[str, tuple[str, Change]]] = {
    "e0.5": ("errors 0.1 -> 0.5 %", Change(errors=0.005)),
    "e1": ("errors 0.1 -> 1 %", Change(errors=0.01)),
    "e5": ("errors 0.1 -> 5 %", Change(errors=0.05)),
    "e20": ("errors 0.1 -> 20 %", Change(errors=0.2)),
    "e50": ("errors 0.1 -> 50 %", Change(errors=0.5)),
    "x1.05": ("latency x1.05", Change(factor=1.05)),
    "x1.1": ("latency x1.1", Change(factor=1.1)),
    "x1.2": ("latency x1.2", Change(factor=1.2)),
    "x1.5": ("latency x1.5", Change(factor=1.5)),
    "x2": ("latency x2", Change(factor=2.0)),
    "t1.5": ("p99 +50 % (tail only)", Change(tail=1.5)),
    "t2": ("p99 +100 % (tail only)", Change(tail=2.0)),
    "e1x1.2": ("errors 1 % and x1.2", Change(errors=0.01, factor=1.2)),
}


def _detection() -> list[Cell]:
    settings: list[tuple[str, str, Traffic, int, str]] = [
        ("", "", Traffic(), 0, "e0.5 e1 e5 e20 e50 x1.05 x1.1 x1.2 x1.5 x2 t1.5 t2 e1x1.2"),
        ("5s ", "5 s ticks: ", Traffic(tick_seconds=5.0), 0, "e1 e5 x1.2 t1.5"),
        ("5/95 ", "5/95 rps: ", LOW, 0, "e1 e5 x1.2 x1.5 x2"),
        ("500/500 ", "500/500 rps: ", EVEN, 0, "e0.5 e1 x1.05 x1.1 x1.2 t1.5"),
        ("50/50 ", "50/50 rps: ", Traffic(baseline_rps=50.0), 0, "x1.2"),
        ("late ", "onset at 165: ", Traffic(), 165, "e1 e5 e20 e50 x1.2 t1.5"),
    ]
    return [
        Cell(
            section="detection",
            key=prefix + name,
            title=words + _CHANGES[name][0],
            world=_world(traffic=traffic, change=replace(_CHANGES[name][1], onset_tick=onset)),
            runs=1000,
        )
        for prefix, words, traffic, onset, names in settings
        for name in names.split()
    ]


def _false() -> list[Cell]:
    rows: list[tuple[str, str, World, int]] = [
        ("clean", "clean", _world(), 20000),
        ("5/95", "5/95 rps", _world(traffic=LOW), 20000),
        ("500/500", "500/500 rps", _world(traffic=EVEN), 20000),
        ("base 1", "base errors 1 %", _world(failures=Failures(errors=0.01)), 20000),
        ("drift", "shared drift +-65 %", _world(unsteady=Unsteady(drift=0.65)), 10000),
        ("base 0", "base errors 0", _world(failures=Failures(errors=0.0)), 10000),
        ("base 5", "base errors 5 %", _world(failures=Failures(errors=0.05)), 10000),
        ("tied", "all mass in one bucket", _world(times=TIED), 10000),
        ("denied", "denials 0.5 % in both arms", _world(failures=Failures(denied=0.005)), 5000),
        ("5s", "5 s ticks, 60 looks", _world(traffic=Traffic(tick_seconds=5.0)), 5000),
        ("gaps", "an arm missing in 5 % of the ticks", _world(traffic=Traffic(gap_chance=0.05 / 3, gap_ticks=3)), 5000),
        ("resets", "a counter restart in 1 % of the ticks", _world(traffic=Traffic(reset_chance=0.01)), 5000),
        ("flush", "histograms merged every 5 ticks", _world(traffic=Traffic(flush_ticks=5)), 5000),
        ("slow 1", "slow errors in the histogram, base 1 %", _slow(0.01), 5000),
        ("slow 5", "slow errors in the histogram, base 5 %", _slow(0.05), 5000),
        ("95/5", "95/5 rps", _world(traffic=Traffic(canary_rps=95.0, baseline_rps=5.0)), 2000),
        ("198/2", "198/2 rps", _world(traffic=Traffic(canary_rps=198.0, baseline_rps=2.0)), 2000),
        ("950/50", "950/50 rps", _world(traffic=Traffic(canary_rps=950.0, baseline_rps=50.0)), 2000),
        ("50/50", "50/50 rps", _world(traffic=Traffic(baseline_rps=50.0)), 2000),
        ("25/75", "25/75 rps", _world(traffic=Traffic(canary_rps=25.0, baseline_rps=75.0)), 2000),
        ("10/10", "10/10 rps", _world(traffic=Traffic(canary_rps=10.0, baseline_rps=10.0)), 2000),
        ("200/800", "200/800 rps", _world(traffic=Traffic(canary_rps=200.0, baseline_rps=800.0)), 2000),
    ]
    return [Cell(section="false", key=key, title=title, world=world, runs=runs) for key, title, world, runs in rows]


def _slow(rate: float) -> World:
    return _world(failures=Failures(errors=rate, slow=20.0), split=False)


def _apart(canary: int, spread: float = 0.0) -> Pods:
    return Pods(canary=canary, baseline=10, spread=spread, told_apart=True)


def _pods_that_fail(change: Change = NO_CHANGE) -> World:
    pods = Pods(canary=3, baseline=10, error_spread=0.5, told_apart=True)
    return _world(pods=pods, failures=Failures(errors=0.01), change=change)


WANDERING: Final = Unsteady(jitter=(0.05, 0.0115), correlation=0.9)
KNOWN_WANDER: Final = 0.05
"""What a policy says whose service wanders so."""


def _clumped(traffic: Traffic, errors: float) -> World:
    return _world(traffic=traffic, failures=Failures(errors=errors, clump=5))


def _hazards() -> list[Cell]:
    together = Unsteady(jitter=(0.05, 0.011), drift=0.65)
    cold, warm = Unsteady(cold=3.0), Pods(canary=1, baseline=2, told_apart=True, ages=True)
    walk = Unsteady(pod_jitter=0.05, correlation=0.9)
    rows: list[tuple[str, str, World, int, float]] = [
        ("bursts", "errors in bursts of 5", _world(failures=Failures(clump=5)), 5000, 60.0),
        ("5s bursts", "errors in bursts of 5, base 1 %, 5 s ticks", _clumped(Traffic(tick_seconds=5.0), 0.01), 5000, 60.0),
        ("even bursts", "errors in bursts of 5, base 1 %, 500/500 rps", _clumped(EVEN, 0.01), 2000, 60.0),
        ("jitter 5", "tick jitter 5 %, baseline 1.1 %", _world(unsteady=Unsteady(jitter=(0.05, 0.011))), 5000, 60.0),
        ("jitter 10", "tick jitter 10 %, baseline 2.3 %", _world(unsteady=Unsteady(jitter=(0.1, 0.023))), 5000, 60.0),
        ("ar", "AR(1) 0.9 sd 5 %, pods unknown", _world(unsteady=WANDERING), 5000, 60.0),
        ("ar pods", "AR(1) per pod, 3 canary pods", _world(unsteady=walk, pods=_apart(3)), 2000, 60.0),
        ("ar 1 pod", "AR(1) per pod, 1 canary pod", _world(unsteady=walk, pods=_apart(1)), 2000, 60.0),
        ("pods 2", "pods differ by 2 %, 3 canary pods", _world(pods=_apart(3, 0.02)), 2000, 60.0),
        ("pods 5", "pods differ by 5 %, 3 canary pods", _world(pods=_apart(3, 0.05)), 2000, 60.0),
        ("1 pod 5", "pods differ by 5 %, 1 canary pod", _world(pods=_apart(1, 0.05)), 2000, 60.0),
        (
            "together",
            "pods 2 %, jitter 5 %, bursts of 3, drift",
            _world(pods=_apart(3, 0.02), unsteady=together, failures=Failures(clump=3)),
            2000,
            60.0,
        ),
        ("pod errors", "pods' error rates differ by 50 %, 3 canary pods", _pods_that_fail(), 2000, 60.0),
        ("cold", "canary x3 at the start, tau 10 s", _world(unsteady=cold), 1000, 60.0),
        ("cold 30", "the same, latency from age 30 s", _world(unsteady=cold, pods=warm), 1000, 30.0),
        ("cold 45", "the same, from 45 s", _world(unsteady=cold, pods=warm), 1000, 45.0),
        ("cold 60", "the same, from 60 s", _world(unsteady=cold, pods=warm), 2000, 60.0),
        ("cold both", "the same, baseline pods as cold", _world(unsteady=replace(cold, cold_baseline=True), pods=warm), 2000, 60.0),
    ]
    cells = [
        Cell(section="hazards", key=key, title=title, world=world, runs=runs, warmup_seconds=warmup, legs=False)
        for key, title, world, runs, warmup in rows
    ]
    at = next(at for at, cell in enumerate(cells) if cell.key == "ar")
    known = replace(cells[at], key="ar known", title="the same, and the policy says `wander: 0.05`", wander=KNOWN_WANDER)
    return [*cells[: at + 1], known, *cells[at + 1 :]]


def _costs() -> list[Cell]:
    burst = Failures(clump=5)
    rows: list[tuple[str, str, World]] = [
        ("burst e1", "errors in bursts of 5: to 1 %", _world(failures=burst, change=Change(errors=0.01))),
        ("burst e5", "errors in bursts of 5: to 5 %", _world(failures=burst, change=Change(errors=0.05))),
    ]
    for spread in (0.0, 0.02, 0.05):
        name = f"{spread:.0%}".replace("%", " %")
        rows += [
            (f"3 pods {spread:g} {key}", f"3 canary pods, pods differ {name}: {_CHANGES[key][0]}", _pods_world(3, spread, key))
            for key in ("x1.1", "x1.2", "x1.5")
        ]
        rows.append((f"1 pod {spread:g} x1.2", f"1 canary pod, pods differ {name}: latency x1.2", _pods_world(1, spread, "x1.2")))
    rows += [
        ("fragile e5", "pods' error rates differ by 50 %: errors 1 -> 5 %", _pods_that_fail(Change(errors=0.05))),
        ("fragile e10", "pods' error rates differ by 50 %: errors 1 -> 10 %", _pods_that_fail(Change(errors=0.1))),
        ("5s burst e5", "errors in bursts of 5, 5 s ticks: 1 -> 5 %", _noisy(Change(errors=0.05))),
        ("5s burst e10", "errors in bursts of 5, 5 s ticks: 1 -> 10 %", _noisy(Change(errors=0.1))),
    ]
    cells = [Cell(section="costs", key=key, title=title, world=world, runs=400, legs=False) for key, title, world in rows]
    known = [
        Cell(
            section="costs",
            key=f"known {key}",
            title=f"the policy says `wander: 0.05`: {_CHANGES[key][0]}",
            world=_world(change=_CHANGES[key][1]),
            runs=400,
            legs=False,
            wander=KNOWN_WANDER,
        )
        for key in ("x1.1", "x1.2", "x1.5")
    ]
    return [*cells, *known]


def _noisy(change: Change) -> World:
    return replace(_clumped(Traffic(tick_seconds=5.0), 0.01), change=change)


def _pods_world(canary: int, spread: float, change: str) -> World:
    return _world(pods=_apart(canary, spread), change=_CHANGES[change][1])


def _shapes() -> list[Cell]:
    settings: list[tuple[str, str, Times, str]] = [
        ("narrow", "median 370, p99 430", NARROW, "x1.05 x1.1 x1.2 x1.5"),
        ("middle", "median 60, p99 360", MIDDLE, "x1.1 x1.2 t1.5"),
        ("fine", "12 buckets a decade", FINE, "x1.1 x1.2 t1.5"),
    ]
    cells = []
    for prefix, words, times, names in settings:
        cells += [
            Cell(
                section="shapes",
                key=f"{prefix} {name}",
                title=f"{words}: {_CHANGES[name][0]}",
                world=_world(times=times, change=_CHANGES[name][1]),
                runs=1000,
            )
            for name in names.split()
        ]
        cells.append(Cell(section="shapes", key=f"{prefix} A/A", title=f"{words}: A/A", world=_world(times=times), runs=1000))
    return cells


def _promotion() -> list[Cell]:
    cells = []
    for prefix, words, traffic, long in (("", "50/950 rps", Traffic(), 600.0), ("500/500 ", "500/500 rps", EVEN, 150.0)):
        rows: list[tuple[str, str, Change, float, Literal["relative", "absolute"]]] = [
            ("same", "identical canary", NO_CHANGE, 600.0, "relative"),
            ("same absolute", "identical canary, absolute limit", NO_CHANGE, 120.0, "absolute"),
            ("x1.05", "canary x1.05", Change(factor=1.05), long, "relative"),
            ("at e0.6", "canary at 0.6 % errors", Change(errors=0.006), long, "relative"),
            ("at e0.5", "canary at 0.5 % errors", Change(errors=0.005), long, "absolute"),
            ("at x1.1", "canary x1.10", Change(factor=1.1), long, "relative"),
            ("at t1.1", "canary p99 +10 % (tail only)", Change(tail=1.1), long, "relative"),
            ("t1.5", "canary p99 +50 % (tail only)", Change(tail=1.5), long, "relative"),
        ]
        cells += [
            Cell(
                section="promotion",
                key=prefix + key,
                title=f"{words}: {title}",
                world=_world(traffic=traffic, change=change),
                runs=1000,
                window_seconds=window,
                tolerance=tolerance,
            )
            for key, title, change, window, tolerance in rows
        ]
    return cells


def _product() -> list[Cell]:
    rows: list[tuple[str, str, World]] = [
        ("clean", "healthy", _world()),
        ("5/95", "healthy, 5/95 rps", _world(traffic=LOW)),
        ("500/500", "healthy, 500/500 rps", _world(traffic=EVEN)),
        ("drift", "healthy, shared drift +-65 %", _world(unsteady=Unsteady(drift=0.65))),
        ("bursts", "healthy, errors in bursts of 5", _world(failures=Failures(clump=5))),
        ("base 3", "healthy, both arms fail 3 %", _world(failures=Failures(errors=0.03))),
        ("tied", "healthy, all latencies in one bucket", _world(times=TIED)),
        ("jitter 10", "healthy, tick jitter 10 %", _world(unsteady=Unsteady(jitter=(0.1, 0.023)))),
        ("ar", "healthy, correlated latency, pods unknown", _world(unsteady=WANDERING)),
        ("pod errors", "healthy, pods' error rates differ by 50 %", _pods_that_fail()),
        ("unsplit", "healthy, slow errors in the histogram", _slow(0.01)),
        ("x1.02", "tolerated: latency x1.02", _world(change=Change(factor=1.02))),
        ("x1.05", "tolerated: latency x1.05", _world(change=Change(factor=1.05))),
        ("at e0.5", "at its tolerance: errors 0.5 %", _world(change=Change(errors=0.005))),
        ("at x1.1", "at its tolerance: latency x1.1", _world(change=Change(factor=1.1))),
        *((key, f"bad: {_CHANGES[key][0]}", _world(change=_CHANGES[key][1])) for key in _BAD),
        ("x1.2 unsplit", "bad: latency x1.2, histogram not split", _world(change=Change(factor=1.2), split=False)),
        ("e1 unsplit", "bad: errors 1 %, histogram not split", _world(change=Change(errors=0.01), split=False)),
    ]
    return [
        Cell(section="product", key=key, title=title, world=world, runs=2000 if key == "clean" else 1000)
        for key, title, world in rows
    ]


def all_cells() -> list[Cell]:
    """Every cell, in the order of the page."""
    return [*_false(), *_detection(), *_hazards(), *_costs(), *_shapes(), *_promotion(), *_product()]
