"""Latencies in portions: everybody's turn comes, both arms of a release have theirs together, and what is counted is the same."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from yarl import URL

from daemon.errors import Refused, TimedOut, VerdictdError
from daemon.measurements import Reading
from daemon.telemetry.counters import series
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.prometheus import portions
from daemon.telemetry.prometheus.answer import AnswerReader
from daemon.telemetry.prometheus.portions import MOST_PORTIONS, Portions
from daemon.telemetry.sampled import SampledTelemetry
from tests.hand.clock import HandClock
from tests.telemetry.fleet import LATENCY, SCHEMA, START, Fleet, Pod, Scraper, source_of
from tests.telemetry.support import workloads

RELEASES = 12
LEARNT = 8


def index_of(releases: int) -> SeriesIndex:
    index = SeriesIndex(SCHEMA, as_text=True)
    index.watch([workloads(f"r-{n}", baseline=f"r{n}-v1", canary=f"r{n}-v2") for n in range(releases)])
    return index


def pods_of(releases: int) -> list[Pod]:
    scrapers = (Scraper(every=5.0, phase=1.0),)
    return [Pod(workload=f"r{n}-v{v}", name=f"r{n}-v{v}", scrapers=scrapers) for n in range(releases) for v in (1, 2)]


def arms(portion: Portions) -> list[str]:
    selectors, _ = portion.now
    return [dict(selector)["destination_workload"] for those in selectors.values() for selector in those]


def test_a_few_histograms_are_asked_for_all_at_once() -> None:
    made = Portions(index_of(RELEASES), most=24)
    for _ in range(3):
        made.met(24)
        assert (made.number, len(arms(made))) == (1, 2 * RELEASES)


def test_many_are_asked_for_in_turn_and_both_arms_of_a_release_together() -> None:
    made = Portions(index_of(RELEASES), most=8)
    made.met(24)
    assert made.number == 3
    asked = []
    for _ in range(3):
        asked.append(arms(made))
        made.met(8)
    assert sorted(one for those in asked for one in those) == sorted(f"r{n}-v{v}" for n in range(RELEASES) for v in (1, 2))
    for those in asked:
        assert Counter(one.partition("-")[0] for one in those) == dict.fromkeys({one.partition("-")[0] for one in those}, 2)
    assert arms(made) == asked[0]


def test_there_are_more_portions_when_more_come_and_fewer_only_when_there_is_room() -> None:
    made = Portions(index_of(RELEASES), most=10)
    numbers = []
    for histograms in (11, 10, 11, 9, 8, 5, 4, 0, 4, 0):
        made.met(histograms)
        numbers.append(made.number)
    assert numbers == [2, 2, 3, 3, 3, 3, 3, 3, 1, 1]


def test_who_comes_or_goes_is_known_at_once() -> None:
    index = index_of(RELEASES)
    made = Portions(index, most=8)
    made.met(24)
    assert arms(made)
    index.watch([workloads("late", baseline="late-v1", canary="late-v2")])
    found = []
    for _ in range(made.number):
        found += arms(made)
        made.met(8)
    assert found == ["late-v1", "late-v2"]


def test_neighbours_are_asked_for_together_where_there_are_namespaces_enough() -> None:
    """Names are looked for in all namespaces of a question: with all of these in each, all would come each time."""
    index = SeriesIndex(SCHEMA, as_text=True)
    index.watch([workloads(f"{ns}-{n}", namespace=f"team-{ns}", canary=f"v2-{n}") for ns in range(40) for n in range(5)])
    made = Portions(index, most=100)
    made.met(400)
    assert made.number == 4
    namespaces: list[str] = []
    for _ in range(made.number):
        selectors, _known = made.now
        found = {dict(selector)["destination_workload_namespace"] for those in selectors.values() for selector in those}
        assert len(found) in range(3, 20)
        namespaces += found
        made.met(100)
    assert sorted(namespaces) == sorted(f"team-{ns}" for ns in range(40))


def test_answers_that_hold_all_whatever_is_asked_are_not_cut_up_further_and_further() -> None:
    made = Portions(index_of(RELEASES), most=8)
    for _ in range(50):
        made.met(100)
    assert made.number == MOST_PORTIONS


def test_what_fails_is_asked_for_in_more_portions_and_in_fewer_only_after_a_while_that_went_well() -> None:
    made = Portions(index_of(1000), most=10_000)
    numbers = []
    for _ in range(4):
        made.failed()
        numbers.append(made.number)
    assert numbers == [2, 4, 5, 5], "200 releases are not too many"
    turns = Counter[int]()
    while made.number > 1:
        turns[made.number] += 1
        made.met(100)
    assert turns == {number: 12 * number for number in (5, 4, 3, 2)}


def test_a_failure_says_nothing_of_portions_where_releases_are_few() -> None:
    made = Portions(index_of(RELEASES))
    made.failed()
    assert made.number == 1


def test_a_failure_never_makes_portions_fewer() -> None:
    made = Portions(index_of(RELEASES), most=4)
    made.met(24)
    made.failed()
    assert made.number == 6


@dataclass
class Exact(Fleet):
    """A store that answers for the workloads that are asked for."""

    def _series(self, query: str, since: float, now: float) -> Iterator[tuple[dict[str, str], list[tuple[float, float]]]]:
        for labels, samples in super()._series(query, since, now):
            if labels.get("destination_workload", "") in query:
                yield labels, samples


@pytest.mark.parametrize("most", [4, 1000])
async def test_what_is_counted_is_the_same_in_portions(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "MOST_HISTOGRAMS", most)
    monkeypatch.setattr(series, "_FORGET_LEAST", 1)
    pods = pods_of(RELEASES)
    fleet, clock, index = Exact(pods), HandClock(START + 1.5), SeriesIndex(SCHEMA, as_text=True)
    source = source_of(fleet, index, clock=clock)
    telemetry = SampledTelemetry(source, schema=SCHEMA, index=index, clock=clock)
    watches = [workloads(f"r-{n}", baseline=f"r{n}-v1", canary=f"r{n}-v2") for n in range(RELEASES)]
    requests, latencies = Counter[str](), Counter[str]()
    while clock.time < START + 300.0:
        for release_id, reading in (await telemetry.read(watches)).items():
            requests[release_id] += _requests(reading)
            latencies[release_id] += _latencies(reading)
        clock.time += 5.0
    await source.close()
    assert index.forgotten == 0, "what is known of a portion is kept until its turn comes again"
    assert set(requests.values()) == {requests["r-0"]}
    assert requests["r-0"] >= 10 * 290
    at_most_late = 10 * 5 * (RELEASES if most == 4 else 1)
    assert all(requests[one] - at_most_late <= latencies[one] <= requests[one] for one in requests)
    named = [query.count("-v") for query in fleet.asked if LATENCY in query][-RELEASES:]
    assert max(named) < 2 * RELEASES if most == 4 else min(named) == 2 * RELEASES


@dataclass
class Strict(Exact):
    """One that refuses to tell the latencies of many, or does not come to an end with it."""

    most: int = 8
    error: type[VerdictdError] = TimedOut

    def answer(self, query: str, *, now: float) -> bytes:
        if LATENCY in query and query.count("-v") > self.most:
            raise self.error("too much")
        return super().answer(query, now=now)


@pytest.mark.parametrize("error", [TimedOut, Refused])
async def test_a_store_that_cannot_answer_for_all_at_once_is_asked_for_less(
    error: type[VerdictdError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "_SMALLEST_RELEASES", 1)
    pods = pods_of(RELEASES)
    fleet, clock, index = Strict(pods, error=error), HandClock(START + 1.5), SeriesIndex(SCHEMA, as_text=True)
    source = source_of(fleet, index, clock=clock)
    telemetry = SampledTelemetry(source, schema=SCHEMA, index=index, clock=clock)
    watches = [workloads(f"r-{n}", baseline=f"r{n}-v1", canary=f"r{n}-v2") for n in range(RELEASES)]
    latencies = Counter[str]()
    while clock.time < START + 300.0:
        for release_id, reading in (await telemetry.read(watches)).items():
            latencies[release_id] += _latencies(reading)
        clock.time += 5.0
    await source.close()
    assert all(latencies[f"r-{n}"] > 1000 for n in range(RELEASES))


class Slow:
    """Learns so many series and no more in the time of a question."""

    longest_question_bytes = 262_144

    def __init__(self, fleet: Fleet, index: SeriesIndex, *, clock: HandClock) -> None:
        self._fleet, self._index, self._clock = fleet, index, clock

    def deadline(self) -> float:
        return 0.0

    async def read(self, url: URL, reader: Callable[[], AnswerReader], *, form: Mapping[str, str], by: float | None = None) -> None:
        body, made = self._fleet.answer(form["query"], now=self._clock.now() - START), reader()
        most = len(self._index.series) + LEARNT
        for begin in range(0, len(body), 1000):
            made.feed(body[begin : begin + 1000])
            if len(self._index.series) > most:
                raise TimedOut("it took longer than there is time")
        made.close()


async def test_series_that_take_longer_to_learn_than_there_is_time_for_a_question_are_learnt_in_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a start there are hundreds of thousands."""
    monkeypatch.setattr(series, "_FORGET_LEAST", 1)
    pods = pods_of(RELEASES)
    clock, index = HandClock(START + 301.5), SeriesIndex(SCHEMA, as_text=True)
    source = source_of(Fleet(pods), index, clock=clock)
    monkeypatch.setattr(source, "_client", Slow(Fleet(pods), index, clock=clock))
    telemetry = SampledTelemetry(source, schema=SCHEMA, index=index, clock=clock)
    watches = [workloads(f"r-{n}", baseline=f"r{n}-v1", canary=f"r{n}-v2") for n in range(RELEASES)]
    told = 0
    while clock.time < START + 600.0:
        told += all(reading.gap is None for reading in (await telemetry.read(watches)).values())
        clock.time += 5.0
    await source.close()
    assert (told > 10, index.forgotten) == (True, 0)


def _requests(reading: Reading) -> int:
    return 0 if reading.canary is None else reading.canary.requests


def _latencies(reading: Reading) -> int:
    return 0 if reading.canary is None or reading.canary.latency is None else sum(reading.canary.latency.counts)
