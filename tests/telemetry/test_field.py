"""Situations of real monitoring, each with what a careful person would count: slow, late, summed, doubled, mixed, in parts."""

import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.telemetry.fleet import NAME, Fleet, Pod, Scraper, Watched, watched
from tests.telemetry.support import workloads

pytestmark = pytest.mark.broad

INTERVALS = (5.0, 10.0, 15.0, 30.0, 60.0)


def fleet(*, every: float, late: float = 0.0, phases: tuple[float, ...] = (0.1, 0.35, 0.8, 0.6)) -> Fleet:
    """Three pods of the baseline and one of the canary, which fails 10 %."""
    scrapers = [(Scraper(every=every, phase=every * phase, late=late),) for phase in phases]
    baseline = [Pod(workload="web-v1", name=f"v1-{n}", scrapers=scrapers[n]) for n in range(3)]
    return Fleet([*baseline, Pod(workload="web-v2", name="v2-0", scrapers=scrapers[3], fails=0.1)])


def scrapes_counted(made: Watched, *, rate: float, seconds: float) -> float:
    """The share of the canary's requests that a watch of so long could have counted."""
    return made.requests[1] / (rate * seconds)


@pytest.mark.parametrize("every", INTERVALS)
async def test_every_usual_scrape_interval_is_counted_whole_with_default_settings(every: float) -> None:
    it = fleet(every=every)
    made = await watched(it, 20 * every)
    assert scrapes_counted(made, rate=10.0, seconds=18 * every) >= 0.95, made.gaps
    assert made.requests[1] <= it.served("web-v2", -every, 20 * every)[0]
    assert made.errors[1] == pytest.approx(0.1 * made.requests[1], abs=2)
    assert made.latencies[0] > 0


@pytest.mark.parametrize(
    ("every", "late"), [(5, 10), (5, 15), (5, 20), (5, 120), (15, 45), (15, 60), (15, 90), (30, 120), (60, 120)]
)
async def test_data_that_come_late_are_counted_whole(every: float, late: float) -> None:
    it = fleet(every=every, late=late)
    made = await watched(it, 20 * every + late)
    assert scrapes_counted(made, rate=10.0, seconds=18 * every) >= 0.95, made.gaps
    assert made.requests[1] <= it.served("web-v2", -every - late, 20 * every)[0]


@dataclass
class InParts(Fleet):
    """A store that gets some series of a scrape later than the others: so late each."""

    late: Callable[[Mapping[str, str]], float] = lambda labels: 0.0

    def _series(self, query: str, since: float, now: float) -> Iterator[tuple[dict[str, str], list[tuple[float, float]]]]:
        for labels, samples in super()._series(query, since, now):
            yield labels, [(at, value) for at, value in samples if at + self.late(labels) <= now]


@pytest.mark.parametrize("every", [1.0, 5.0, 15.0])
@pytest.mark.parametrize("late", [0.5, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("code", ["200", "503"])
async def test_a_scrape_that_comes_into_the_store_in_parts_is_counted_when_it_is_whole(
    every: float, late: float, code: str
) -> None:
    """Remote writing sends what it has by shards and batches. A part alone is a share of failures that never was."""
    pods = fleet(every=every).pods
    it = InParts(pods, late=lambda labels: late if pods[3].workload in labels.values() and code in labels.values() else 0.0)
    made = await watched(it, 60 * every, tick_seconds=min(5.0, every))
    assert made.requests[1] <= it.served("web-v2", -every - late, 60 * every)[0]
    assert scrapes_counted(made, rate=10.0, seconds=60 * every - 2 * every - late) >= 0.9, made.gaps
    assert made.errors[1] / made.requests[1] == pytest.approx(0.1, abs=0.01)


async def test_a_store_that_gets_every_series_by_itself_is_counted_whole_and_of_its_histograms_those_that_are() -> None:
    pods = fleet(every=5.0).pods
    it = InParts(pods, late=lambda labels: zlib.crc32(json.dumps(labels, sort_keys=True).encode()) % 100 / 50)
    made = await watched(it, 200.0)
    assert scrapes_counted(made, rate=10.0, seconds=190.0) >= 0.95, made.gaps
    assert made.errors[1] / made.requests[1] == pytest.approx(0.1, abs=0.01)
    assert not any("unusable" in gap for gap in made.gaps)
    assert 0 < made.latencies[1] <= made.requests[1]


async def test_an_arm_of_which_only_latencies_have_come_so_far_is_no_scrape() -> None:
    pods = fleet(every=5.0).pods
    it = InParts(pods, late=lambda labels: 20.0 if "web-v2" in labels.values() and labels["__name__"] == NAME else 0.0)
    made = await watched(it, 100.0)
    assert 0 < made.requests[1] <= it.served("web-v2", -25.0, 100.0)[0]


class OfAnotherClock(Fleet):
    """A store whose clock, by which samples are dated, is ahead of ours by 40 s, or behind."""

    ahead = 0.0

    def answer(self, query: str, *, now: float) -> bytes:
        return super().answer(query, now=now + self.ahead)


@pytest.mark.parametrize("ahead", [40.0, -40.0])
@pytest.mark.parametrize("every", [5.0, 15.0])
async def test_clocks_that_differ_cost_nothing(every: float, ahead: float) -> None:
    it = OfAnotherClock(fleet(every=every).pods)
    it.ahead = ahead
    made = await watched(it, 20 * every + 40.0)
    assert scrapes_counted(made, rate=10.0, seconds=18 * every) >= 0.95, made.gaps
    assert made.requests[1] <= it.served("web-v2", -every - 40.0, 20 * every + 80.0)[0]


@pytest.mark.parametrize("every", [15.0, 30.0, 60.0])
async def test_a_slow_source_is_asked_when_there_is_something_new_and_hardly_otherwise(every: float) -> None:
    it = fleet(every=every, phases=(0.5, 0.5, 0.5, 0.5))
    made = await watched(it, 20 * every)
    assert made.ticks <= 20 + 60 / 5 + 8, "a scrape or so of learning, then one tick a scrape"
    delays = [at % every - every / 2 for at in made.counted_at[6:]]
    assert max(delays) <= 1.5


async def test_sums_over_pods_are_refused_and_never_counted() -> None:
    """Scaled from 4 to 1: the sum falls by their history and could be taken for a restart."""
    scraper = (Scraper(every=5.0),)
    pods = [Pod(workload="web-v1", name=f"v1-{n}", scrapers=scraper) for n in range(3)]
    pods += [
        Pod(workload="web-v2", name=f"v2-{n}", scrapers=scraper, history=(5000, 242), died=100.0 if n else 1e9) for n in range(4)
    ]
    for labels in ((), (("instance", "prometheus:9090"),)):
        it = Fleet(pods, summed=True)
        pods[0].scrapers = (Scraper(every=5.0, labels=labels),)
        made = await watched(it, 200.0)
        assert (made.requests, made.errors) == ([0, 0], [0, 0])
        assert "sums over several pods" in made.gaps[-1]


@pytest.mark.parametrize(
    "copy",
    [
        (("instance", "10.0.0.9:15090"),),
        (("job", "second"),),
        *[((label, "b"),) for label in ("prometheus_replica", "receive_replica", "ha_replica", "monitor", "whatever")],
    ],
)
@pytest.mark.parametrize("shift", [0.2, 2.0, 7.5])
async def test_a_pod_that_is_scraped_twice_is_counted_once(copy: tuple[tuple[str, str], ...], shift: float) -> None:
    it = fleet(every=15.0)
    for pod in it.pods:
        (one,) = pod.scrapers
        other = Scraper(every=15.0, phase=(one.phase + shift) % 15.0, labels=copy)
        pod.scrapers = (one, other)
    made = await watched(it, 300.0)
    for arm, workload in enumerate(("web-v1", "web-v2")):
        assert made.requests[arm] <= it.served(workload, -15.0, 300.0)[0]
        assert made.latencies[arm] <= made.requests[arm] + 300
    assert scrapes_counted(made, rate=10.0, seconds=270.0) >= 0.95, made.gaps


@pytest.mark.parametrize("label", ["receive_replica", "prometheus_replica", "monitor", "job"])
async def test_copies_of_the_same_scrape_are_counted_once(label: str) -> None:
    it = fleet(every=15.0)
    for pod in it.pods:
        (one,) = pod.scrapers
        pod.scrapers = tuple(Scraper(every=15.0, phase=one.phase, labels=((label, name),)) for name in "abc")
    made = await watched(it, 300.0)
    assert made.requests[1] <= it.served("web-v2", -15.0, 300.0)[0]
    assert scrapes_counted(made, rate=10.0, seconds=270.0) >= 0.95, made.gaps


async def test_copies_of_the_same_scrape_that_nobody_can_know_are_refused_with_the_reason() -> None:
    it = fleet(every=15.0)
    for pod in it.pods:
        (one,) = pod.scrapers
        pod.scrapers = tuple(Scraper(every=15.0, phase=one.phase, labels=(("whatever", name),)) for name in "ab")
    made = await watched(it, 120.0)
    assert made.requests == [0, 0]
    assert "there several times, with the same values" in made.gaps[-1]


@pytest.mark.parametrize("shift", [0.0, 2.0])
async def test_a_sidecar_with_two_pages_and_without_a_pods_name_is_counted_once(shift: float) -> None:
    it = fleet(every=15.0)
    for number, pod in enumerate(it.pods):
        (one,) = pod.scrapers
        twin = Scraper(every=15.0, phase=(one.phase + shift) % 15.0, labels=(("instance", f"10.0.0.{number}:15090"),))
        pod.name, pod.scrapers = "", (one, twin)
    made = await watched(it, 300.0)
    assert made.requests[1] <= it.served("web-v2", -15.0, 300.0)[0]
    assert scrapes_counted(made, rate=10.0, seconds=270.0) >= 0.95, made.gaps


@pytest.mark.parametrize(("every", "late"), [(5.0, 60.0), (15.0, 90.0), (15.0, 120.0)])
async def test_a_late_cluster_beside_a_punctual_one_is_counted_whole_and_so_is_the_other(every: float, late: float) -> None:
    beside = [workloads("api-1", baseline="api-v1", canary="api-v2")]
    for ours, theirs in ((late, 0.0), (0.0, late)):
        it = fleet(every=every, late=ours)
        it.pods += [
            Pod(workload=f"api-v{v}", name=f"api-v{v}", scrapers=(Scraper(every=every, phase=1.0 + v, late=theirs),))
            for v in (1, 2)
        ]
        made = await watched(it, 20 * every + late, beside=beside)
        assert scrapes_counted(made, rate=10.0, seconds=18 * every) >= 0.95, made.gaps
        assert made.requests[1] <= it.served("web-v2", -every, 20 * every + late)[0]


@pytest.mark.parametrize("every", [15.0, 30.0, 60.0])
@given(phases=st.tuples(*[st.floats(0.0, 0.999)] * 4))
@example(phases=(0.955, 0.54, 0.54, 0.082))
@settings(max_examples=10, deadline=None)
async def test_slow_pods_of_a_store_that_has_just_begun_lose_nothing_after_their_first_scrape(
    every: float, phases: tuple[float, ...]
) -> None:
    """One scrape of each is there, of quick ones beside them several: nobody knows how far apart the slow ones' are."""
    it = fleet(every=every, phases=phases)
    for pod in it.pods:
        pod.scrapers = (replace(pod.scrapers[0], since=0.0),)
    it.pods += [Pod(workload=f"api-v{v}", name=f"api-v{v}", scrapers=(Scraper(every=5.0, phase=float(v)),)) for v in (1, 2)]
    begin = max(phases) * every + 0.1
    made = await watched(it, begin + 220.0, begin=begin, beside=[workloads("api-1", baseline="api-v1", canary="api-v2")])
    scrapes = list(it.pods[3].scrapes(it.pods[3].scrapers[0], -1.0, begin + 200.0 - every))
    first = max(at for at in scrapes if at <= begin)
    assert made.requests[1] >= 0.95 * 10.0 * (scrapes[-1] - first), made.gaps


async def test_a_canarys_pod_that_died_after_one_scrape_holds_up_no_other() -> None:
    it = fleet(every=5.0, phases=(0.1, 0.35, 0.8, 0.6))
    for pod in it.pods:
        pod.scrapers = (replace(pod.scrapers[0], since=0.0),)
    it.pods.append(Pod(workload="web-v2", name="v2-1", scrapers=(Scraper(every=5.0, phase=0.2, since=0.0),), died=5.0))
    made = await watched(it, 60.0, begin=5.1)
    assert made.counted_at[0] <= 30.0, made.gaps
    assert made.requests[1] >= 0.95 * 10.0 * 45.0


async def test_slow_pods_beside_quick_ones_are_counted_from_their_first_scrape_on() -> None:
    """The quick ones' newest samples make none of the slow ones' look dead while nobody knows their spacing."""
    it = fleet(every=15.0, phases=(0.1, 0.35, 0.8, 0.6))
    it.pods += [Pod(workload=f"api-v{v}", name=f"api-v{v}", scrapers=(Scraper(every=5.0, phase=float(v)),)) for v in (1, 2)]
    made = await watched(it, 120.0, beside=[workloads("api-1", baseline="api-v1", canary="api-v2")])
    assert made.requests[1] >= it.served("web-v2", -6.0, 114.0)[0] - 2, made.gaps


async def test_a_late_canary_beside_a_punctual_baseline_is_counted_whole() -> None:
    it = fleet(every=15.0)
    it.pods[3].scrapers = (Scraper(every=15.0, phase=3.0, late=60.0),)
    made = await watched(it, 400.0)
    assert scrapes_counted(made, rate=10.0, seconds=300.0) >= 0.95, made.gaps


async def test_failures_of_before_the_watch_are_not_counted_in_it_however_late_they_come() -> None:
    it = fleet(every=15.0, late=90.0)
    it.pods[3].fails, it.pods[3].history = 0.0, (0, 0)
    it.pods[3].restarts = (1.0,)
    it.pods.append(Pod(workload="web-v2", name="v2-bad", scrapers=it.pods[3].scrapers, fails=0.5, died=0.0))
    made = await watched(it, 300.0)
    assert made.errors[1] == 0
    assert made.requests[1] > 1500
    assert any("of before the watch" in gap for gap in made.gaps)


@pytest.mark.parametrize("marks_ends", [False, True])
async def test_a_pod_that_goes_costs_two_scrapes_at_most(marks_ends: bool) -> None:
    it = fleet(every=15.0)
    it.marks_ends = marks_ends
    it.pods[1].died = 100.0
    made = await watched(it, 400.0)
    assert max(b - a for a, b in zip(made.counted_at, made.counted_at[1:], strict=False)) <= 31.0
    assert made.requests[0] >= it.served("web-v1", 15.0, 385.0)[0] - 150


@pytest.mark.parametrize("every", [5.0, 15.0, 30.0])
async def test_an_arm_that_begins_at_a_pod_that_was_scraped_before_counts_from_its_first_scrape_on(every: float) -> None:
    for kept_up in (True, False):
        it = fleet(every=every)
        it.kept_up = kept_up
        it.pods[3].begins = 2.1 * every
        made = await watched(it, 3.9 * every)
        assert made.requests[1] <= it.served("web-v2", 0.0, 4 * every)[0]
        if kept_up:
            assert made.requests[1] >= 10.0 * 0.4 * every, made.gaps


def scraped_together(*, every: float, behind: float, begins: float = -1e9, lost: float = math.inf) -> Fleet:
    """Two pods of the baseline that are scraped at one moment, once not at all; the canary's is scraped so long after them."""
    together = (Scraper(every=every, lost=lost),)
    baseline = [Pod(workload="web-v1", name=f"v1-{n}", scrapers=together) for n in range(2)]
    canary = Pod(workload="web-v2", name="v2", scrapers=(Scraper(every=every, phase=behind),), begins=begins, fails=0.1)
    return Fleet([*baseline, canary])


def waited(it: Fleet, made: Watched, *, since: float = 0.0) -> list[float]:
    """For how long each of the canary's scrapes that were counted had been there."""
    (scraper,) = it.pods[-1].scrapers
    counted = [at for at in made.counted_at if at >= since]
    return [at - list(it.pods[-1].scrapes(scraper, at - 2 * scraper.every, at))[-1] for at in counted]


@pytest.mark.parametrize("every", [5.0, 15.0, 30.0, 60.0])
@pytest.mark.parametrize("behind", [0.03, 0.4, 0.9])
@pytest.mark.parametrize("begin", [0.2, 0.95])
async def test_a_canary_that_begins_waits_for_no_scrape_of_a_baseline_that_was_read_just_before(
    every: float, behind: float, begin: float
) -> None:
    it = scraped_together(every=every, behind=behind * every, begins=1.3 * every)
    made = await watched(it, 8 * every, begin=begin * every)
    first, *others = waited(it, made)
    assert first <= 5.0, made.gaps
    assert max(others) <= 1.5, made.gaps
    assert 10.0 * 5 * every <= made.requests[1] <= it.served("web-v2", 0.0, 8 * every)[0]
    assert made.requests[0] <= it.served("web-v1", -every, 8 * every)[0]
    assert made.latencies[1] > 0


@pytest.mark.parametrize("every", [5.0, 15.0, 30.0, 60.0])
async def test_a_canary_that_is_scraped_right_after_the_baseline_waits_for_its_next_scrape_once_at_most(every: float) -> None:
    """The first reading was between the two, or a scrape of the baseline was lost: one tick has two of the canary's."""
    for begin, lost in ((0.37, math.inf), (0.9 * every, 3 * every)):
        it = scraped_together(every=every, behind=min(0.1 * every, 0.5 + begin), lost=lost)
        made = await watched(it, 9 * every, begin=begin)
        assert max(waited(it, made, since=4.1 * every)) <= 1.5, made.gaps
        assert made.requests[1] >= 10.0 * 7 * every
        assert made.requests[1] <= it.served("web-v2", -every, 9 * every)[0]


@pytest.mark.parametrize("every", [15.0, 30.0, 60.0])
@pytest.mark.parametrize("begin", [2.03, 2.3, 2.6, 2.9])
@pytest.mark.parametrize("phases", [(0.1, 0.35, 0.8, 0.6), (0.5, 0.55, 0.6, 0.05)])
async def test_of_a_canary_that_begins_with_its_watch_the_first_scrapes_are_counted(
    every: float, begin: float, phases: tuple[float, ...]
) -> None:
    """Buckets are asked for only so far back that they do not show how far apart scrapes are, when they come first."""
    it = fleet(every=every, phases=phases)
    it.pods[3].begins = begin * every + 1.0
    made = await watched(it, (begin + 2.4) * every, begin=begin * every)
    assert not [gap for gap in made.gaps if "first sight" in gap or "vanished" in gap]
    first, second, *_ = made.counted_at
    assert first <= (begin + 1.1) * every + 5.0
    assert second <= (begin + 2.1) * every + 5.0


@pytest.mark.parametrize("every", [5.0, 15.0, 30.0])
@pytest.mark.parametrize("kept_up", [True, False])
async def test_a_store_that_writes_when_a_counter_began_shows_no_more_and_no_less(every: float, *, kept_up: bool) -> None:
    """The 0 that it writes then is no scrape: it says nothing of how far apart these are."""
    made = []
    for marks_starts in (False, True):
        it = fleet(every=every)
        it.kept_up, it.marks_starts = kept_up, marks_starts
        it.pods[3].begins = 2.1 * every
        it.pods.append(
            Pod(workload="web-v2", name="v2-1", scrapers=it.pods[2].scrapers, begins=5.2 * every, restarts=(8.3 * every,))
        )
        made.append(await watched(it, 12 * every))
        assert made[-1].requests[1] <= it.served("web-v2", -every, 12 * every)[0]
    assert made[1].requests == made[0].requests
    assert made[1].errors == made[0].errors


async def test_callers_that_live_for_one_scrape_are_counted() -> None:
    it = fleet(every=15.0)
    it.pods[3].callers = True
    made = await watched(it, 300.0)
    assert scrapes_counted(made, rate=10.0, seconds=260.0) >= 0.95, made.gaps
    assert made.requests[1] <= it.served("web-v2", -15.0, 300.0)[0]
    assert made.errors[1] == pytest.approx(0.1 * made.requests[1], rel=0.1)


async def test_pods_whose_scrapers_name_them_in_the_place_of_their_address_are_counted() -> None:
    it = fleet(every=15.0)
    for pod in it.pods:
        pod.scrapers = tuple(replace(scraper, labels=(("instance", pod.name),)) for scraper in pod.scrapers)
    made = await watched(it, 120.0)
    assert scrapes_counted(made, rate=10.0, seconds=90.0) >= 0.95, made.gaps


async def test_of_two_clusters_in_one_store_the_releases_own_is_counted() -> None:
    it = fleet(every=5.0)
    for pod in it.pods:
        pod.fails = 0.0
        pod.scrapers = (Scraper(every=5.0, phase=pod.scrapers[0].phase, labels=(("cluster", "prod"),)),)
    staging = (Scraper(every=5.0, labels=(("cluster", "staging"),)),)
    it.pods += [Pod(workload=f"web-v{v}", name=f"v{v}-0", scrapers=staging, fails=0.3 if v == 2 else 0.0) for v in (1, 2)]
    made = await watched(it, 120.0, cluster="prod")
    assert made.errors == [0, 0]
    assert scrapes_counted(made, rate=10.0, seconds=110.0) >= 0.95, made.gaps
    unnamed = await watched(it, 120.0)
    assert unnamed.requests == [0, 0]
    assert "of several clusters ('prod', 'staging')" in unnamed.gaps[-1]


async def test_a_pod_that_is_born_during_the_watch_counts_from_its_first_scrape_on_where_it_says_its_age() -> None:
    for uptime, least in ((True, 70), (False, 0)):
        it = fleet(every=15.0)
        it.pods[3] = Pod(workload="web-v2", name="v2-0", scrapers=it.pods[3].scrapers, fails=0.1, born=61.0, uptime=uptime)
        made = await watched(it, 82.0)
        assert made.requests[1] >= least
        assert made.requests[1] <= it.served("web-v2", 0.0, 82.0)[0]
        assert (made.requests[1] > 0) is uptime


async def test_pods_that_come_and_go_cost_none_of_the_others() -> None:
    it = fleet(every=15.0)
    late = Scraper(every=15.0, phase=4.0)
    it.pods += [
        Pod(workload="web-v1", name="v1-goes", scrapers=(late,), died=100.0),
        Pod(workload="web-v1", name="v1-comes", scrapers=(late,), born=120.0, uptime=True),
    ]
    made = await watched(it, 400.0)
    assert scrapes_counted(made, rate=10.0, seconds=360.0) >= 0.95, made.gaps
    assert made.requests[0] <= it.served("web-v1", -15.0, 400.0)[0]


@pytest.mark.parametrize("torn", [("503",), ("200",), ("+Inf",), ("10",), ("503", "100"), ("200", "10", "100", "+Inf")])
@pytest.mark.parametrize("begin", [0.37, 3.0])
async def test_of_scrapes_that_come_in_parts_nothing_is_invented_and_nothing_is_lost(torn: tuple[str, ...], begin: float) -> None:
    """Remote write sends a scrape in batches, from several queues: a part of it may be there seconds before the rest."""
    scraper = (Scraper(every=15.0, phase=2.5, late=7.0 if begin == 0.37 else 0.0, torn=torn, torn_seconds=4.0),)
    it = Fleet(
        [
            Pod(workload="web-v1", name="v1", scrapers=scraper, history=(9000, 400)),
            Pod(workload="web-v2", name="v2", scrapers=scraper, history=(9000, 400), fails=0.1),
        ]
    )
    made = await watched(it, 300.0, begin=begin)
    for arm, workload in enumerate(("web-v1", "web-v2")):
        requests, errors = it.served(workload, -30.0, 300.0)
        assert made.requests[arm] <= requests
        assert made.errors[arm] <= errors
        assert made.latencies[arm] <= requests - errors
    assert scrapes_counted(made, rate=10.0, seconds=240.0) >= 0.9, made.gaps
    assert made.errors[1] == pytest.approx(0.1 * made.requests[1], abs=20)
    assert made.latencies[1] >= 0.7 * made.requests[1], made.gaps


# -- any fleet whatever ---------------------------------------------------------------------------------------------------

TIMES = st.sampled_from([20.0, 63.0, 101.0, 140.0])


@st.composite
def scrapers(draw: st.DrawFn) -> tuple[Scraper, ...]:
    """One scraper, or two that are told apart by whatever label."""
    every = draw(st.sampled_from([5.0, 10.0, 15.0]))
    late = draw(st.sampled_from([0.0, 0.0, 3.0, 20.0]))
    since = draw(st.sampled_from([-1e9, -1e9, 70.0]))
    torn = draw(st.sampled_from([(), (), ("503",), ("200", "10"), ("+Inf",)]))
    first = Scraper(
        every=every, phase=draw(st.floats(0.0, every - 0.1)), late=late, since=since, torn=torn, torn_seconds=min(4.0, every - 2.0)
    )
    if not draw(st.booleans()):
        return (first,)
    labels = ((draw(st.sampled_from(["instance", "job", "any_replica", "whatever"])), "other"),)
    # Those of one millisecond cannot be told apart but by the names of their labels.
    apart = 0.0 if labels[0][0] != "whatever" and draw(st.booleans()) else draw(st.floats(0.01, every - 0.01))
    other_late = draw(st.sampled_from([late, 0.0, 60.0]))
    return (first, Scraper(every=every, phase=(first.phase + apart) % every, late=other_late, labels=labels, since=since))


@st.composite
def pods(draw: st.DrawFn) -> list[Pod]:
    """Up to three more pods of either arm, which come, go, restart, and may have a long history."""
    made = []
    for number in range(draw(st.integers(0, 3))):
        born = draw(st.sampled_from([-1000.0, -1000.0, 40.0, 90.0]))
        begins = draw(st.sampled_from([-1e9, -1e9, 30.0, 88.0]))
        made.append(
            Pod(
                workload=draw(st.sampled_from(["web-v1", "web-v2"])),
                name=f"more-{number}",
                scrapers=draw(scrapers()),
                fails=draw(st.sampled_from([0.0, 0.1])),
                born=born,
                died=born + draw(st.sampled_from([60.0, 1e6])) if born > 0 else draw(st.sampled_from([77.0, 1e6])),
                restarts=tuple(sorted(t for t in draw(st.sets(TIMES, max_size=2)) if t > born)),
                history=draw(st.sampled_from([(0, 0), (9000, 400)])) if born < 0 and begins < 0 else (0, 0),
                uptime=draw(st.booleans()),
                begins=begins,
                callers=draw(st.integers(0, 5)) == 0,
            )
        )
    return made


def could_be_shown(it: Fleet, workload: str, seconds: float, *, begin: float = 0.37) -> tuple[int, int]:
    """All that was served since what the first reading could have seen of each pod: nobody may count more."""
    total = failed = 0
    for pod in it.pods:
        if pod.workload == workload:
            firsts = []
            for scraper in pod.scrapers:
                seen = min((list(pod.scrapes(scraper, begin - 300.0, begin, part=part)) for part in ("200", "503")), key=len)
                firsts.append(seen[-1] if seen else next(iter(pod.scrapes(scraper, begin - 300.0, seconds + 300.0)), seconds))
            since = min(firsts) if pod.born < 0 else pod.born
            requests, errors = pod.served(since, seconds)
            total, failed = total + requests, failed + errors
    return total, failed


@settings(max_examples=20, deadline=None)
@given(pods(), scrapers(), scrapers())
async def test_no_fleet_is_counted_above_what_it_served(
    more: list[Pod], one: tuple[Scraper, ...], two: tuple[Scraper, ...]
) -> None:
    it = Fleet(
        [
            Pod(workload="web-v1", name="v1", scrapers=one, history=(700, 30)),
            Pod(workload="web-v2", name="v2", scrapers=two, fails=0.1),
            *more,
        ]
    )
    made = await watched(it, 180.0)
    for arm, workload in enumerate(("web-v1", "web-v2")):
        requests, errors = could_be_shown(it, workload, 180.0)
        assert made.requests[arm] <= requests
        assert made.errors[arm] <= errors
        assert made.latencies[arm] <= requests


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 14.0), st.booleans()), min_size=2, max_size=5),
    st.sampled_from([0.0, 7.0, 60.0]),
)
async def test_a_calm_fleet_is_counted_but_for_its_first_and_last_scrapes(shapes: list[tuple[float, bool]], late: float) -> None:
    it = Fleet([])
    for number, (phase, copied) in enumerate(shapes):
        one = Scraper(every=15.0, phase=phase, late=late)
        other = Scraper(every=15.0, phase=(phase + 4.3) % 15.0, late=late, labels=(("job", "other"),))
        scraped = (one, other) if copied else (one,)
        it.pods.append(Pod(workload="web-v1" if number % 2 else "web-v2", name=f"p{number}", scrapers=scraped, fails=0.1))
    made = await watched(it, 240.0 + late)
    for arm, workload in enumerate(("web-v1", "web-v2")):
        pods_there = sum(pod.workload == workload for pod in it.pods)
        assert made.requests[arm] >= 10.0 * pods_there * (240.0 - 3 * 15.0), made.gaps
