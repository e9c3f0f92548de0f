"""Canaries that are worse: by what is tolerated, right at a tolerance, and beyond."""

from dataclasses import replace

from daemon.offline.simulation.world import Change, Failures, World
from tests.bench.calibration import streams as s
from tests.bench.calibration.asks import Found, RolledBack
from tests.bench.calibration.row import Plain
from tests.bench.calibration.rows_same import ONE, TOLD


def most(percent: float) -> RolledBack:
    """At most so many percent are taken back."""
    return RolledBack(at_most=percent / 100.0)


def tolerated() -> list[Plain]:
    """The canary is worse by what the policy tolerates, or by less."""
    w = s.world

    def stepped(change: Change) -> World:
        return w(traffic=s.STEPPED, unsteady=s.RISING, change=change)

    return [
        ("errors .25 %", w(change=s.errors(0.0025)), ONE),
        ("errors .4 %", w(change=s.errors(0.004)), most(3)),
        ("errors .5 %", w(change=s.errors(0.005)), most(12)),
        ("errors .4 %, 500/500 rps", w(traffic=s.EVEN, change=s.errors(0.004)), most(3)),
        ("errors .4 %, 3/60 rps", w(traffic=s.LOWER, change=s.errors(0.004)), most(3)),
        ("errors .4 %, 15 s ticks", w(traffic=s.ticks_of(15.0), change=s.errors(0.004)), most(3)),
        ("x1.03", w(change=s.slower(1.03)), TOLD),
        ("x1.05", w(change=s.slower(1.05)), ONE),
        ("x1.08", w(change=s.slower(1.08)), most(4)),
        ("x1.10", w(change=s.slower(1.1)), most(10)),
        ("x1.05, lognormal", w(s.LOGNORMAL, change=s.slower(1.05)), ONE),
        ("x1.08, lognormal", w(s.LOGNORMAL, change=s.slower(1.08)), most(6)),
        ("x1.10, lognormal", w(s.LOGNORMAL, change=s.slower(1.1)), most(15)),
        ("x1.08, 500/500 rps", w(traffic=s.EVEN, change=s.slower(1.08)), most(4)),
        ("x1.08, 800/200 rps", w(traffic=s.LARGE, change=s.slower(1.08)), most(4)),
        ("slow end x1.05", w(s.LOGNORMAL, change=s.tail(1.05)), TOLD),
        ("slow end x1.08", w(s.LOGNORMAL, change=s.tail(1.08)), most(6)),
        ("slow end x1.10", w(s.LOGNORMAL, change=s.tail(1.1)), most(11)),
        ("slow 5 % x1.08", w(s.SLOWER_PART, change=s.parts(1.0, 1.08)), most(6)),
        ("slow 5 % x1.10", w(s.SLOWER_PART, change=s.parts(1.0, 1.1)), most(11)),
        ("slow 5 % x1.10, 500/500 rps", w(s.SLOWER_PART, traffic=s.EVEN, change=s.parts(1.0, 1.1)), most(11)),
        ("narrow x1.03", w(s.NARROW, change=s.slower(1.03)), ONE),
        ("narrow x1.05", w(s.NARROW, change=s.slower(1.05)), ONE),
        ("one bucket x1.05", w(s.TIED, change=s.slower(1.05)), ONE),
        ("p99 at a bound, x1.05", w(s.AT_BOUND, change=s.slower(1.05)), ONE),
        ("median 107 ms, x1.05", w(s.MEDIAN_AT_BOUND, change=s.slower(1.05)), ONE),
        ("jitter 5 %, x1.05", w(unsteady=s.jitter(0.05), change=s.slower(1.05)), TOLD),
        ("share in steps with drift, x1.03", stepped(s.slower(1.03)), ONE),
        ("share in steps with drift, x1.05", stepped(s.slower(1.05)), ONE),
    ]


def bad() -> list[Plain]:
    """The canary is worse than tolerated."""
    w, told = s.world, Found()
    both = replace(s.errors(0.01), factor=1.2)
    return [
        ("errors .75 %", w(change=s.errors(0.0075)), told),
        ("errors 1 %", w(change=s.errors(0.01)), Found(median=20, p90=50)),
        ("errors 2 %", w(change=s.errors(0.02)), told),
        ("errors 5 %", w(change=s.errors(0.05)), Found(median=3, p90=4)),
        ("errors 20 %", w(change=s.errors(0.2)), Found(median=2, p90=2)),
        ("errors 100 %", w(change=s.errors(1.0)), Found(median=1, p90=1)),
        ("x1.15", w(change=s.slower(1.15)), told),
        ("x1.2", w(change=s.slower(1.2)), Found(median=6, p90=16)),
        ("x1.2, lognormal", w(s.LOGNORMAL, change=s.slower(1.2)), Found(median=8, p90=20)),
        ("x1.5", w(change=s.slower(1.5)), Found(median=3, p90=3)),
        ("x2", w(change=s.slower(2.0)), Found(median=3, p90=3)),
        ("p99 +50 %", w(s.LOGNORMAL, change=s.tail(1.5)), Found(median=19, p90=38)),
        ("p99 +100 %", w(s.LOGNORMAL, change=s.tail(2.0)), told),
        ("slow 1.5 % twice as slow", w(s.SLOW_PART, change=s.parts(1.0, 2.0)), told),
        ("slow 1.5 % twice as slow, 10/30 rps", w(s.SLOW_PART, traffic=s.FEW, change=s.parts(1.0, 2.0)), told),
        ("2 % of the requests x10", w(s.RARE_PART, change=s.parts(1.0, 10.0)), told),
        ("errors 1 % and x1.2", w(change=both), told),
        ("narrow x1.2", w(s.NARROW, change=s.slower(1.2)), told),
        ("narrow p99 +50 %", w(s.NARROW, change=s.tail(1.5)), told),
        ("two humps: the fast x.3, the slow x1.25", w(s.CACHE, change=s.parts(0.3, 1.25)), told),
    ]


def late() -> list[Plain]:
    """The canary turns bad when it has been watched for a while, or little by little."""
    w, told = s.world, Found()
    return [
        ("errors 1 % from tick 100", w(change=s.late(s.errors(0.01), 100)), told),
        ("errors 1 % from tick 165", w(change=s.late(s.errors(0.01), 165)), Found(median=39, p90=77)),
        ("errors 5 % from tick 165", w(change=s.late(s.errors(0.05), 165)), told),
        ("errors 20 % from tick 165", w(change=s.late(s.errors(0.2), 165)), told),
        ("x1.2 from tick 165", w(change=s.late(s.slower(1.2), 165)), Found(median=17, p90=30)),
        ("x1.5 from tick 165", w(change=s.late(s.slower(1.5), 165)), told),
        ("leak +3 % per 10 s", w(change=s.leak(percent=3.0)), told),
        ("p99 +50 % from tick 165", w(s.LOGNORMAL, change=s.late(s.tail(1.5), 165)), Found(median=31, p90=53)),
    ]


def bad_elsewhere() -> list[Plain]:
    """The canary is worse than tolerated under other traffic, or is read in another way."""
    w, told = s.world, Found()
    return [
        ("5/95 rps: errors 5 %", w(traffic=s.LOW, change=s.errors(0.05)), told),
        ("5/95 rps: x1.5", w(traffic=s.LOW, change=s.slower(1.5)), told),
        ("500/500 rps: errors 1 %", w(traffic=s.EVEN, change=s.errors(0.01)), told),
        ("500/500 rps: x1.2", w(traffic=s.EVEN, change=s.slower(1.2)), told),
        ("500/500 rps: p99 +50 %", w(s.LOGNORMAL, traffic=s.EVEN, change=s.tail(1.5)), told),
        ("800/200 rps: x1.2", w(traffic=s.LARGE, change=s.slower(1.2)), Found(median=3, p90=8)),
        ("800/200 rps: p99 +50 %", w(s.LOGNORMAL, traffic=s.LARGE, change=s.tail(1.5)), Found(median=10, p90=15)),
        (".2/20 rps: errors 30 %", w(traffic=s.LOWEST, change=s.errors(0.3)), told),
        (".2/20 rps: errors 100 %", w(traffic=s.LOWEST, change=s.errors(1.0)), told),
        (".2/20 rps: x2", w(traffic=s.LOWEST, change=s.slower(2.0)), told),
        ("3/60 rps: errors 10 %", w(traffic=s.LOWER, change=s.errors(0.1)), told),
        ("15 s ticks: errors 1 %", w(traffic=s.ticks_of(15.0), change=s.errors(0.01)), told),
        ("15 s ticks: errors 5 %, 3 and 10 pods", w(traffic=s.ticks_of(15.0), pods=s.apart(3), change=s.errors(0.05)), told),
        ("15 s ticks: errors 20 %", w(traffic=s.ticks_of(15.0), change=s.errors(0.2)), told),
        ("30 s ticks: errors 5 %, 3 and 10 pods", w(traffic=s.ticks_of(30.0), pods=s.apart(3), change=s.errors(0.05)), told),
        ("15 s ticks: x1.2", w(traffic=s.ticks_of(15.0), change=s.slower(1.2)), told),
        ("15 s ticks: p99 +50 %", w(s.LOGNORMAL, traffic=s.ticks_of(15.0), change=s.tail(1.5)), told),
        ("denials 0 -> 5 %", w(change=Change(denied=0.05)), told),
        ("histograms not split: errors 1 %", w(change=s.errors(0.01), split=False), told),
        ("histograms not split: x1.2", w(change=s.slower(1.2), split=False), told),
        ("12 buckets a decade: x1.2", w(s.FINE, change=s.slower(1.2)), told),
        ("12 buckets a decade: p99 +50 %", w(s.FINE, change=s.tail(1.5)), told),
    ]


def bad_in_unrest() -> list[Plain]:
    """The canary is worse than tolerated where requests are not independent, or nothing else is steady."""
    w, told = s.world, Found()
    burst = Failures(errors=0.002, clump=5)
    return [
        ("bursts of 5: .2 -> 1 %", w(failures=burst, change=s.errors(0.01)), told),
        ("bursts of 5: .2 -> 5 %", w(failures=burst, change=s.errors(0.05)), told),
        ("jitter 5 %, x1.2", w(unsteady=s.jitter(0.05), change=s.slower(1.2)), told),
        ("jitter 5 %, 50k/950k rps, x1.2", w(traffic=s.HIGH, unsteady=s.jitter(0.05), change=s.slower(1.2)), told),
        ("share in steps with drift, x1.2", w(traffic=s.STEPPED, unsteady=s.RISING, change=s.slower(1.2)), told),
        ("share in steps, falling 60 %, x1.15", w(traffic=s.STEPPED, unsteady=s.FALLING, change=s.slower(1.15)), told),
        ("base errors 20 -> 25 %", w(failures=Failures(errors=0.2), change=s.errors(0.25)), told),
        ("base errors 20 -> 40 %", w(failures=Failures(errors=0.2), change=s.errors(0.4)), told),
        ("base errors 3 -> 6 %", w(failures=Failures(errors=0.03), change=s.errors(0.06)), told),
        ("GC and x1.2", w(stands=s.COLLECTING, change=s.slower(1.2)), told),
        ("GC and errors 5 %", w(stands=s.COLLECTING, change=s.errors(0.05)), told),
        ("3 and 10 pods that differ by 5 %: x1.5", w(pods=s.apart(3, spread=0.05), change=s.slower(1.5)), told),
        ("x1.5 after a cold start", w(pods=s.AGED, unsteady=s.COLD, change=s.slower(1.5)), told),
    ]
