"""The judge: samples in, rulings out. Pure and deterministic; the same samples under the same terms give the same ruling.

All releases due at a tick are folded in one batch of arrays. ``fold`` knows no clock: the deadline is the sample's own ``t``
against the window, so that a replay ends as the watch did.
"""

import json
import struct
from collections.abc import Sequence

import msgspec
import numpy as np

from analyzers import bank, combine, conviction, decide, intake, memory, multiplier, promotion
from analyzers.conviction import Evidence
from analyzers.counts import Sample
from analyzers.guards import bursts, dispersion, pods, share
from analyzers.guards.pods import Scores, Tallies, Tally
from analyzers.intake import Tick
from analyzers.layout import C_ERR, C_REQ, GAIN, LATENCY_EVIDENCE, TICK, WIDTH, Array, Rows, blank
from analyzers.legs import mean, rank, ratio, slo, tail
from analyzers.permutation import log_normaliser
from analyzers.report import DENIED, ERRORS, MEAN, RANK, TAIL
from analyzers.ruling import Ruling
from analyzers.terms import Limits, Terms, terms_of

__all__ = ["JudgeState", "Terms", "fold", "start", "terms_of"]

CHUNK = 128
"""Releases per pass: more would leave the processor's cache."""
_MAGIC = b"vdj2"
_HEADER = struct.Struct("<4sII")


class JudgeState(msgspec.Struct, frozen=True, eq=False):
    """Everything the judge remembers of one release: additive, of bounded size. Treat as opaque.

    Attributes:
        row: the numbers (``analyzers.layout``).
        pods: what the latencies of pods add up to, where telemetry tells pods apart.
    """

    row: Array
    pods: Tallies = msgspec.field(default_factory=dict)

    def save(self) -> bytes:
        """The state as bytes; ``restore`` gives back exactly the same numbers."""
        filled = self.row != 0.0
        values = self.row[filled]
        parts = (
            _HEADER.pack(_MAGIC, WIDTH, len(values)),
            np.packbits(filled).tobytes(),
            values.astype("<f8").tobytes(),
            json.dumps(dict(self.pods)).encode(),
        )
        return b"".join(parts)

    @classmethod
    def restore(cls, data: bytes) -> "JudgeState":
        """The state that ``save`` wrote.

        Raises:
            ValueError: the bytes are no saved state, are cut short, or come from a version with another layout.
        """
        mask_size = (WIDTH + 7) // 8
        begin = _HEADER.size + mask_size
        if len(data) < begin:
            raise ValueError("a saved judge state is cut short")
        magic, width, number = _HEADER.unpack_from(data)
        if magic != _MAGIC or width != WIDTH:
            raise ValueError("a saved judge state has another layout: it was written by another version")
        filled = np.unpackbits(np.frombuffer(data, dtype=np.uint8, count=mask_size, offset=_HEADER.size), count=WIDTH)
        end = begin + 8 * number
        if len(data) < end or int(filled.sum()) != number:
            raise ValueError("a saved judge state is cut short or damaged")
        row = np.zeros(WIDTH)
        row[filled.astype(np.bool_)] = np.frombuffer(data, dtype="<f8", count=number, offset=begin)
        tallies = msgspec.json.decode(data[end:], type=dict[str, Tally], strict=False)
        return cls(row, tallies)


def start(terms: Terms) -> JudgeState:
    """The state of a release that has seen nothing. It does not depend on the terms' bounds, which may come later."""
    del terms
    return JudgeState(blank())


def fold(terms: Sequence[Terms], states: Sequence[JudgeState], samples: Sequence[Sample]) -> list[tuple[JudgeState, Ruling]]:
    """Fold one tick of every release and rule on it.

    Releases may differ in policy, horizon and bounds; the three sequences run in parallel. The states given are not changed.
    Overflow (certainty has no upper end; it is capped) and nothing by nothing (an unknown rate) are expected, not warned of.
    """
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(terms):
        groups.setdefault(len(one.bounds_ms), []).append(place)
    results: list[tuple[JudgeState, Ruling] | None] = [None] * len(terms)
    for places in groups.values():
        for begin in range(0, len(places), CHUNK):
            part = places[begin : begin + CHUNK]
            with np.errstate(all="ignore"):
                folded = _fold_alike([terms[at] for at in part], [states[at] for at in part], [samples[at] for at in part])
            for at, result in zip(part, folded, strict=True):
                results[at] = result
    return [result for result in results if result is not None]


def _fold_alike(terms: Sequence[Terms], states: Sequence[JudgeState], samples: Sequence[Sample]) -> list[tuple[JudgeState, Ruling]]:
    """Fold releases whose histograms have the same number of bounds."""
    raw = np.concatenate([state.row for state in states]).reshape(len(states), WIDTH)
    rows, limits, tick = Rows(raw), Limits(terms), intake.pack(terms, samples)
    so_far = memory.fold(rows, limits, tick)
    bursts.fold(rows, tick)
    share.fold(rows, limits, tick)
    log_latency, scores = _latency(rows, limits, tick, so_far)
    tallies = pods.fold([state.pods for state in states], terms, samples, tick, scores)
    averages = mean.fold(rows, limits, tick)
    log_denied = ratio.log_e(tick.c_den, tick.b_den, tick.c_req + tick.c_den, tick.b_req + tick.b_den)
    before = bank.values(rows, limits)
    denied = bank.denied_after(rows, limits, log_denied) if log_denied.any() else before[:, bank.DENIED]
    multiplier.fold(rows, limits, tick, errors=before[:, bank.ERRORS], denied=denied)
    log_errors = ratio.log_e(tick.c_err, tick.b_err, tick.c_req, tick.b_req)
    exact = bank.fold(rows, limits, np.concatenate([log_errors, log_denied, log_latency], axis=1))
    rows.head[:, TICK] += 1.0
    evidence = _together(rows, limits, exact, averages, tallies)
    rulings = decide.rule(rows, limits, tick, evidence)
    return [(JudgeState(row, mine), ruling) for row, mine, ruling in zip(raw, tallies, rulings, strict=True)]


def _latency(rows: Rows, limits: Limits, tick: Tick, so_far: Array) -> tuple[Array, Scores]:
    """Log e-values of ranks and tails (releases, 20), and the scores of the buckets; memories and blocks are folded."""
    pooled = tick.c + tick.b
    mid_ranks, tails = rank.mid_ranks(pooled), tail.scores(so_far)
    scores = np.empty((len(pooled), len(rank.TILTS) + tails.shape[1], pooled.shape[1]))
    np.multiply(rank.TILTS[:, None], mid_ranks[:, None, :], out=scores[:, : len(rank.TILTS)])
    scores[:, len(rank.TILTS) :] = tails
    log_e = np.matmul(scores, tick.c[:, :, None])[:, :, 0] - log_normaliser(scores, pooled, tick.c.sum(1))
    shift, variance = memory.fold_ranks(rows, tick, score=(mid_ranks * tick.c).sum(1), pooled=pooled)
    dispersion.fold(rows, shift=shift, variance=variance)
    promotion.fold(rows, limits, tick, shift=shift, variance=variance)
    return log_e, Scores(ranks=mid_ranks, tails=tails.mean(1))


def _together(rows: Rows, limits: Limits, exact: Array, averages: Array, tallies: Sequence[Tallies]) -> Evidence:
    """All legs and their sum; notes in ``rows`` what the next tick's multiplier needs."""
    totals = rows.counts[:, 0]
    absolute = slo.evidence(totals[:, C_ERR], totals[:, C_REQ], limits.max_rate)
    legs = np.concatenate([exact, averages[:, None], absolute[:, None]], axis=1)
    slowness = combine.latency(legs[:, RANK], legs[:, TAIL], legs[:, MEAN])
    rows.head[:, LATENCY_EVIDENCE] = slowness
    total = np.minimum(
        rows.head[:, GAIN] * combine.together(combine.events(legs[:, ERRORS], legs[:, DENIED]), slowness, limits.split), bank.CAP
    )
    lonely = conviction.alone(rows, limits)
    return Evidence(legs=legs, total=np.where(lonely, absolute, total), alone=lonely, tallies=tallies)
