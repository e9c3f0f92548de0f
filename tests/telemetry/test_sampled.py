"""The frame around every source: whoever writes a new one has to ask and to read, as the source here does, and no more."""

from collections.abc import Mapping
from dataclasses import replace

import msgspec
import pytest

from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.errors import Unavailable, VerdictdError
from daemon.measurements import Reading, Watch
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Release
from daemon.telemetry.counters.collection import Collection, Timing
from daemon.telemetry.counters.readings import CounterState
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.outcomes import Ending
from daemon.telemetry.sampled import SampledTelemetry
from daemon.telemetry.schema import Ended
from tests.hand.clock import HandClock
from tests.telemetry.support import Rounds, series, workloads

SCHEMA = schemas()["istio"]
WATCHES = [workloads("web-1"), workloads("web-2", canary="web-v3")]


class HandSource:
    """Has counted ``requests`` in every arm, at one target, as of ``at``; fails when it is told to."""

    def __init__(self, index: SeriesIndex, *, at: float) -> None:
        self.timing = Timing(tick_seconds=2.0, stale_after_seconds=30.0, patience_seconds=5.0)
        self.wait_seconds: float | None = None
        self.requests = 1000
        self.at = at
        self.fault: VerdictdError | None = None
        self.failed: dict[str, str] = {}
        self._index = index

    def passes(self, seconds: float, *, requests: int) -> None:
        self.at += seconds
        self.requests += requests

    async def collect(self) -> Collection:
        if self.fault is not None:
            raise self.fault
        collected = Collection()
        for arm in (arm for pair in self._index.arms.values() for arm in pair):
            builder = collected.builder(arm, "a:1", spacing_seconds=2.0, pod="")
            builder.count(series("200"), Ended.SERVED, self.requests, at=self.at)
        collected.answered["a:1"] = self.at
        collected.failed.update(self.failed)
        return collected


class Scene:
    """A hand-made source in its frame. Time goes on for both."""

    def __init__(self, *, monotonic: bool = False) -> None:
        self.clock = HandClock(booted=999_500.0)
        index = SeriesIndex(SCHEMA)
        self.source = HandSource(index, at=self.clock.monotonic() if monotonic else self.clock.now())
        self.source.timing = replace(self.source.timing, monotonic=monotonic)
        self.telemetry = SampledTelemetry(self.source, schema=SCHEMA, index=index, clock=self.clock)

    def passes(self, seconds: float, *, requests: int) -> None:
        self.clock.time += seconds
        self.source.passes(seconds, requests=requests)

    async def read(self) -> Mapping[str, Reading]:
        return await self.telemetry.read(WATCHES)


def test_a_release_that_ends_while_a_thread_makes_the_readings_takes_the_others_reading_from_nobody() -> None:
    index = SeriesIndex(SCHEMA)
    state = CounterState(index)
    state.open(WATCHES)
    collected = Collection()
    for arm in (arm for pair in index.arms.values() for arm in pair):
        for target, cluster in (("a", "one"), ("b", "other")):
            collected.builder(arm, target, spacing_seconds=2.0, pod=target).count(series("200"), Ended.SERVED, 7, at=100.0)
            collected.clusters[target], collected.answered[target] = cluster, 100.0
    trackers = state.trackers(WATCHES)
    state.close("web-2")
    readings = state.readings(trackers, collected, Rounds().next(100.0, answered=collected.answered))
    assert "several clusters" in str(readings["web-1"].gap)


def counted(reading: Reading) -> tuple[float, int, int]:
    assert reading.gap is None
    assert reading.baseline is not None
    assert reading.canary is not None
    return reading.seconds, reading.baseline.requests, reading.canary.requests


def test_the_interval_is_the_sources_and_the_split_the_meshs() -> None:
    telemetry = Scene().telemetry
    assert (telemetry.tick_seconds, telemetry.split) == (2.0, SCHEMA.split)


async def test_what_was_counted_between_two_readings_is_told_to_every_release() -> None:
    scene = Scene()
    assert {reading.gap for reading in (await scene.read()).values()} == {"first reading: counting starts here"}
    scene.passes(2.0, requests=30)
    readings = await scene.read()
    assert {release_id: counted(reading) for release_id, reading in readings.items()} == {
        "web-1": (2.0, 30, 30),
        "web-2": (2.0, 30, 30),
    }


async def test_a_source_that_fails_is_a_gap_for_all_and_loses_nothing() -> None:
    scene = Scene()
    await scene.read()
    scene.passes(2.0, requests=30)
    scene.source.fault = Unavailable("the source: no answer")
    assert {reading.gap for reading in (await scene.read()).values()} == {"the source: no answer"}
    scene.source.fault = None
    scene.passes(2.0, requests=12)
    assert counted((await scene.read())["web-1"]) == (4.0, 42, 42)


async def test_a_target_that_failed_is_named_where_a_release_waits_for_it() -> None:
    scene = Scene()
    await scene.read()
    scene.clock.time += 2.0  # the source has nothing newer
    scene.source.failed = {"a:1": "a:1: connection refused"}
    assert "connection refused" in ((await scene.read())["web-1"].gap or "")


async def test_samples_too_old_by_the_sources_own_measure_are_no_information() -> None:
    scene = Scene()
    await scene.read()
    scene.clock.time += scene.source.timing.stale_after_seconds + 1.0
    assert (await scene.read())["web-1"].gap == "stale: the newest sample is 31 s old"


async def test_times_of_our_own_clock_become_those_of_the_calendar() -> None:
    for monotonic in (False, True):
        scene = Scene(monotonic=monotonic)
        await scene.read()
        scene.passes(2.0, requests=30)
        reading = (await scene.read())["web-1"]
        assert counted(reading) == (2.0, 30, 30)
        assert reading.at == scene.clock.now()


async def test_a_release_that_has_ended_begins_anew_if_it_is_watched_again() -> None:
    scene = Scene()
    await scene.read()
    scene.telemetry.forget("web-1")
    scene.passes(2.0, requests=30)
    readings = await scene.read()
    assert readings["web-1"].gap == "first reading: counting starts here"
    assert counted(readings["web-2"]) == (2.0, 30, 30)


async def test_labels_that_are_missing_are_said_once_by_their_names(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    await scene.read()
    [outcomes] = scene.telemetry._index.outcomes
    for labels in ({}, {"response_code": "200", "request_protocol": "grpc"}, {"response_code": "200"}):
        outcomes.counted(Ending(labels))
        await scene.read()
        await scene.read()
    said = [record.__dict__["missing"] for record in caplog.records if record.message.startswith("series do not say")]
    assert said == [["grpc_response_status", "response_code"]]


def subsets(pods: PodsByArm | None) -> Watch:
    release = Release(service="web", baseline=ArmSpec(subset="stable"), canary=ArmSpec(subset="canary"))
    return Watch(release_id="web-1", release=release, pods=pods)


def by_workload(*canary: str) -> PodsByArm:
    def arm(workload: str, *names: str) -> ArmPods:
        made = (ArmPod(name=name, namespace="default", address="10.0.0.7", ready=True, workloads=(workload,)) for name in names)
        return ArmPods(pods=tuple(made))

    return PodsByArm(baseline=arm("web", "a"), canary=arm("web-next", *canary))


async def test_pods_that_come_and_go_end_no_count_and_other_labels_begin_it_anew(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    scene = Scene()

    async def read(pods: PodsByArm | None) -> Reading:
        scene.passes(2.0, requests=10)
        return (await scene.telemetry.read([subsets(pods)]))["web-1"]

    assert (await read(None)).gap == "first reading: counting starts here"
    assert counted(await read(None)) == (2.0, 10, 10)
    assert (await read(by_workload("b"))).gap == "first reading: counting starts here", "by workload from now on"
    assert counted(await read(by_workload("b"))) == (2.0, 10, 10)
    assert counted(await read(by_workload("b", "c"))) == (2.0, 10, 10)
    assert counted(await read(by_workload("c"))) == (2.0, 10, 10)
    said = [record for record in caplog.records if "the arms are known" in record.message]
    assert [record.levelname for record in said] == ["WARNING", "INFO"]
    assert "its name is taken for that of a version" in str(vars(said[0])["reason"])
    assert 'destination_workload="web-next"' in str(vars(said[1])["canary"])


async def test_of_a_canary_alone_it_does_not_matter_whether_there_is_a_baseline() -> None:
    """Its pods are gone, and with them its series; a fault of the canary's own is said of the canary."""
    scene = Scene()
    pods = replace(by_workload("b"), baseline=ArmPods(pods=()))
    alone = msgspec.structs.replace(subsets(pods), alone=True)

    async def read(*, requests: int = 10) -> Reading:
        scene.passes(2.0, requests=requests)
        return (await scene.telemetry.read([alone]))["web-1"]

    assert (await read()).gap == "first reading: counting starts here"
    reading = await read()
    assert (reading.gap, reading.baseline, reading.seconds) == (None, None, 2.0)
    assert reading.canary is not None
    assert reading.canary.requests == 10
    scene.clock.time += 2.0
    assert ((await scene.telemetry.read([alone]))["web-1"].gap or "").startswith("canary: no new scrape")
    scene.source.fault = Unavailable("the source: no answer")
    assert (await read()).gap == "the source: no answer"


async def test_a_canary_alone_is_counted_as_ever_beside_a_baseline_that_is_still_there() -> None:
    scene = Scene()
    alone = msgspec.structs.replace(WATCHES[0], alone=True)
    await scene.telemetry.read([alone, WATCHES[1]])
    scene.passes(2.0, requests=30)
    reading = (await scene.telemetry.read([alone, WATCHES[1]]))["web-1"]
    assert reading.baseline is None
    assert reading.canary is not None
    assert reading.canary.requests == 30
