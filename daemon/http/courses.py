"""How watches went, tick by tick, for the page: what it draws, kept in memory for the newest of them and bounded.

A row is a tick. When there are too many, each two neighbours become one, so that a long watch keeps its whole shape in as much
memory as a short one. Evidence is kept as its decimal logarithm: it grows beyond what a small number can hold.
"""

import math
from array import array
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from analyzers.counts import Arm
from analyzers.legs.table import LEGS
from analyzers.ruling import LegNow, Ruling
from daemon.model import Reading, observed_share

MOST_ROWS: Final = 240
MOST_COURSES: Final = 1000
_LEGS: Final = tuple(leg.name for leg in LEGS)
_WORDS: Final[Mapping[str, str]] = {leg.name: leg.words for leg in LEGS}
_T, _SECONDS, _GAP, _EVIDENCE, _WEIGHT, _ARMS = 0, 1, 2, 3, 4, 5
_OF_ARM: Final = 5  # requests, errors, denied, timed requests, their milliseconds
_E: Final = _ARMS + 2 * _OF_ARM
_BEYOND: Final = _E + len(_LEGS)
_COLUMNS: Final = _BEYOND + len(_LEGS)
_SMALLEST: Final = 1e-30
_UNKNOWN: Final = math.nan


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


class ArmCourse(msgspec.Struct, frozen=True, kw_only=True):
    """One arm over the rows. Milliseconds are a mean; rates and shares are null where there were no requests."""

    per_second: list[float]
    failed_share: list[float | None]
    mean_ms: list[float | None]


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """A watch over time: parallel lists, the oldest first. Empty where nothing of it is in memory.

    Attributes:
        t: seconds since the watch began, at the row's end. seconds: how long each row is.
        gaps: whether the row had no information.
        log_evidence: that the canary is worse at all, all together, as a decimal logarithm. boundary: what a rollback needs of it.
        legs, beyond: of each quantity: that it is worse at all, and that it is worse than tolerated.
        weight: the canary's by its route, in percent.
        now: each quantity at the last tick, while it is watched.
    """

    t: list[float] = []
    seconds: list[float] = []
    gaps: list[bool] = []
    log_evidence: list[float] = []
    boundary: float | None = None
    legs: dict[str, list[float]] = {}
    beyond: dict[str, list[float]] = {}
    weight: list[float | None] = []
    baseline: ArmCourse | None = None
    canary: ArmCourse | None = None
    now: tuple[LegNowShown, ...] = ()


@dataclass(slots=True)
class _Kept:
    """One watch. Mutable, since every tick adds a row."""

    rows: "array[float]" = field(default_factory=lambda: array("f"))
    boundary: float | None = None
    legs: Mapping[str, LegNow] = field(default_factory=dict)
    weight: float | None = None
    share: float | None = None
    gap: str = ""

    def add(self, reading: Reading, ruling: Ruling | None) -> None:
        last = self.rows[-_COLUMNS:]
        row = array("f", bytes(4 * _COLUMNS)) if not last else last[:]
        row[_T] = ruling.t if ruling is not None else row[_T] + reading.seconds
        row[_SECONDS] = reading.seconds
        row[_GAP] = reading.gap is not None or reading.baseline is None or reading.canary is None
        row[_WEIGHT] = _UNKNOWN if reading.weight is None else reading.weight
        for number, arm in enumerate((reading.baseline, reading.canary)):
            row[_ARMS + number * _OF_ARM : _ARMS + (number + 1) * _OF_ARM] = _counts(arm)
        if ruling is not None:
            row[_EVIDENCE] = _log(ruling.evidence)
            for number, name in enumerate(_LEGS):
                now = ruling.legs.get(name)
                row[_E + number] = 0.0 if now is None else _log(now.e_value)
                row[_BEYOND + number] = 0.0 if now is None else _log(now.beyond)
            self.boundary, self.legs = ruling.boundary, ruling.legs
        self.weight, self.share = reading.weight, observed_share(reading) if reading.gap is None else self.share
        self.gap = reading.gap or ""
        self.rows.extend(row)
        if len(self.rows) > MOST_ROWS * _COLUMNS:
            self.rows = _halved(self.rows)

    def column(self, number: int) -> list[float]:
        return self.rows[number::_COLUMNS].tolist()


class Courses:
    """Those of the watches that ticked last. Not shared between threads."""

    def __init__(self, *, most: int = MOST_COURSES) -> None:
        self._most = most
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def ticked(self, release_id: str, reading: Reading, ruling: Ruling | None) -> None:
        """A release has been sampled, and judged while its watch goes on."""
        kept = self._kept.setdefault(release_id, _Kept())
        self._kept.move_to_end(release_id)
        kept.add(reading, ruling)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def ended(self, release_id: str) -> None:
        """It has its verdict, which says of each quantity what is to be said."""
        if (kept := self._kept.get(release_id)) is not None:
            kept.legs = {}

    def left(self, release_id: str) -> None:
        """It is another daemon's."""
        self._kept.pop(release_id, None)

    def now(self, release_id: str) -> Now | None:
        """The last tick in short; null where there was none."""
        kept = self._kept.get(release_id)
        if kept is None:
            return None
        leg, loudest = "", 0.0
        beyond = kept.rows[len(kept.rows) - _COLUMNS + _E : len(kept.rows) - _COLUMNS + _BEYOND]
        for name, log_evidence in zip(_LEGS, beyond, strict=True):
            if log_evidence > loudest:
                leg, loudest = name, log_evidence
        return Now(weight=kept.weight, share=kept.share, leg=leg, words=_WORDS.get(leg, ""), gap=kept.gap)

    def course(self, release_id: str) -> Course:
        """The whole watch, as far as it is in memory."""
        kept = self._kept.get(release_id)
        if kept is None:
            return Course()
        return Course(
            t=[round(t, 3) for t in kept.column(_T)],
            seconds=[round(seconds, 3) for seconds in kept.column(_SECONDS)],
            gaps=[bool(gap) for gap in kept.column(_GAP)],
            log_evidence=_rounded(kept.column(_EVIDENCE)),
            boundary=kept.boundary,
            legs={name: _rounded(kept.column(_E + number)) for number, name in enumerate(_LEGS)},
            beyond={name: _rounded(kept.column(_BEYOND + number)) for number, name in enumerate(_LEGS)},
            weight=[None if math.isnan(weight) else round(weight, 3) for weight in kept.column(_WEIGHT)],
            baseline=_arm(kept, 0),
            canary=_arm(kept, 1),
            now=tuple(_shown(name, now) for name, now in kept.legs.items()),
        )


def _counts(arm: Arm | None) -> "array[float]":
    if arm is None:
        return array("f", [0.0] * _OF_ARM)
    timed, total_ms = (0, 0.0) if arm.latency is None else (sum(arm.latency.counts), arm.latency.sum_ms)
    return array("f", [arm.requests, arm.errors, arm.denied, timed, total_ms])


def _halved(rows: "array[float]") -> "array[float]":
    """Each two neighbours as one row: counts and seconds are added, whatever stands at a moment is the later one's."""
    halved = array("f")
    for start in range(0, len(rows) - _COLUMNS, 2 * _COLUMNS):
        first, later = rows[start : start + _COLUMNS], rows[start + _COLUMNS : start + 2 * _COLUMNS]
        for column in (_SECONDS, *range(_ARMS, _E)):
            later[column] += first[column]
        later[_GAP] = max(first[_GAP], later[_GAP])
        halved.extend(later)
    if (len(rows) // _COLUMNS) % 2:
        halved.extend(rows[-_COLUMNS:])
    return halved


def _arm(kept: _Kept, number: int) -> ArmCourse:
    requests, errors, denied, timed, total_ms = (kept.column(_ARMS + number * _OF_ARM + column) for column in range(_OF_ARM))
    return ArmCourse(
        per_second=[
            round((done + turned_away) / max(seconds, 1e-3), 3)
            for done, turned_away, seconds in zip(requests, denied, kept.column(_SECONDS), strict=True)
        ],
        failed_share=[round(bad / done, 6) if done else None for bad, done in zip(errors, requests, strict=True)],
        mean_ms=[round(total / count, 3) if count else None for total, count in zip(total_ms, timed, strict=True)],
    )


def _shown(name: str, now: LegNow) -> LegNowShown:
    unit = next(leg.unit for leg in LEGS if leg.name == name)
    logs = round(_log(now.e_value), 3), round(_log(now.beyond), 3)
    return LegNowShown(leg=name, words=_WORDS[name], unit=unit, effect=now.effect, log_evidence=logs[0], log_beyond=logs[1])


def _log(evidence: float) -> float:
    return math.log10(max(evidence, _SMALLEST)) if math.isfinite(evidence) else -math.log10(_SMALLEST)


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 3) for value in values]
