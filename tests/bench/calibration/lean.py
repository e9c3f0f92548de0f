"""The judge's fold without samples and sentences: arrays in, evidence out, twice as fast as the public way.

Millions of release-ticks are folded by a calibration, and half of the public fold's time is structs and words that nobody reads
here. It calls the same parts in the same order; a test holds it to the public fold's numbers to the last bit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analyzers import bank, intake, judge, memory, multiplier
from analyzers.conviction import Evidence, charges
from analyzers.guards import bursts, share
from analyzers.guards.pods import Scores, Tallies
from analyzers.layout import TICK, Array, Mask, Rows, blank
from analyzers.legs import mean, ratio
from analyzers.terms import Limits, Terms
from daemon.simulation.drawing import Drawn
from daemon.simulation.drawing import Tick as DrawnTick

Places = npt.NDArray[np.intp]
CHUNK = 128


def _numbers(drawn: Drawn, places: Places) -> tuple[Array, Array, Array]:
    errors, requests, denied = (part[places].sum(1).astype(np.float64) for part in (drawn.errors, drawn.requests, drawn.denied))
    return errors, requests, denied


def tick_of(tick: DrawnTick, places: Places, *, t: float, weight: float = math.nan) -> intake.Tick:
    """What ``intake.pack`` makes of the samples of these releases."""
    canary, baseline = tick.canary, tick.baseline
    c_err, c_req, c_den = _numbers(canary, places)
    b_err, b_req, b_den = _numbers(baseline, places)
    c, b = (drawn.counts[places].sum(1).astype(np.float64) for drawn in (canary, baseline))
    c_sum, b_sum = (drawn.sums[places].sum(1) for drawn in (canary, baseline))
    seen = canary.present[places] & baseline.present[places]
    timed = seen & canary.flushed & baseline.flushed & (c.sum(1) > 0.0) & (b.sum(1) > 0.0)
    known = seen & canary.flushed & baseline.flushed
    for values in (c_err, b_err, c_req, b_req, c_den, b_den):
        values[~seen] = 0.0
    c[~timed], b[~timed] = 0.0, 0.0
    return intake.Tick(
        t=np.full(len(places), t),
        seen=seen,
        c_err=c_err,
        b_err=b_err,
        c_req=c_req,
        b_req=b_req,
        c_den=c_den,
        b_den=b_den,
        timed=timed,
        c=c,
        b=b,
        c_sum=np.where(known & (c_sum > 0.0), c_sum, np.nan),
        b_sum=np.where(known & (b_sum > 0.0), b_sum, np.nan),
        warming=np.zeros(len(places), dtype=np.bool_),
        settling=np.ones(len(places)),
        ageless=np.ones(len(places), dtype=np.bool_),
        weight=np.full(len(places), weight),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PodCounts:
    """Histograms (releases, pods, J), sums, requests and failures (releases, pods) of all pods, the canary's first."""

    counts: Array
    sums: Array
    asked: Array
    failed: Array


def pods_of(tick: DrawnTick, places: Places) -> PodCounts:
    """What the pods of these releases bring."""
    arms = (tick.canary, tick.baseline)
    return PodCounts(
        counts=np.concatenate([drawn.counts[places] for drawn in arms], axis=1).astype(np.float64),
        sums=np.concatenate([drawn.sums[places] for drawn in arms], axis=1),
        asked=np.concatenate([(drawn.requests + drawn.denied)[places] for drawn in arms], axis=1).astype(np.float64),
        failed=np.concatenate([(drawn.errors + drawn.denied)[places] for drawn in arms], axis=1).astype(np.float64),
    )


class Bench:
    """States of a block of releases under the same terms, and the order they stand in.

    ``pods``: (canary, baseline) numbers where telemetry tells pods apart; their ages must not matter.
    """

    def __init__(self, terms: Terms, releases: int, *, pods: tuple[int, int] = (0, 0)) -> None:
        """All of them have seen nothing."""
        self.places: Places = np.arange(releases)
        self._keys = [*(f"cpod-{at}" for at in range(pods[0])), *(f"bpod-{at}" for at in range(pods[1]))]
        self._tallies = np.zeros((releases, len(self._keys), 10))
        self._raw = np.repeat(blank()[None, :], releases, axis=0)
        self._terms = terms
        self._limits = Limits([terms] * releases)

    def keep(self, chosen: Mask) -> None:
        """Forget the others."""
        if not chosen.all():
            self.places, self._raw, self._tallies = self.places[chosen], self._raw[chosen], self._tallies[chosen]
            self._limits = Limits([self._terms] * max(1, len(self.places)))

    def rows(self) -> Rows:
        """The states."""
        return Rows(self._raw)

    def fold(self, tick: intake.Tick, pods: PodCounts | None = None) -> list[tuple[slice, Evidence]]:
        """Fold one tick of all releases; evidence by parts of the block."""
        parts = [slice(first, min(first + CHUNK, len(self.places))) for first in range(0, len(self.places), CHUNK)]
        with np.errstate(all="ignore"):
            return [(part, self._fold(part, tick.take(np.arange(part.start, part.stop)), pods)) for part in parts]

    def _note_pods(self, part: slice, tick: intake.Tick, pods: PodCounts, scores: Scores) -> None:
        """What ``guards.pods.fold`` keeps of the pods, as an array."""
        counts, timed = pods.counts[part], tick.timed
        number = counts.sum(-1)
        mean = (tick.c_sum + tick.b_sum) / np.maximum(tick.c.sum(1) + tick.b.sum(1), 1.0)
        above = np.nan_to_num(pods.sums[part] - number * mean[:, None])
        ranks, tails = ((counts * score[:, None, :]).sum(-1) for score in (scores.ranks, scores.tails))
        squares = [one * one / np.maximum(number, 1.0) for one in (ranks, tails, above)]
        self._tallies[part, :, :4] += np.where(timed[:, None, None], np.stack([number, ranks, tails, above], axis=-1), 0.0)
        new = np.stack([*squares, (number > 0.0).astype(np.float64)], axis=-1)
        self._tallies[part, :, 6:] += np.where(timed[:, None, None], new, 0.0)
        self._tallies[part, :, 4:6] += np.where(
            tick.seen[:, None, None], np.stack([pods.asked[part], pods.failed[part]], axis=-1), 0.0
        )

    def _fold(self, part: slice, tick: intake.Tick, pods: PodCounts | None) -> Evidence:
        rows, limits = Rows(self._raw[part]), self._limits.take(np.arange(part.start, part.stop))
        so_far = memory.fold(rows, limits, tick)
        bursts.fold(rows, tick)
        share.fold(rows, limits, tick)
        log_latency, scores = judge._latency(rows, limits, tick, so_far)
        if pods is not None:
            self._note_pods(part, tick, pods, scores)
        averages = mean.fold(rows, limits, tick)
        log_denied = ratio.log_e(tick.c_den, tick.b_den, tick.c_req + tick.c_den, tick.b_req + tick.b_den)
        before = bank.values(rows, limits)
        denied = bank.denied_after(rows, limits, log_denied) if log_denied.any() else before[:, bank.DENIED]
        multiplier.fold(rows, limits, tick, errors=before[:, bank.ERRORS], denied=denied)
        log_errors = ratio.log_e(tick.c_err, tick.b_err, tick.c_req, tick.b_req)
        cooled = bank.fold(rows, limits, np.concatenate([log_errors, log_denied, log_latency], axis=1))
        rows.head[:, TICK] += 1.0
        return judge._together(rows, limits, cooled, averages, [{}] * len(tick.t))

    def convicted(self, part: slice, tick: intake.Tick, evidence: Evidence, *, asked: Mask) -> Sequence[int]:
        """Which of the asked releases of a part are convicted now: their numbers within the block."""
        if not (asked & (evidence.total >= self._terms.boundary)).any():
            return []
        chosen = np.arange(part.start, part.stop)
        evidence.total = np.where(asked, evidence.total, 0.0)
        if self._keys:
            reached = evidence.total >= self._terms.boundary
            evidence.tallies = [self._tally(part.start + at) if reached[at] else {} for at in range(len(reached))]
        with np.errstate(all="ignore"):
            found = charges(Rows(self._raw[part]), self._limits.take(chosen), tick.take(chosen), evidence)
        return [part.start + at for at, charge in found.items() if charge.leg is not None]

    def _tally(self, at: int) -> Tallies:
        rows = self._tallies[at].tolist()
        return {key: tuple(tally) for key, tally in zip(self._keys, rows, strict=True)}
