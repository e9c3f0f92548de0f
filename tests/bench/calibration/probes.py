"""The three questions put to a block of releases; every answer is the tick at which something first happened, 0 for never.

Evidence: when each sum of evidence, each leg by itself, and the judge with its guards first convict; the tolerances are as small
as can be, and nothing is promoted, so that the tests alone are measured. Promotion: when each certificate is first
there. Product: what the default policy does.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from analyzers import combine, p99, promotion
from analyzers.conviction import Evidence
from analyzers.intake import Tick
from analyzers.judge import Terms
from analyzers.layout import Array
from analyzers.report import DENIED, ERRORS, MEAN, RANK, TAIL
from analyzers.terms import Limits
from config.policy import DenialTolerance, ErrorTolerance, LatencyTolerance, Policy, Promotion, Tolerances
from daemon.simulation import trials
from daemon.simulation.drawing import Stream
from daemon.simulation.trials import Watch, terms_for
from tests.bench.calibration.cells import Cell
from tests.bench.calibration.lean import Bench, pods_of, tick_of

First = Mapping[str, Sequence[float]]
"""Per column, a number for every release of the block."""

LEGS: Final = {"errors": ERRORS, "rank": RANK, "tail": TAIL, "mean": MEAN}
SUMS: Final = ("avg", "mix", "boost", "guarded")
CERTIFICATES: Final = ("errors", "rank", "mean", "together", "p99")
BOUND_TICKS: Final = (60, 120, 300)
_NEVER: Final = Promotion(min_requests=10**15, min_seconds=0.0)
_LEAST: Final = 1.0 + 1e-9
STRICTEST: Final = Tolerances(
    errors=ErrorTolerance(max_rate=0.0, above_baseline=0.0), latency=LatencyTolerance(typical=_LEAST, slow_end=_LEAST)
)
LOOSEST: Final = Tolerances(
    errors=ErrorTolerance(max_rate=1.0, above_baseline=1.0),
    latency=LatencyTolerance(typical=100.0, slow_end=100.0),
    denied=DenialTolerance(above_baseline=1.0),
)


class _Firsts:
    """Notes when each column first holds."""

    def __init__(self, releases: int, columns: tuple[str, ...]) -> None:
        self.first = {column: np.zeros(releases, dtype=np.int64) for column in columns}

    def note(self, column: str, places: npt.NDArray[np.intp], holds: npt.NDArray[np.bool_], number: int) -> None:
        now = places[holds]
        ticks = self.first[column]
        ticks[now] = np.where(ticks[now] == 0, number, ticks[now])

    def waiting(self, places: npt.NDArray[np.intp], columns: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        """Which releases have a column that has not held yet."""
        waits = np.zeros(len(places), dtype=np.bool_)
        for column in columns:
            waits |= self.first[column][places] == 0
        return waits

    def lists(self) -> First:
        return {column: ticks.tolist() for column, ticks in self.first.items()}


def _policy(cell: Cell, tolerances: Tolerances) -> Policy:
    wandering = replace(tolerances, latency=replace(tolerances.latency, wander=cell.wander))
    return Policy(window_seconds=cell.window_seconds, warmup_seconds=cell.warmup_seconds, tolerances=wandering, promotion=_NEVER)


def _sums(legs: Array, total: Array, *, split: bool) -> dict[str, Array]:
    events = combine.events(legs[:, ERRORS], legs[:, DENIED])
    slowness = combine.latency(legs[:, RANK], legs[:, TAIL], legs[:, MEAN])
    count = len(legs)
    return {
        "avg": combine.together(events, slowness, np.zeros(count)),
        "mix": combine.together(events, slowness, np.ones(count)),
        "boost": total,
    } | ({} if split else {"boost": combine.together(events, slowness, np.ones(count))})


def _wanted(cell: Cell) -> tuple[str, ...]:
    return (*SUMS, *LEGS) if cell.legs else ("boost", "guarded")


def _note(firsts: _Firsts, places: npt.NDArray[np.intp], legs: Array, total: Array, number: int, cell: Cell) -> None:
    values = _sums(legs, total, split=cell.world.split) | {name: legs[:, leg] for name, leg in LEGS.items()}
    for column in firsts.first:
        if column in values:
            firsts.note(column, places, values[column] >= 100.0, number)


def evidence(cell: Cell, *, releases: int, seed: np.random.SeedSequence) -> First:
    """When each sum, each leg and the guarded judge convict. Pods' ages need the public way, the others take the quick one."""
    return (_by_samples if cell.world.pods.ages else _by_arrays)(cell, releases, seed)


def _by_arrays(cell: Cell, releases: int, seed: np.random.SeedSequence) -> First:
    terms = terms_for(cell.world, _policy(cell, STRICTEST))
    columns = _wanted(cell)
    pods = cell.world.pods
    apart = pods.told_apart
    firsts, bench = _Firsts(releases, columns), Bench(terms, releases, pods=(pods.canary, pods.baseline) if apart else (0, 0))
    seconds = cell.world.traffic.tick_seconds
    for drawn in Stream(cell.world, releases=releases, seed=seed).ticks(cell.world.ticks_in(cell.window_seconds)):
        tick = tick_of(drawn, bench.places, t=drawn.number * seconds)
        for part, found in bench.fold(tick, pods_of(drawn, bench.places) if apart else None):
            places = bench.places[part]
            _note(firsts, places, found.legs, found.total, drawn.number, cell)
            _note_guarded(firsts, bench, part, found, tick, drawn.number)
        bench.keep(firsts.waiting(bench.places, _stops(cell)))
        if not len(bench.places):
            break
    return firsts.lists()


def _note_guarded(firsts: _Firsts, bench: Bench, part: slice, found: Evidence, tick: Tick, number: int) -> None:
    asked = firsts.first["guarded"][bench.places[part]] == 0
    for at in bench.convicted(part, tick, found, asked=asked):
        firsts.first["guarded"][bench.places[at]] = number


def _stops(cell: Cell) -> tuple[str, ...]:
    """When all of these have held a release needs no more watching; a leg that sees nothing must not keep it."""
    if cell.section == "detection":
        return (*SUMS, cell.best_leg)
    return SUMS if cell.legs else ("guarded",)


def _by_samples(cell: Cell, releases: int, seed: np.random.SeedSequence) -> First:
    terms, loose = terms_for(cell.world, _policy(cell, STRICTEST)), terms_for(cell.world, _policy(cell, LOOSEST))
    firsts = _Firsts(releases, _wanted(cell))
    watch = Watch(cell.world, terms, releases=releases, seed=seed)
    for now in watch.rounds(cell.world.ticks_in(cell.window_seconds)):
        places = np.array(now.places)
        legs = np.array([[leg.e_value for leg in ruling.legs.values()] for ruling in now.rulings])
        total = np.array([ruling.evidence for ruling in now.rulings])
        _note(firsts, places, legs, total, now.number, cell)
        firsts.note("guarded", places, np.array([ruling.outcome == "rollback" for ruling in now.rulings]), now.number)
        for at in places[firsts.first["guarded"][places] > 0].tolist():
            watch.terms[at] = loose
        watch.places = places[firsts.waiting(places, _stops(cell))].tolist()
    return firsts.lists()


def certificates(cell: Cell, *, releases: int, seed: np.random.SeedSequence) -> First:
    """When each certificate is first there, and the bound certified for p99 at some ticks (NaN while there is none)."""
    errors = ErrorTolerance(max_rate=0.0, above_baseline=0.005)
    if cell.tolerance == "absolute":
        errors = ErrorTolerance(max_rate=0.005, above_baseline=0.0)
    terms = terms_for(cell.world, _policy(cell, Tolerances(errors=errors)))
    firsts, bench = _Firsts(releases, CERTIFICATES), Bench(terms, releases)
    bounds = {f"bound {tick}": np.full(releases, np.nan) for tick in BOUND_TICKS}
    for drawn in Stream(cell.world, releases=releases, seed=seed).ticks(cell.world.ticks_in(cell.window_seconds)):
        bench.fold(tick_of(drawn, bench.places, t=float(drawn.number)))
        with np.errstate(all="ignore"):
            _note_certificates(firsts, bench, terms, drawn.number)
        if drawn.number in BOUND_TICKS:
            bounds[f"bound {drawn.number}"][bench.places] = p99.certified_bound(bench.rows(), Limits([terms] * len(bench.places)))
        if drawn.number >= BOUND_TICKS[-1] or cell.tolerance == "absolute":
            bench.keep(firsts.waiting(bench.places, ("errors",) if cell.tolerance == "absolute" else CERTIFICATES))
        if not len(bench.places):
            break
    return {**firsts.lists(), **{column: values.tolist() for column, values in bounds.items()}}


def _note_certificates(firsts: _Firsts, bench: Bench, terms: Terms, number: int) -> None:
    rows, limits, places = bench.rows(), Limits([terms] * len(bench.places)), bench.places
    found = promotion.certify(rows, limits)
    for column, holds in (("errors", found.errors), ("rank", found.rank), ("mean", found.mean)):
        firsts.note(column, places, holds, number)
    firsts.note("together", places, found.errors & found.rank & found.mean, number)
    firsts.note("p99", places, p99.certified(rows, limits), number)


def product(cell: Cell, *, releases: int, seed: np.random.SeedSequence) -> First:
    """What the default policy does: the tick of each outcome, 0 where it was another one."""
    ends = trials.judge_block(cell.world, terms_for(cell.world, Policy()), releases=releases, seed=seed)
    outcomes = np.array(ends.outcomes)
    return {outcome: np.where(outcomes == outcome, ends.ticks, 0).tolist() for outcome in ("rollback", "promote", "inconclusive")}


def probe_of(cell: Cell) -> Callable[..., First]:
    """The question that a cell's section asks."""
    if cell.section == "promotion":
        return certificates
    return product if cell.section == "product" else evidence
