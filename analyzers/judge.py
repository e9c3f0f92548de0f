"""The judge: samples in, rulings out. Pure and deterministic; the same samples under the same terms give the same ruling.

All releases due at a tick are folded in one batch of arrays. ``fold`` knows no clock: the deadline is the sample's own ``t``
against the window, so that a replay ends as the watch did.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analyzers import bank, decide, intake, memory
from analyzers.counts import Sample
from analyzers.layout import TICK, WIDTH, Array, Rows, blank
from analyzers.legs import mean, rank, ratio, tail
from analyzers.permutation import log_normaliser
from analyzers.ruling import Ruling
from analyzers.terms import Limits, Terms, terms_of

__all__ = ["JudgeState", "Terms", "fold", "start", "terms_of"]

CHUNK = 128
"""Releases per pass: more would leave the processor's cache."""
_MAGIC = b"vdj1"
_HEADER = struct.Struct("<4sII")


@dataclass(frozen=True, slots=True, eq=False)
class JudgeState:
    """Everything the judge remembers of one release: additive, of fixed size. Treat as opaque."""

    row: Array

    def save(self) -> bytes:
        """The state as bytes; ``restore`` gives back exactly the same numbers."""
        filled = self.row != 0.0
        values = self.row[filled]
        return b"".join((_HEADER.pack(_MAGIC, WIDTH, len(values)), np.packbits(filled).tobytes(), values.astype("<f8").tobytes()))

    @classmethod
    def restore(cls, data: bytes) -> "JudgeState":
        """The state that ``save`` wrote.

        Raises:
            ValueError: the bytes are no saved state, are cut short, or come from a version with another layout.
        """
        mask_size = (WIDTH + 7) // 8
        if len(data) < _HEADER.size + mask_size:
            raise ValueError("a saved judge state is cut short")
        magic, width, number = _HEADER.unpack_from(data)
        if magic != _MAGIC or width != WIDTH:
            raise ValueError("a saved judge state has another layout: it was written by another version")
        mask = np.frombuffer(data, dtype=np.uint8, count=mask_size, offset=_HEADER.size)
        filled = np.unpackbits(mask, count=WIDTH).astype(np.bool_)
        at = _HEADER.size + mask_size
        if len(data) != at + 8 * number or int(filled.sum()) != number:
            raise ValueError("a saved judge state is cut short or damaged")
        row = np.zeros(WIDTH)
        row[filled] = np.frombuffer(data, dtype="<f8", offset=at)
        return cls(row)


def start(terms: Terms) -> JudgeState:
    """The state of a release that has seen nothing. It does not depend on the terms' bounds, which may come later."""
    del terms
    return JudgeState(blank())


def fold(terms: Sequence[Terms], states: Sequence[JudgeState], samples: Sequence[Sample]) -> list[tuple[JudgeState, Ruling]]:
    """Fold one tick of every release and rule on it.

    Releases may differ in policy, horizon and bounds; the three sequences run in parallel. The states given are not changed.
    """
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(terms):
        groups.setdefault(len(one.bounds_ms), []).append(place)
    results: list[tuple[JudgeState, Ruling] | None] = [None] * len(terms)
    for places in groups.values():
        for begin in range(0, len(places), CHUNK):
            part = places[begin : begin + CHUNK]
            folded = _fold_alike([terms[at] for at in part], [states[at] for at in part], [samples[at] for at in part])
            for at, result in zip(part, folded, strict=True):
                results[at] = result
    return [result for result in results if result is not None]


def _fold_alike(terms: Sequence[Terms], states: Sequence[JudgeState], samples: Sequence[Sample]) -> list[tuple[JudgeState, Ruling]]:
    """Fold releases whose histograms have the same number of bounds."""
    raw = np.array([state.row for state in states])
    rows, limits, tick = Rows(raw), Limits(terms), intake.pack(terms, samples)
    so_far = memory.fold(rows, limits, tick)
    pooled = tick.c + tick.b
    canary = tick.c.sum(1)
    mid_ranks = rank.mid_ranks(pooled)
    scores = np.concatenate([rank.TILTS[:, None] * mid_ranks[:, None, :], tail.scores(so_far)], axis=1)
    latency = (scores * tick.c[:, None, :]).sum(-1) - log_normaliser(scores, pooled, canary)
    memory.fold_ranks(rows, tick, score=(mid_ranks * tick.c).sum(1), pooled=pooled)
    averages = mean.fold(rows, limits, tick)
    log_e = np.concatenate(
        [
            ratio.log_e(tick.c_err, tick.b_err, tick.c_req, tick.b_req),
            ratio.log_e(tick.c_den, tick.b_den, tick.c_req + tick.c_den, tick.b_req + tick.b_den),
            latency,
        ],
        axis=1,
    )
    evidence = bank.fold(rows, limits, log_e)
    rows.head[:, TICK] += 1.0
    legs = np.concatenate([evidence[:, 0], averages[:, None]], axis=1)
    rulings = decide.rule(rows, limits, tick, legs)
    return [(JudgeState(row), ruling) for row, ruling in zip(raw, rulings, strict=True)]
