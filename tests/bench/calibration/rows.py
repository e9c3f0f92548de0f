"""The table of rows: what is measured, and what is wanted of it. The page, its order and the tests are made from it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from daemon.offline.simulation.world import Failures, Traffic, Unsteady, World
from tests.bench.calibration import streams as s
from tests.bench.calibration.asks import Found, Promoted, RolledBack
from tests.bench.calibration.held_back_rows import held_back
from tests.bench.calibration.row import PATIENT, RATES, TICKS, USUAL, Plain, Row, Section, Watch
from tests.bench.calibration.rows_same import ONE, TOLD, better, moments, steady, unruly
from tests.bench.calibration.rows_worse import bad, bad_elsewhere, bad_in_unrest, late, tolerated

LONG: Final = Watch(seconds=900.0)


def _rows(section: Section, plain: Iterable[Plain], *, watch: Watch = PATIENT) -> list[Row]:
    return [
        Row(
            section=section,
            title=title,
            stream=stream,
            asked=asked,
            watch=watch,
            releases=RATES if asked.wanted and not isinstance(asked, Found) else TICKS,
            tested=TESTED.get(f"{section}: {title}", 0),
        )
        for title, stream, asked in plain
    ]


def _promotion() -> list[Plain]:
    w = s.world
    least, never, seldom = Promoted(at_least=0.95), Promoted(at_most=0.0), Promoted(at_most=0.05)
    faster = [(title, stream, least) for title, stream, _ in better() if "errors" not in title]
    return [
        ("same", w(), least),
        ("same, lognormal", w(s.LOGNORMAL), least),
        ("same, 500/500 rps", w(traffic=s.EVEN), least),
        ("same, 5/95 rps", w(traffic=s.LOW), Promoted()),
        ("same, narrow", w(s.NARROW), Promoted()),
        ("same, drift +-50 %", w(unsteady=replace(Unsteady(), drift=0.5)), least),
        ("same, 15 s ticks", w(traffic=s.ticks_of(15.0)), least),
        ("same, share 5 -> 50 % in steps", w(traffic=s.STEPPED), least),
        ("same, base errors 3 %", w(failures=Failures(errors=0.03)), Promoted()),
        ("sticky sessions, 1.2 times the weight", w(traffic=s.STICKY), least),
        *faster,
        ("x1.02", w(change=s.slower(1.02)), Promoted()),
        ("x1.05", w(change=s.slower(1.05)), Promoted()),
        ("at the tolerance: errors .5 %", w(change=s.errors(0.005)), seldom),
        ("at the tolerance: x1.10", w(change=s.slower(1.1)), seldom),
        ("at the tolerance: x1.10, lognormal", w(s.LOGNORMAL, change=s.slower(1.1)), seldom),
        ("leak of 1 % per 10 s", w(change=s.leak(percent=1.0)), never),
        ("errors 5 % from tick 70", w(change=s.late(s.errors(0.05), 70)), never),
        ("errors 1 % from tick 100", w(change=s.late(s.errors(0.01), 100)), seldom),
        ("x1.5 from tick 170", w(change=s.late(s.slower(1.5), 170)), seldom),
        ("p99 +20 %", w(s.LOGNORMAL, change=s.tail(1.2)), seldom),
        ("p99 +30 %", w(s.LOGNORMAL, change=s.tail(1.3)), seldom),
        ("30 % never answered", w(traffic=s.UNANSWERED), seldom),
    ]


SHORT: Final = frozenset(
    {"clean", "lognormal", "narrow", "5/95 rps", "one pause of .5 s", "jitter 10 %"}
    | {"errors .5 %", "x1.10", "x1.10, lognormal", "slow end x1.10"}
)
"""Measured again with short ticks."""
AGAIN: Final = SHORT | {
    *("one bucket", "drift +-50 %", "bursts of 5, 1 %", "GC of .5 s every 20 s, out of phase", "faster, x.8", "AR .9 of 5 %")
}
"""Measured again under the default watch."""


def _again(titles: frozenset[str]) -> list[Plain]:
    return [row for row in (*steady(), *moments(), *better(), *unruly(), *tolerated()) if row[0] in titles]


def _in_quarters(stream: World) -> World:
    """The same, read four times a second."""
    stop = stream.stop
    if stop is not None:
        first, last = stop.between
        stop = replace(stop, between=(4 * first, 4 * last), every_ticks=4 * stop.every_ticks)
    return replace(stream, traffic=replace(stream.traffic, tick_seconds=0.25), stop=stop)


def _late_in_a_long_watch() -> list[Plain]:
    w = s.world
    return [
        (f"{title} from tick {onset}", w(latency, change=s.late(change, onset)), Found())
        for onset in (300, 600)
        for title, latency, change in (
            ("errors 1 %", s.BASE, s.errors(0.01)),
            ("errors 5 %", s.BASE, s.errors(0.05)),
            ("x1.2", s.BASE, s.slower(1.2)),
            ("p99 +50 %", s.LOGNORMAL, s.tail(1.5)),
        )
    ]


def _alone() -> list[Plain]:
    w = s.world
    whole = replace(Traffic(), canary_rps=1000.0, baseline_rps=0.0)
    switched = replace(Traffic(), steps=((1, 50.0), (61, 100.0)))
    daily = replace(Unsteady(), trend=0.3, trend_seconds=900.0)
    return [
        ("no baseline: same", w(traffic=whole), ONE),
        ("no baseline: errors .5 %", w(traffic=whole, change=s.errors(0.005)), RolledBack(at_most=0.05)),
        ("no baseline: errors 1 %", w(traffic=whole, change=s.errors(0.01)), Found()),
        ("no baseline: errors 5 %", w(traffic=whole, change=s.errors(0.05)), Found()),
        ("switched after 60 ticks: same", w(traffic=switched), ONE),
        ("switched after 60 ticks: same, the day's load adds 30 %", w(traffic=switched, unsteady=daily), TOLD),
        ("switched after 60 ticks: errors 5 % from then", w(traffic=switched, change=s.late(s.errors(0.05), 60)), Found()),
        ("switched after 60 ticks: x1.5 from then", w(traffic=switched, change=s.late(s.slower(1.5), 60)), Found()),
    ]


TESTED: Final = {
    **dict.fromkeys(("same code: one bucket", "same code: drift +-50 %", "same code: bursts of 5, 1 %"), 80),
    "same code: one pause of .5 s, 500/500 rps": 60,
    "same code: body 2 times as fast, same slow end, 10/30 rps": 60,
    "same code: 3 and 10 pods that differ by 5 %": 20,
    "tolerated: x1.08": 80,
    "tolerated: narrow x1.05": 60,
    **dict.fromkeys(("bad: errors 1 %", "bad: x1.2", "bad: p99 +50 %"), 60),
    **dict.fromkeys(("bad: errors 5 %", "bad: errors 20 %", "bad: x1.5"), 80),
    "bad: x1.2 from tick 165": 40,
    "promotion: same": 60,
    "promotion: faster, x.4": 40,
    "promotion: leak of 1 % per 10 s": 40,
    "promotion: errors 5 % from tick 70": 40,
}
"""Releases of the rows that ``make test`` has: each kind of trouble once, some twenty seconds of one core in all."""


def all_rows() -> list[Row]:
    """Every row; those that take longest come last."""
    same = [*steady(), *moments(), *better(), *unruly()]
    return [
        *_rows("same code", same),
        *_rows("tolerated", tolerated()),
        *_rows("bad", [*bad(), *late(), *bad_elsewhere(), *bad_in_unrest()]),
        *_rows("promotion", _promotion(), watch=USUAL),
        *_rows("alone", _alone(), watch=Watch(strict=True)),
        *held_back(),
        *_rows("default watch", [*_again(AGAIN), *_late_in_a_long_watch()], watch=LONG),
        *_rows("short ticks", [(title, _in_quarters(stream), asked) for title, stream, asked in _again(SHORT)]),
    ]
