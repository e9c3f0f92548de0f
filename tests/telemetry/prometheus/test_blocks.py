"""Histograms known again: what is read of them at once is what is read of them one by one, whatever an answer looks like."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from daemon.aio.httpclient import HttpClient
from daemon.errors import InvalidInput
from daemon.meshes.registry import schemas
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.counters.snapshot import ArmSnapshot
from daemon.telemetry.prometheus.answer import AnswerReader
from daemon.telemetry.prometheus.source import PrometheusSource
from tests.hand.clock import HandClock
from tests.telemetry.support import workloads

ISTIO = schemas()["istio"]
NAME = "istio_request_duration_milliseconds"
BOUNDS = ("+Inf", "1", "10", "2.5")
AT = 1_000_000.0
Item = dict[str, Any]


def series(pod: int, le: str, *values: tuple[float, str], code: str = "200", **more: str) -> Item:
    """A bucket of a pod, which is the canary's where its number is odd; its labels are sorted, as in Prometheus' answers."""
    labels = {
        "__name__": f"{NAME}_bucket",
        "destination_workload": f"web-v{1 + pod % 2}",
        "destination_workload_namespace": "default",
        "instance": f"10.0.0.{pod}:15020",
        "le": le,
        "pod": f"web-{pod}",
        "reporter": "destination",
        "response_code": code,
    }
    return {"metric": labels | more, "values": values}


def histogram(pod: int, count: int, *, code: str = "200", ages: Sequence[float] = (5.0, 0.0)) -> list[Item]:
    """All buckets of a pod, of which each has as many as the one before and one more."""
    return [
        series(pod, le, *((AT + pod / 8 - age, str(count + number)) for age in ages), code=code)
        for number, le in sorted(enumerate(sorted(BOUNDS, key=float)), key=lambda one: one[1])
    ]


def sums(pod: int) -> Item:
    one = series(pod, "", (AT, "12.5"))
    labels = {name: value for name, value in one["metric"].items() if name != "le"}
    return {"metric": labels | {"__name__": f"{NAME}_sum"}, "values": one["values"]}


def requests(pod: int) -> Item:
    one = sums(pod)
    return {"metric": one["metric"] | {"__name__": "istio_requests_total"}, "values": [(AT, "7")]}


def body(items: Sequence[Item], **style: object) -> bytes:
    """An answer, written without blanks as Prometheus does."""
    document = {"status": "success", "data": {"resultType": "matrix", "result": items}}
    return json.dumps(document, **({"separators": (",", ":")} | style)).encode()  # type: ignore[arg-type]  # its options


@dataclass
class Reading:
    """A source that is answered by hand, in pieces of some size.

    Attributes:
        left: series that were decoded one by one, of the answer that was read last.
    """

    known: bool = True
    piece_bytes: int = 1_000_000
    index: SeriesIndex = field(default_factory=lambda: SeriesIndex(ISTIO, as_text=True))
    left: int = 0

    def __post_init__(self) -> None:
        self.index.watch([workloads()])
        # A client that is never asked: what it would read is handed over.
        client = HttpClient(setting="url", connections=1, timeout_seconds=1.0, max_answer_bytes=1)
        self.source = PrometheusSource(
            client,
            url=URL("http://prometheus"),
            schema=ISTIO,
            index=self.index,
            clock=HandClock(AT),
            tick_seconds=5.0,
            stale_after_seconds=60.0,
        )

    def read(self, latencies: bytes, counters: Sequence[Item]) -> Collection:
        """What answers to both queries are collected to."""
        into, answered = Collection(labelled=True), dict[str, float]()
        self._feed(body(counters), self.source.reader(into))
        reader = self.source.reader(into, answered=answered)
        if not self.known:
            reader = AnswerReader(reader._take)
        taken, reader._take, self.left = reader._take, self._counting(reader._take), 0
        self._feed(latencies, reader)
        assert taken is not None
        into.answered.update(answered)
        return into

    def _counting(self, take: Callable[[Sequence[Any]], None]) -> Callable[[Sequence[Any]], None]:
        def counted(items: Sequence[Any]) -> None:
            self.left += len(items)
            take(items)

        return counted

    def _feed(self, text: bytes, reader: AnswerReader) -> None:
        for start in range(0, len(text), self.piece_bytes):
            reader.feed(text[start : start + self.piece_bytes])
        reader.close()

    def shown(self, items: Sequence[Item], **style: object) -> object:
        """What comes of an answer: each arm's snapshots, and when targets have answered."""
        pods = {int(item["metric"]["pod"].removeprefix("web-")) for item in items}
        collected = self.read(body(items, **style), [requests(pod) for pod in sorted(pods)])
        arms = self.index.arms["web-1"]
        return (
            [_snapshots(collected, arm) for arm in arms],
            collected.answered,
            collected.met,
        )


def _snapshots(collected: Collection, arm: Any) -> Mapping[str, object]:
    try:
        found = collected.snapshots(arm)
    except InvalidInput as error:
        return {"": str(error)}
    builders = collected.builders.get(arm, {})
    scrapes = {target: [sorted(one.before) for one in builder._latencies.values()] for target, builder in builders.items()}
    return {target: [[getattr(one, name) for name in FIELDS], str(one.unusable), scrapes[target]] for target, one in found.items()}


FIELDS = [name for name in ArmSnapshot.__struct_fields__ if name != "unusable"]
VALUES = st.sampled_from(["0", "7", "12", "1e+06", "2.5", "NaN", "", "-1", "seven"])
TIMES = st.sampled_from([(), (0.0,), (5.0, 0.0), (10.0, 5.0, 0.0), (5.0,)])


@st.composite
def answers(draw: st.DrawFn) -> list[Item]:
    """Of a few pods of one or two kinds of answers, most of them as usual."""
    items: list[Item] = []
    for pod in draw(st.lists(st.integers(1, 4), unique=True, max_size=4)):
        usual, codes = draw(st.booleans()), draw(st.sampled_from([("200",), ("200", "201")]))
        ages = draw(TIMES.filter(bool))
        for le, code in product(draw(st.permutations(BOUNDS)) if draw(st.booleans()) else BOUNDS, codes):
            if not usual and draw(st.integers(0, 5)) == 0:
                continue
            count = 10 * len(ages) + BOUNDS.index(le)
            text = str(count) if usual or draw(st.booleans()) else draw(VALUES)
            mine = ages if usual or draw(st.booleans()) else draw(TIMES)
            one = series(pod, le, *((AT - age, text) for age in mine), code=code)
            items += [one] * (1 if usual or draw(st.integers(0, 5)) else 2)
        items += [sums(pod)] if draw(st.booleans()) else []
    return items


@given(run=st.lists(answers(), min_size=1, max_size=3), piece_bytes=st.sampled_from([64, 700, 1_000_000]), spaced=st.booleans())
def test_what_is_read_at_once_is_what_is_read_one_by_one(run: list[list[Item]], piece_bytes: int, *, spaced: bool) -> None:
    known, one_by_one = Reading(piece_bytes=piece_bytes), Reading(known=False, piece_bytes=piece_bytes)
    style = {"separators": (", ", ": ")} if spaced else {}
    for items in [*run, *run]:
        assert _outcome(known, items, style) == _outcome(one_by_one, items, style)


def _outcome(reading: Reading, items: Sequence[Item], style: Mapping[str, object]) -> object:
    try:
        return reading.shown(items, **style)
    except InvalidInput as error:
        return str(error)


FLEET = [item for pod in range(1, 9) for code in ("200", "201") for item in histogram(pod, 10, code=code)]


@pytest.mark.parametrize("piece_bytes", [900, 5000, 1_000_000])
def test_all_that_is_met_again_is_read_at_once_but_the_last(piece_bytes: int) -> None:
    reading = Reading(piece_bytes=piece_bytes)
    reading.shown([*FLEET, sums(1)])
    reading.shown([*FLEET, sums(1)])
    assert reading.left == 1


def test_of_what_is_read_at_once_no_text_is_kept_but_how_it_begins_and_ends() -> None:
    reading = Reading()
    reading.shown([*FLEET, sums(1)])
    assert {series.kind.name for series in reading.index.series.values() if series is not None} == {"COUNTER", "SUM"}
    [block, *_] = reading.source._blocks.values()
    assert block.middles == tuple(
        f'{le}","pod":"web-1","reporter":"destination","response_code":"{code}'.encode() for code in ("200", "201") for le in BOUNDS
    )


def test_a_series_more_is_learnt_and_all_are_read_at_once_again() -> None:
    reading, more = Reading(), [*FLEET, sums(1)]
    reading.shown(more)
    more[2:2] = [series(1, "5", (AT - 5.0 + 0.125, "12"), (AT + 0.125, "12"))]
    for _ in range(2):
        assert reading.shown(more) == Reading(known=False).shown(more)
    reading.shown(more)
    assert reading.left == 1


def test_what_has_samples_of_several_moments_is_read_one_by_one_and_not_learnt_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, torn = Reading(), [*FLEET, sums(1)]
    reading.shown(torn)
    torn[3] = {**torn[3], "values": torn[3]["values"][:1]}
    expected = Reading(known=False).shown(torn)
    monkeypatch.setattr(SeriesIndex, "learn", lambda *_: pytest.fail("it is known"))
    assert reading.shown(torn) == expected


def _odd(place: int, **changes: Any) -> list[Item]:
    """The fleet, of which one series is not as the others are: its labels or its samples."""
    items = [*FLEET, sums(1)]
    values, labels = changes.pop("values", items[place]["values"]), items[place]["metric"] | changes
    items[place] = {"metric": labels, "values": values}
    return items


@pytest.mark.parametrize("twice", [0, 2, 3])
@pytest.mark.parametrize("behind", [0, 1, 2, 8, 20])
def test_a_series_that_comes_twice_is_read_as_one_by_one(twice: int, behind: int) -> None:
    reading, one_by_one = Reading(), Reading(known=False)
    usual = [*FLEET, sums(1)]
    items = [*usual[: twice + behind], usual[twice], *usual[twice + behind :]]
    for answer in (items, items, usual, items, usual):
        assert _outcome(reading, answer, {}) == _outcome(one_by_one, answer, {})


NOW, BEFORE = FLEET[2]["values"][1][0], FLEET[2]["values"][0][0]


@pytest.mark.parametrize("place", [0, 2, 7])
@pytest.mark.parametrize(
    "changes",
    [
        {"values": [(BEFORE, "12"), (NOW + 1.0, "12")]},
        {"values": [(BEFORE + 1.0, "12"), (NOW, "12")]},
        {"values": [(BEFORE, "12"), (NOW, "")]},
        {"values": [(BEFORE, "12"), (NOW, "1e+01")]},
        {"values": [(BEFORE, "12"), (NOW, "NaN")]},
        {"values": [(BEFORE, "12")]},
        {"values": [(NOW, "12")]},
        {"values": []},
        {"response_code": "503"},
        {"le": "5"},
        {"destination_workload": "web-v1"},
        {"zone": "b"},
    ],
    ids=str,
)
def test_one_that_is_not_as_the_others_is_not_taken_for_one_of_them(place: int, changes: dict[str, Any]) -> None:
    reading, one_by_one = Reading(), Reading(known=False)
    for items in ([*FLEET, sums(1)], _odd(place, **changes), [*FLEET, sums(1)]):
        assert _outcome(reading, items, {}) == _outcome(one_by_one, items, {})


def test_series_that_have_gone_are_forgotten_with_all_that_was_known_of_them() -> None:
    reading = Reading()
    reading.shown([*FLEET, sums(1)])
    reading.index.tidy(len(FLEET))
    assert reading.source._blocks
    for pod in range(10, 140):
        reading.shown([item for code in ("200", "201") for item in histogram(pod, 10, code=code)] + [sums(pod)])
    reading.index.tidy(10)
    reading.shown([*histogram(1, 10), sums(1)])
    assert len(reading.source._blocks) == 1
    assert len(reading.index.series) + reading.index.apart == len(BOUNDS) + 2


def test_what_others_keep_may_be_named_twice() -> None:
    index = SeriesIndex(ISTIO, as_text=True)
    index.learn("one", NAME, {})
    index.set_apart(["one", "one"])
    assert "one" not in index.series
