"""The same code, or better: the streams of which nothing should be taken back."""

from dataclasses import replace
from typing import Final

from daemon.offline.simulation.world import Failures, Traffic, Unsteady
from tests.bench.calibration import streams as s
from tests.bench.calibration.asks import RolledBack
from tests.bench.calibration.row import Plain

ONE: Final = RolledBack(at_most=0.01)
TWO: Final = RolledBack(at_most=0.02)
TOLD: Final = RolledBack()


def steady() -> list[Plain]:
    """Both versions are the same, and nothing happens but what the rates say."""
    w = s.world
    return [
        ("clean", w(), ONE),
        ("lognormal", w(s.LOGNORMAL), ONE),
        ("Pareto", w(s.PARETO), ONE),
        ("narrow", w(s.NARROW), ONE),
        ("one bucket", w(s.TIED), ONE),
        ("12 buckets a decade", w(s.FINE), ONE),
        ("two humps", w(s.CACHE), ONE),
        ("base errors 0", w(failures=Failures(errors=0.0)), ONE),
        ("base errors 1 %", w(failures=Failures(errors=0.01)), ONE),
        ("base errors 3 %", w(failures=Failures(errors=0.03)), ONE),
        ("base errors 20 %", w(failures=Failures(errors=0.2)), ONE),
        ("denials .5 % in both arms", w(failures=Failures(denied=0.005)), ONE),
        ("slow errors in the histogram, 1 %", w(failures=Failures(errors=0.01, slow=20.0), split=False), ONE),
        ("5/95 rps", w(traffic=s.LOW), ONE),
        ("3/60 rps", w(traffic=s.LOWER), ONE),
        (".2/20 rps", w(traffic=s.LOWEST), ONE),
        ("500/500 rps", w(traffic=s.EVEN), ONE),
        ("800/200 rps", w(traffic=s.LARGE), ONE),
        ("50k/950k rps", w(traffic=s.HIGH), ONE),
        ("5 s ticks", w(traffic=s.ticks_of(5.0)), ONE),
        ("15 s ticks", w(traffic=s.ticks_of(15.0)), ONE),
        ("30 s ticks", w(traffic=s.ticks_of(30.0)), ONE),
        ("an arm missing in 5 % of the ticks", w(traffic=replace(Traffic(), gap_chance=0.05 / 3, gap_ticks=3)), ONE),
        ("counters restart in 1 % of the ticks", w(traffic=replace(Traffic(), reset_chance=0.01)), ONE),
        ("histograms merged every 5 ticks", w(traffic=replace(Traffic(), flush_ticks=5)), ONE),
        ("drift +-50 %", w(unsteady=replace(Unsteady(), drift=0.5)), ONE),
        ("share 5 -> 50 % in steps", w(traffic=s.STEPPED), ONE),
        ("share 5 -> 50 % in steps, drift +150 %", w(traffic=s.STEPPED, unsteady=s.RISING), ONE),
        ("share 5 -> 50 % in steps, drift -60 %", w(traffic=s.STEPPED, unsteady=s.FALLING), ONE),
        ("sticky sessions, 1.2 times the weight", w(traffic=s.STICKY), ONE),
    ]


def moments() -> list[Plain]:
    """An arm stands still for a moment."""
    w, wide = s.world, s.ticks_of
    return [
        ("one pause of .5 s", w(stands=s.PAUSE), ONE),
        ("one pause of .5 s, 500/500 rps", w(traffic=s.EVEN, stands=s.PAUSE), ONE),
        ("one early pause of .5 s, 15 s ticks, lognormal", w(s.LOGNORMAL, traffic=wide(15.0), stands=s.EARLY_PAUSE), ONE),
        (
            "one early pause of .5 s, 15 s ticks, lognormal, 500/500 rps",
            w(s.LOGNORMAL, traffic=wide(15.0, s.EVEN), stands=s.EARLY_PAUSE),
            ONE,
        ),
        ("a pause of one tick", w(stands=s.stop(1.0)), TOLD),
        ("a pause of two ticks", w(stands=s.stop(2.0)), TOLD),
        ("a pause of three ticks", w(stands=s.stop(3.0)), TOLD),
        ("a pause of two ticks, 500/500 rps", w(traffic=s.EVEN, stands=s.stop(2.0)), TOLD),
        ("GC of .5 s every 20 s, out of phase", w(stands=s.COLLECTING), ONE),
        ("GC of .5 s every 20 s, 500/500 rps", w(traffic=s.EVEN, stands=s.COLLECTING), ONE),
        ("a failing stop of .5 s, all pods", w(stands=s.failing_stop(300)), TOLD),
        ("a failing stop of .5 s, all pods, 5 s ticks", w(traffic=wide(5.0), stands=s.failing_stop(60)), TOLD),
        ("a failing stop of .5 s, all pods, 15 s ticks", w(traffic=wide(15.0), stands=s.failing_stop(20), pods=s.apart(3)), ONE),
        ("a failing stop of .5 s, all pods, 30 s ticks", w(traffic=wide(30.0), stands=s.failing_stop(10), pods=s.apart(3)), ONE),
    ]


def better() -> list[Plain]:
    """The canary is better, in all or in part."""
    w = s.world
    bodies = [
        (
            f"body {factor:g} times as fast, same slow end, 10/30 rps",
            w(s.SLOW_PART, traffic=s.FEW, change=s.parts(1.0 / factor, 1.0)),
        )
        for factor in (1.25, 1.5, 2.0, 5.0)
    ]
    return [
        ("faster, x.8", w(change=s.slower(0.8)), ONE),
        ("faster, x.4", w(change=s.slower(0.4)), ONE),
        ("faster, x.8, lognormal", w(s.LOGNORMAL, change=s.slower(0.8)), ONE),
        *((title, stream, ONE) for title, stream in bodies),
        ("body 2 times as fast, same slow end", w(s.SLOW_PART, change=s.parts(0.5, 1.0)), ONE),
        ("two humps, the fast one twice as fast", w(s.CACHE, change=s.parts(0.5, 1.0)), ONE),
        ("fewer errors, 1 -> .1 %", w(failures=Failures(errors=0.01), change=s.errors(0.001)), ONE),
    ]


def unruly() -> list[Plain]:
    """Requests are not independent: bursts, jitter, pods that differ, cold starts."""
    w = s.world
    return [
        ("bursts of 5, .2 %", w(failures=Failures(errors=0.002, clump=5)), TWO),
        ("bursts of 5, 1 %", w(failures=Failures(errors=0.01, clump=5)), TWO),
        ("retries, .3 %", w(failures=Failures(errors=0.003, retried=0.6)), TWO),
        ("retries, 2 %", w(failures=Failures(errors=0.02, retried=0.6)), TWO),
        ("jitter 5 %", w(unsteady=s.jitter(0.05)), TWO),
        ("jitter 8 %", w(unsteady=s.jitter(0.08)), TWO),
        ("jitter 10 %", w(unsteady=s.jitter(0.1)), TWO),
        ("jitter 1 %, 50k/950k rps", w(traffic=s.HIGH, unsteady=s.jitter(0.01)), ONE),
        ("jitter 5 %, 50k/950k rps", w(traffic=s.HIGH, unsteady=s.jitter(0.05)), ONE),
        ("AR .9 of 5 %", w(unsteady=s.jitter(0.05, correlation=0.9)), RolledBack(at_most=0.03)),
        ("the canary alone wanders, AR .9 of 10 %", w(unsteady=s.jitter(0.1, correlation=0.9, alone=True)), TOLD),
        ("3 and 10 pods that differ by 5 %", w(pods=s.apart(3, spread=0.05)), TWO),
        ("1 and 10 pods that differ by 5 %", w(pods=s.apart(1, spread=0.05)), TWO),
        ("one of three pods x1.5", w(pods=s.apart(3, slow=1.5)), TWO),
        ("pods' error rates differ by 50 %, 1 %", w(failures=Failures(errors=0.01), pods=s.apart(3, error_spread=0.5)), TWO),
        ("cold canary pods with ages", w(pods=s.AGED, unsteady=s.COLD), TWO),
        ("cold canary pods with ages, a cache of 40 s", w(pods=s.AGED, unsteady=s.COLD_CACHE), TWO),
        ("cold pods in both arms", w(pods=s.AGED, unsteady=replace(s.COLD_CACHE, cold_baseline=True)), TWO),
    ]
