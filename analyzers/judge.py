"""The judge: samples in, rulings out. Pure and deterministic; the same samples under the same terms give the same ruling.

All releases due at a tick are folded in one batch of arrays. ``fold`` knows no clock: the deadline is the sample's own ``t``
against the window, so that a replay ends as the watch did.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from analyzers import alone, approval, conviction, decide, evidence, intake, memory, promotion, report, signals
from analyzers.arrays import Array, Mask
from analyzers.counts import Sample
from analyzers.guards import bursts, dispersion, pods, share
from analyzers.guards.pods import Tallies, Tally
from analyzers.intake import Tick
from analyzers.layout import ONE_BUCKET, TICK, WIDTH, Rows, blank
from analyzers.legs import mean
from analyzers.legs.table import TYPICAL
from analyzers.look import Look
from analyzers.onearm import judging as onearm
from analyzers.ruling import Ruling
from analyzers.terms import Limits, Terms, terms_of

__all__ = ["JudgeState", "Round", "Terms", "fold", "fold_arrays", "start", "terms_of", "to_end"]

CHUNK = 256
"""Releases per pass: with more, little is left of what a pass costs by itself, and their arrays leave the processor's cache."""
_LAYOUT, _ALONE = (struct.pack("<4sI", name, WIDTH) for name in (b"vdj4", b"vdo1"))
"""Of two arms, and of a canary alone: who knows only the first must not take the other's numbers for its own."""


class JudgeState(msgspec.Struct, frozen=True, eq=False):
    """Everything the judge remembers of one release: additive, of bounded size. Treat as opaque.

    Attributes:
        row: the numbers (``analyzers.layout``; of a canary alone ``analyzers.onearm.judging``).
        pods: what the latencies of pods add up to, where telemetry tells pods apart.
        good_since: when it was found good, in seconds since the watch began, where a person is to confirm that; null: it was not.
        alone: the numbers are those of a canary alone.
    """

    row: Array
    pods: Tallies = msgspec.field(default_factory=dict)
    good_since: float | None = None
    alone: bool = False

    def save(self) -> bytes:
        """The state as bytes; ``restore`` gives back exactly the same numbers."""
        filled = self.row != 0.0
        parts = np.packbits(filled).tobytes(), self.row[filled].astype("<f8").tobytes(), self.pods
        layout = _ALONE if self.alone else _LAYOUT
        return layout + msgspec.msgpack.encode(parts if self.good_since is None else (*parts, self.good_since))

    @classmethod
    def restore(cls, data: bytes) -> "JudgeState":
        """The state that ``save`` wrote.

        Raises:
            ValueError: the bytes are no saved state, are cut short, or come from a version with another layout.
        """
        alone = data.startswith(_ALONE)
        if not alone and not data.startswith(_LAYOUT):
            raise ValueError("a saved judge state has another layout: it was written by another version")
        try:
            kept = msgspec.msgpack.decode(data[len(_LAYOUT) :], type=_Saved)
        except msgspec.DecodeError as error:
            raise ValueError("a saved judge state is cut short or damaged") from error
        row = np.zeros(WIDTH)
        filled = np.unpackbits(np.frombuffer(kept.bits, dtype=np.uint8), count=WIDTH).astype(np.bool_)
        row[filled] = np.frombuffer(kept.values, dtype="<f8")
        return cls(row, kept.pods, kept.good_since, alone)


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    """What ``save`` writes; without the last where nobody is waited for."""

    bits: bytes
    values: bytes
    pods: dict[str, Tally]
    good_since: float | None = None


def start(terms: Terms) -> JudgeState:
    """The state of a release that has seen nothing. Bounds may come later."""
    return JudgeState(blank()) if terms.after is None else JudgeState(onearm.start(), alone=True)


def fold(terms: Sequence[Terms], states: Sequence[JudgeState], samples: Sequence[Sample]) -> list[tuple[JudgeState, Ruling]]:
    """Fold one tick of every release and rule on it.

    Releases may differ in policy, horizon and bounds; the three sequences run in parallel. The states given are not changed.
    A canary alone after its promotion is judged by itself (``analyzers.onearm``).
    What stands beside a sample is heeded last (``analyzers.signals``), but for a person who is to confirm (``analyzers.approval``).
    Overflow (certainty has no upper end; it is capped) and nothing by nothing (an unknown rate) are expected, not warned of.
    """
    beside = {place: one.signals for place, one in enumerate(samples) if one.signals}
    if beside:
        samples = [signals.counted(one) for one in samples]
    groups: dict[int, list[int]] = {}
    results: dict[int, tuple[JudgeState, Ruling]] = {}
    lonely = [place for place, one in enumerate(terms) if one.after is not None]
    for place, one in enumerate(terms):
        if one.after is None:
            groups.setdefault(len(one.bounds_ms), []).append(place)
    if lonely:
        folded = _fold_lonely([terms[at] for at in lonely], [states[at] for at in lonely], [samples[at] for at in lonely])
        results.update(zip(lonely, folded, strict=True))
    for places in groups.values():
        for begin in range(0, len(places), CHUNK):
            part = places[begin : begin + CHUNK]
            with np.errstate(all="ignore"):
                folded = _fold_alike([terms[at] for at in part], [states[at] for at in part], [samples[at] for at in part])
            results.update(zip(part, folded, strict=True))
    for place, those in beside.items():
        state, ruling = results[place]
        results[place] = state, signals.heeded(ruling, those, window_seconds=terms[place].window_seconds)
    for place in [at for at, one in enumerate(terms) if one.approval_seconds]:
        state, ruling = results[place]
        seconds = terms[place].approval_seconds
        ruling = approval.waited(ruling, good_since=states[place].good_since, approval_seconds=seconds)
        results[place] = JudgeState(state.row, state.pods, ruling.good_since), ruling
    return [results[at] for at in range(len(terms))]


class Round(NamedTuple):
    """One tick of releases that are judged to their ends: their places, samples and rulings, in parallel."""

    places: Sequence[int]
    samples: Sequence[Sample]
    rulings: Sequence[Ruling]


def to_end(terms: Sequence[Terms], samples_of: Callable[[Sequence[int]], Sequence[Sample | None]]) -> Iterator[Round]:
    """Judge releases side by side, tick after tick, each until its ruling is final or it has no more samples.

    ``samples_of`` is asked once a tick, for the next samples of the releases at some places of ``terms``; null where there is none.
    """
    going = {at: start(one) for at, one in enumerate(terms)}
    while going and (asked := [(at, one) for at, one in zip(going, samples_of([*going]), strict=True) if one is not None]):
        places, samples = [at for at, _ in asked], [one for _, one in asked]
        folded = fold([terms[at] for at in places], [going[at] for at in places], samples)
        yield Round(places, samples, [ruling for _, ruling in folded])
        going = {at: state for at, (state, ruling) in zip(places, folded, strict=True) if ruling.outcome == "continue"}


def _fold_lonely(
    terms: Sequence[Terms], states: Sequence[JudgeState], samples: Sequence[Sample]
) -> list[tuple[JudgeState, Ruling]]:
    """Fold canaries that are watched alone."""
    folded = zip(terms, onearm.fold(terms, [state.row for state in states], samples), strict=True)
    return [(JudgeState(row, alone=True), report.of_connections(said) if one.timed <= 0.0 else said) for one, (row, said) in folded]


def _fold_alike(terms: Sequence[Terms], states: Sequence[JudgeState], samples: Sequence[Sample]) -> list[tuple[JudgeState, Ruling]]:
    """Fold releases whose histograms have the same number of bounds."""
    raw = np.concatenate([state.row for state in states]).reshape(len(states), WIDTH)
    rows, limits, tick = Rows(raw), Limits.of(terms), intake.pack(terms, samples)
    seen = fold_arrays(rows, limits, tick, pods.scattered(samples, tick))
    tallies = pods.fold([state.pods for state in states], terms, samples, tick, (seen.ranks, seen.tails))
    waiting = {
        at
        for at, (term, state, sample) in enumerate(zip(terms, states, samples, strict=True))
        if approval.is_waiting(sample.t, good_since=state.good_since, approval_seconds=term.approval_seconds)
    }
    rulings = decide.rule(rows, limits, tick, conviction.weigh(rows, limits, seen, tallies), waiting=waiting)
    return [(JudgeState(row, mine), ruling) for row, mine, ruling in zip(raw, tallies, rulings, strict=True)]


def fold_arrays(rows: Rows, limits: Limits, tick: Tick, scattered: Mask) -> Look:
    """Fold one tick into ``rows``: evidence and memories, for ``conviction.weigh``. Pods' tallies are kept beside the rows.

    ``scattered``: (releases,), the canary's failures lie on several pods (``guards.pods``).
    """
    memory.begin(rows, limits, tick)
    tick, compared = alone.refer(rows, tick)
    seen = Look(rows, limits, compared, scattered)
    news = mean.counted(tick, seen)
    beyond_mean = mean.fold(rows, limits, seen.allowed, news)
    timed = tick.seen & compared.timed
    looked = np.array((tick.seen, tick.seen, timed, timed, tick.seen & seen.asked)).T
    said = evidence.fold(rows, limits, evidence.log_e(seen), waived=seen.outage, looked=looked)
    said[:, TYPICAL] = np.where(seen.one_bucket, beyond_mean, said[:, TYPICAL])
    shift, precision = memory.fold(rows, seen, tick, news, evidence.follow(rows, said, tick.t))
    bursts.fold(rows, tick)
    share.fold(rows, limits, tick)
    dispersion.fold(rows, shift=shift, precision=precision)
    promotion.fold(rows, limits, tick, shift=shift, precision=np.where(tick.timed, precision, 0.0))
    memory.fold_answers(rows, seen, tick)
    rows.head[:, ONE_BUCKET] = seen.one_bucket
    rows.head[:, TICK] += 1.0
    evidence.lend(rows, limits, seen=tick.c_una + tick.b_una > 0.0)
    rows.grown[:] = evidence.grown(rows)
    return seen
