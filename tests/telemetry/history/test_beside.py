"""What a history tells beside the counters: the route's weight, and how long scrapes took. Nothing is made up."""

import re

import msgspec
import pytest

from daemon.errors import Forbidden
from daemon.telemetry.history.asking import TooMuch
from daemon.telemetry.history.beside import Weights, scrape_seconds
from daemon.telemetry.prometheus.answer import Item
from tests.telemetry.history.test_watching import BEGIN, END, RELEASE, Server, history, only

STEPS = [(BEGIN - 10.0, "0"), (BEGIN + 60.0, "5"), (BEGIN + 120.0, "20"), (BEGIN + 180.0, "NaN"), (BEGIN + 240.0, "50")]


def gauge(samples: list[tuple[float, str]], **labels: str) -> Item:
    named = {"__name__": "flagger_canary_weight", "workload": "web-v2", **labels}
    return Item(metric=msgspec.Raw(msgspec.json.encode(named)), numbers=samples)


class Telling(Server):
    """A server that has more than counters.

    Attributes:
        gauges: of weights.
        scrape: how long scrapes took, or why that cannot be had.
    """

    gauges: tuple[Item, ...] = ()
    scrape: str | Exception = "0"
    narrowest: float = 1e9

    async def raw(self, query: str, *, at: float) -> list[Item]:
        if "flagger" not in query:
            return await super().raw(query, at=at)
        found = re.search(r"\[(\d+)ms\]$", query)
        assert found is not None
        assert query.startswith('{__name__="flagger_canary_weight",workload="web-v2"}[')
        seconds = int(found[1]) / 1000.0
        if seconds > self.narrowest:
            raise TooMuch("too many samples")
        return [
            Item(metric=one.metric, numbers=[(when, value) for when, value in one.values if at - seconds < when <= at])
            for one in self.gauges
        ]

    async def steps(self, query: str, *, begin: float, end: float, step_seconds: float) -> list[Item]:
        assert query == 'max(scrape_duration_seconds{instance=~"10\\\\.0\\\\.0\\\\.1:15090"})'
        if isinstance(self.scrape, Exception):
            raise self.scrape
        return [Item(metric=msgspec.Raw(b"{}"), numbers=[(begin, "0"), (end, self.scrape)])]


def weights_of(samples: object) -> dict[float, float | None]:
    return {sample.t: sample.weight for sample in samples}  # type: ignore[attr-defined]  # a sequence of samples


@pytest.mark.parametrize("narrowest", [1e9, 40.0])
@pytest.mark.parametrize("namespaced", [{"namespace": "shop"}, {"namespace": "flagger-system", "exported_namespace": "shop"}])
async def test_the_weight_that_flagger_had_set_is_that_of_each_tick(namespaced: dict[str, str], narrowest: float) -> None:
    server = Telling()
    server.narrowest = narrowest
    server.gauges = (gauge(STEPS, **namespaced), gauge([(BEGIN, "99")], namespace="elsewhere"))
    found = weights_of((await only(history(server).watched(RELEASE, begin=BEGIN, end=END))).samples)
    assert [found[t] for t in (0.0, 50.0, 60.0, 70.0, 110.0, 130.0, 190.0, 240.0, 300.0)] == [0, 0, 0, 5, 5, 20, None, None, 50]


async def test_a_tick_has_the_mean_weight_of_the_time_that_it_covers() -> None:
    weights = Weights({100.0: 10.0, 160.0: 50.0})
    assert weights.mean(100.0, 160.0) == 10.0
    assert weights.mean(130.0, 190.0) == 30.0
    assert weights.mean(160.0, 160.0) == 50.0
    assert weights.mean(90.0, 160.0) is None


async def test_a_weight_that_is_no_more_told_is_not_known() -> None:
    server = Telling()
    server.gauges = (gauge([(BEGIN - 250.0, "30"), (BEGIN - 240.0, "120")], namespace="shop"),)
    found = weights_of((await only(history(server).watched(RELEASE, begin=BEGIN, end=END))).samples)
    assert set(found.values()) == {None}


async def test_a_weight_that_a_person_gives_stands() -> None:
    server = Telling()
    server.gauges = (gauge(STEPS, namespace="shop"),)
    steady = msgspec.structs.replace(RELEASE, weight=10.0)
    found = weights_of((await only(history(server).watched(steady, begin=BEGIN, end=END))).samples)
    assert set(found.values()) == {None}, "it is in the release"


async def counted_at(server: Server, *, late_seconds: float | None = None) -> list[float]:
    watched = await only(history(server).watched(RELEASE, begin=BEGIN, end=END, late_seconds=late_seconds))
    return [sample.t for sample in watched.samples if sample.canary is not None]


async def test_a_sample_is_seen_when_it_could_be_read_and_not_when_it_was_taken() -> None:
    server = Telling()
    prompt = await counted_at(server)
    server.scrape = "2.5"
    slow = await counted_at(server)
    late = await counted_at(server, late_seconds=25.0)
    assert prompt[0] == 40.0
    assert slow[0] == 50.0, "one that is taken at the tick is there at the next"
    assert late[0] == 70.0
    assert prompt[-1] == slow[-1] == late[-1] == END - BEGIN


@pytest.mark.parametrize("scrape", ["-1", "1e9", "NaN", Forbidden("not for you"), TooMuch("too many samples")])
async def test_how_long_scrapes_took_is_done_without_where_nobody_tells(scrape: str | Exception) -> None:
    server = Telling()
    server.scrape = scrape
    assert (await counted_at(server))[0] == 40.0


async def test_no_question_is_longer_than_it_may_be_however_many_targets_there_are() -> None:
    asked: list[str] = []

    class Short(Telling):
        longest_question_bytes = 1000

        async def steps(self, query: str, *, begin: float, end: float, step_seconds: float) -> list[Item]:
            asked.append(query)
            return [Item(metric=msgspec.Raw(b"{}"), numbers=[(begin, f"{len(asked)}")])]

    instances = [f"10.0.{n // 250}.{n % 250}:15090" for n in range(600)]
    assert await scrape_seconds(Short(), instances, begin=BEGIN, end=END) == len(asked) > 10, "the longest of all of them"
    assert max(map(len, asked)) <= 1100
    assert all(sum(instance.replace(".", "\\\\.") in query for query in asked) == 1 for instance in instances[:250:50])
