"""The engine's measurements as metrics."""

import os
import re
import time
from collections.abc import Callable

import msgspec
import pytest
from prometheus_client.samples import Sample

from analyzers.counts import Arm, Signal
from analyzers.ruling import LegNow, Ruling
from daemon.errors import TimedOut
from daemon.http.metrics import watched
from daemon.http.metrics.broker import Broker
from daemon.http.metrics.meter import Metrics
from daemon.http.metrics.samplers import Samplers
from daemon.measurements import Cadence, Reading, Watch
from daemon.model import Outcome, Stage, TimedStep
from tests.hand.api import release, verdict

WATCH = Watch(release_id="shop-1", release=release())
LABELS = {"release": "shop-1", "namespace": "web", "service": "shop"}
RULING = Ruling(
    outcome="continue",
    tick=1,
    t=1.0,
    evidence=12.5,
    boundary=100.0,
    legs={"errors": LegNow(e_value=12.5, effect=0.04, beyond=3.5), "slow_end": LegNow(e_value=1.0, effect=None)},
    leg=None,
    reason="more requests",
)
READING = Reading(seconds=1.0, baseline=Arm(requests=90), canary=Arm(requests=10), at=999.0)


def marks(**at: float) -> list[TimedStep]:
    return [TimedStep(step=step, at=time) for step, time in at.items()]


def test_a_watched_release_shows_evidence_effect_and_sampling() -> None:
    metrics = Metrics(now=lambda: 1000.5)
    metrics.ticked(WATCH, READING, RULING)
    metrics.ticked(WATCH, Reading(seconds=1.0, gap="no answer"), None)
    value = metrics.registry.get_sample_value
    assert value("verdictd_release_evidence", LABELS) == 12.5
    assert value("verdictd_release_evidence_boundary", LABELS) == 100.0
    assert value("verdictd_leg_evidence", {**LABELS, "leg": "errors"}) == 12.5
    assert value("verdictd_leg_beyond", {**LABELS, "leg": "errors"}) == 3.5
    assert value("verdictd_leg_effect_points", {**LABELS, "leg": "errors"}) == 0.04
    assert value("verdictd_leg_effect_ratio", {**LABELS, "leg": "slow_end"}) is None
    assert value("verdictd_release_requests_total", {**LABELS, "arm": "canary"}) == 10
    assert value("verdictd_release_requests_total", {**LABELS, "arm": "baseline"}) == 90
    assert value("verdictd_release_ticks_total", LABELS) == 2
    assert value("verdictd_release_gaps_total", LABELS) == 1
    assert value("verdictd_release_telemetry_age_seconds", LABELS) == 1.5


def test_the_routes_weight_and_the_share_that_was_observed_are_shown_side_by_side() -> None:
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    metrics.ticked(WATCH, READING, RULING)
    assert value("verdictd_release_weight_ratio", LABELS) is None, "nobody has said one"
    assert value("verdictd_release_share_ratio", LABELS) == 0.1
    metrics.ticked(WATCH, Reading(seconds=1.0, gap="no answer", weight=50.0), RULING)
    assert value("verdictd_release_weight_ratio", LABELS) == 0.5
    assert value("verdictd_release_share_ratio", LABELS) == 0.1, "of the last tick that had any"
    denied = Reading(seconds=1.0, baseline=Arm(requests=30), canary=Arm(requests=0, denied=10), at=1000.0)
    metrics.ticked(WATCH, denied, RULING)
    assert value("verdictd_release_share_ratio", LABELS) == 0.25, "the route has sent the denied ones there too"
    metrics.ticked(WATCH, Reading(seconds=1.0, baseline=Arm(requests=0), canary=Arm(requests=0), at=1000.0), RULING)
    assert value("verdictd_release_share_ratio", LABELS) is None, "there was nothing to share"


def test_what_stands_beside_the_counts_is_a_series_each_while_it_stands() -> None:
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    held = Signal(kind="not_ready", about="canary", effect="holds", words="1 of 3 is not ready")
    same = Signal(kind="not_ready", about="canary", effect="holds", words="another one is not ready")
    metrics.ticked(WATCH, msgspec.structs.replace(READING, signals=(held, same)), RULING)
    labels = {**LABELS, "kind": "not_ready", "about": "canary", "effect": "holds"}
    assert value("verdictd_release_signal", labels) == 1.0
    assert metrics.registry.get_sample_value("verdictd_release_signal", {**labels, "effect": "says"}) is None
    metrics.ticked(WATCH, READING, RULING)
    assert value("verdictd_release_signal", labels) is None


def test_a_releases_series_stay_for_minutes_after_its_verdict_and_then_go() -> None:
    """Scrapes are further apart than ticks are; and after a revert the counters are still read for a while, under the guard."""
    now = [1000.0]
    metrics = Metrics(now=lambda: now[0])
    value = metrics.registry.get_sample_value
    metrics.ticked(WATCH, READING, RULING)
    final = msgspec.structs.replace(verdict("shop-1"), evidence=140.0)
    metrics.ended(release(), final, [])
    metrics.ticked(WATCH, READING, None)
    now[0] = 1299.0
    metrics.set_stages({})
    assert value("verdictd_release_evidence", LABELS) == 140.0
    assert value("verdictd_release_ticks_total", LABELS) == 1
    assert value("verdictd_release_verdict", {**LABELS, "outcome": "rollback", "action": "revert"}) == 1.0
    assert value("verdictd_release_stage", {**LABELS, "stage": "ended"}) == 1.0
    assert value("verdictd_release_telemetry_age_seconds", LABELS) is None, "nobody reads it any more"
    now[0] = 1301.0
    metrics.set_stages({})
    assert of_releases(metrics) == []


def test_how_many_ended_releases_are_shown_is_bounded() -> None:
    metrics = Metrics(now=lambda: 1000.0)
    for number in range(watched.MOST_ENDED + 50):
        metrics.ended(release(), verdict(f"shop-{number}"), [])
    shown = {sample.labels["release"] for sample in of_releases(metrics)}
    assert len(shown) == watched.MOST_ENDED
    assert "shop-49" not in shown


def test_a_thousand_releases_an_hour_leave_as_many_series_as_a_hundred_do() -> None:
    """What is shown grows with services, and with what has ended in the last minutes; never with what was ever watched."""
    now, sizes = [0.0], []
    metrics = Metrics(now=lambda: now[0])
    for number in range(1_000):
        now[0] += 3.6
        watch = Watch(release_id=f"shop-{number}", release=msgspec.structs.replace(release(), service=f"shop-{number % 20}"))
        metrics.admitted(watch.release_id, watch.release)
        metrics.ticked(watch, READING, RULING)
        metrics.ended(watch.release, verdict(watch.release_id), marks(watching=2, decided=9))
        if number in {99, 999}:
            metrics.set_stages({})
            sizes.append(sum(len(family.samples) for family in metrics.registry.collect()))
    assert sizes[1] == sizes[0]


def test_a_release_shows_what_it_is_from_its_admission_and_the_stage_it_is_in() -> None:
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    metrics.admitted("shop-1", msgspec.structs.replace(release(), cluster="eu", mesh="edge"))
    about = {**LABELS, "cluster": "eu", "mesh": "edge", "policy": "default"}
    assert value("verdictd_release_info", about) == 1.0
    metrics.set_stages({"shop-1": Stage.WATCHING, "shop-2": Stage.ENDED})
    assert value("verdictd_release_stage", {**LABELS, "stage": "watching"}) == 1.0
    assert value("verdictd_releases", {"stage": "ended"}) == 1.0
    assert value("verdictd_releases", {"stage": "reverting"}) == 0.0
    metrics.set_stages({"shop-1": Stage.REVERTING})
    assert value("verdictd_release_stage", {**LABELS, "stage": "watching"}) is None
    assert value("verdictd_release_stage", {**LABELS, "stage": "reverting"}) == 1.0
    metrics.left("shop-1")
    assert of_releases(metrics) == [], "it is another daemon's"


def of_releases(metrics: Metrics) -> list[Sample]:
    return [sample for family in metrics.registry.collect() for sample in family.samples if "release" in sample.labels]


def test_a_verdict_is_counted_with_its_durations() -> None:
    metrics = Metrics()
    steps = marks(submitted=0, located=1, watching=2, decided=9, patch_sent=9.02, confirmed=9.1, put_back=12, published=9.2)
    metrics.ended(release(), verdict("shop-1"), [*steps, *marks(patch_sent=12.1, confirmed=12.2)])
    metrics.ended(release(), verdict("shop-2", Outcome.PROMOTE), marks(watching=2, decided=62, published=62.1))
    value = metrics.registry.get_sample_value
    service = {"cluster": "", "namespace": "web", "service": "shop"}
    assert value("verdictd_verdicts_total", {**service, "outcome": "rollback", "action": "revert", "by": "judge"}) == 1
    assert value("verdictd_verdicts_total", {**service, "outcome": "promote", "action": "none", "by": "judge"}) == 1
    sums = {
        name: value(f"verdictd_{name}_seconds_sum", {"outcome": "rollback"}) for name in ("detection", "patch", "revert", "publish")
    }
    assert {name: round(total or 0.0, 3) for name, total in sums.items()} == {
        "detection": 7.0,
        "patch": 0.02,
        "revert": 0.1,
        "publish": 0.2,
    }
    assert value("verdictd_detection_seconds_sum", {"outcome": "promote"}) == 60.0
    assert value("verdictd_revert_seconds_count", {"outcome": "promote"}) is None


def test_rounds_show_how_long_they_take_and_how_far_apart_they_are() -> None:
    now, steady = [100.0], [7.0]
    metrics = Metrics(now=lambda: now[0], monotonic=lambda: steady[0])
    for now[0], steady[0] in ((3700.0, 7.0), (101.25, 8.25)):
        metrics.round("prom", releases=3, sampling_seconds=0.02, judging_seconds=0.001)
    value, labels = metrics.registry.get_sample_value, {"telemetry": "prom"}
    assert value("verdictd_sampling_seconds_count", labels) == 2
    assert value("verdictd_judging_seconds_sum", labels) == 0.002
    assert value("verdictd_round_releases", labels) == 3
    assert value("verdictd_round_timestamp_seconds", labels) == 101.25
    assert value("verdictd_round_interval_seconds", labels) == 1.25, "whatever was done to the wall's clock"
    metrics.rests("prom")
    for name in ("releases", "timestamp_seconds", "interval_seconds"):
        assert value(f"verdictd_round_{name}", labels) == 0.0, "nothing is late while there is nothing to read"
    now[0] = 4000.0
    metrics.round("prom", releases=1, sampling_seconds=0.02, judging_seconds=0.001)
    assert value("verdictd_round_interval_seconds", labels) == 0.0, "the rest before it was no lag"


def test_that_a_person_is_waited_for_is_shown_while_it_is_so() -> None:
    metrics = Metrics()
    for since, value in ((None, None), (1.0, 1.0)):
        metrics.ticked(WATCH, READING, msgspec.structs.replace(RULING, good_since=since))
        assert metrics.registry.get_sample_value("verdictd_release_waits_for_person", LABELS) == value
    metrics.ended(release(), verdict("shop-1"), ())
    assert metrics.registry.get_sample_value("verdictd_release_waits_for_person", LABELS) is None


def test_troubles_are_counted_by_kind() -> None:
    metrics = Metrics()
    metrics.failed("publish", TimedOut("5 s"))
    assert metrics.registry.get_sample_value("verdictd_troubles_total", {"what": "publish", "error": "TimedOut"}) == 1


def test_names_follow_the_rules_of_prometheus() -> None:
    """Our prefix, lower case, base units, and ``_total`` on counters only."""
    metrics = Metrics()
    metrics.ticked(WATCH, READING, RULING)
    metrics.answered("GET", "/healthz", 200, 0.1)
    for family in metrics.registry.collect():
        if family.name.startswith("process_"):
            continue
        assert re.fullmatch(r"verdictd_[a-z_]+", family.name), family.name
        assert not family.name.endswith(("_ms", "_milliseconds", "_count", "_total")), family.name
        assert family.documentation.endswith("."), family.name


def test_no_series_tells_when_another_one_began() -> None:
    metrics = Metrics()
    metrics.ended(release(), verdict("shop-1"), marks(watching=2, decided=9))
    names = {sample.name for family in metrics.registry.collect() for sample in family.samples}
    assert not [name for name in names if name.endswith("_created")]


def test_how_the_samples_of_each_source_come_can_be_scraped() -> None:
    metrics = Metrics()
    assert metrics.registry.get_sample_value("verdictd_telemetry_spacing_seconds", {"telemetry": "prom"}) is None
    metrics.cadence("prom", Cadence(spacing_seconds=15.0, late_seconds=60.0, longest_seconds=300.0, ahead_seconds=-7.0))
    for name, value in (("spacing", 15.0), ("late", 60.0), ("clock_ahead", -7.0)):
        assert metrics.registry.get_sample_value(f"verdictd_telemetry_{name}_seconds", {"telemetry": "prom"}) == value


def test_how_nats_and_telemetry_stand_can_be_scraped() -> None:
    metrics, connected = Metrics(now=lambda: 1000.5), [True]
    value = metrics.registry.get_sample_value
    metrics.watch_nats(
        Broker(
            connected=lambda: connected[0],
            last_write_at=lambda: 999.0,
            write_seconds=lambda: 0.25,
            waiting=lambda: {"VERDICTD_RELEASES": (12, 5)},
            lost=lambda: 3,
            rejected=lambda: 2,
        )
    )
    metrics.expect_telemetry(["edge", "prom"])
    metrics.telemetry_answered("edge")
    assert value("verdictd_telemetry_last_success_timestamp_seconds", {"telemetry": "prom"}) == 0.0
    assert value("verdictd_nats_connected") == 1.0
    assert value("verdictd_events_lost_total") == 3.0
    assert value("verdictd_dead_letters_total") == 2.0
    assert value("verdictd_nats_last_write_timestamp_seconds") == 999.0
    assert value("verdictd_nats_write_seconds") == 0.25
    assert value("verdictd_events_waiting", {"stream": "VERDICTD_RELEASES"}) == 12.0
    assert value("verdictd_events_unanswered", {"stream": "VERDICTD_RELEASES"}) == 5.0
    assert value("verdictd_telemetry_last_success_timestamp_seconds", {"telemetry": "edge"}) == 1000.5
    connected[0] = False
    assert value("verdictd_nats_connected") == 0.0


def test_what_a_sampler_takes_can_be_scraped_while_it_runs() -> None:
    metrics, running = Metrics(), {"near": (os.getpid(), 2), "gone": (2**22 + 1, 1), "not yet": (None, 0)}
    metrics.watch_samplers(Samplers(running=lambda: running))
    found = {
        name: {one: metrics.registry.get_sample_value(f"verdictd_sampler_{name}", {"telemetry": one}) for one in running}
        for name in ("cpu_seconds_total", "resident_memory_bytes", "starts_total")
    }
    assert found["starts_total"] == {"near": 2.0, "gone": 1.0, "not yet": 0.0}
    for name in ("cpu_seconds_total", "resident_memory_bytes"):
        assert (found[name]["gone"], found[name]["not yet"]) == (None, None)
    assert 0.0 < (found["cpu_seconds_total"]["near"] or 0.0) <= time.process_time() + 1.0
    assert (found["resident_memory_bytes"]["near"] or 0.0) > 2**20


@pytest.mark.parametrize(
    ("watch", "name"),
    [(Metrics.watch_verdicts, "verdictd_verdicts_held_up"), (Metrics.watch_announcements, "verdictd_announcements_waiting")],
    ids=["verdicts that cannot be told", "what waits for its canary"],
)
def test_who_waits_is_counted_as_it_is_when_it_is_asked_for(watch: Callable[[Metrics, Callable[[], int]], None], name: str) -> None:
    metrics, waiting = Metrics(), ["web-1"]
    watch(metrics, lambda: len(waiting))
    assert metrics.registry.get_sample_value(name) == 1.0
    waiting.clear()
    assert metrics.registry.get_sample_value(name) == 0.0
