"""Prometheus' answers: cut in pieces they say the same, and whatever is wrong with them is found wherever it stands."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import InvalidInput, Refused, Unavailable
from daemon.telemetry.prometheus.answer import AnswerReader, Item

SIZES = (1, 7, 64, 1_000_000)


def body(series: list[tuple[dict[str, str], list[tuple[float, str]]]], **extra: object) -> bytes:
    """An answer, written without spaces as Prometheus does."""
    result = [{"metric": labels, "values": values} for labels, values in series]
    document = {"status": "success", "data": {"resultType": "matrix", "result": result}, **extra}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def read(text: bytes, size: int = 64) -> list[tuple[dict[str, str], list[tuple[float, str]]]]:
    """What an answer says that comes in pieces of this size."""
    found: list[Item] = []
    reader = AnswerReader(found.extend)
    for start in range(0, len(text), size):
        reader.feed(text[start : start + size])
    reader.close()
    return [(msgspec.json.decode(item.metric), [(at, value) for at, value in item.values]) for item in found]


SERIES = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["a", "metric"]), st.text(alphabet='},{"metric:[]\\é', max_size=40), min_size=1),
        st.lists(st.tuples(st.floats(0, 2e9, allow_nan=False).map(lambda at: round(at, 3)), st.just("1")), max_size=3),
    ),
    max_size=12,
)


@given(series=SERIES, size=st.sampled_from(SIZES), spaced=st.booleans())
def test_pieces_hold_what_the_whole_holds(
    series: list[tuple[dict[str, str], list[tuple[float, str]]]], size: int, *, spaced: bool
) -> None:
    text = body(series)
    if spaced:
        text = json.dumps(json.loads(text), indent=1).encode()
    assert read(text, size) == series


def test_series_are_handed_on_as_they_come_and_only_the_last_is_kept_back() -> None:
    series = [({"a": str(number)}, [(1.0, "1")]) for number in range(9)]
    text, found = body(series), list[Item]()
    reader = AnswerReader(found.extend)
    reader.feed(text[:-20])
    assert len(found) == 8


def test_a_series_without_end_is_refused() -> None:
    reader = AnswerReader(lambda items: None)
    reader.feed(b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"' + b"x" * 300_000)
    with pytest.raises(InvalidInput, match="longer than"):
        reader.feed(b"x" * 300_000)


@pytest.mark.parametrize(
    ("break_it", "expected", "words"),
    [
        (lambda text: text.replace(b'"values":[[1.0,"4"]]', b'"values":7'), Unavailable, "cannot be read"),
        (lambda text: text[:-3], Unavailable, "cannot be read"),
        (lambda text: text.replace(b'[[1.0,"4"]]', b"[" * 100_000), Unavailable, "cannot be read"),
        (lambda text: b'{"x":' * 100_000, Unavailable, "cannot be read"),
        (lambda text: text.replace(b"success", b"error", 1), Refused, "the query failed: error"),
        (lambda text: text[:-1] + b',"warnings":["a shard is gone"]}', Unavailable, "not whole: a shard is gone"),
        (lambda text: text.replace(b"matrix", b"vector", 1), InvalidInput, "is a vector"),
    ],
)
def test_a_fault_in_any_piece_is_found(break_it, expected, words) -> None:  # type: ignore[no-untyped-def]  # parameters as listed above
    text = body([({"a": str(number)}, [(1.0, str(number))]) for number in range(9)])
    with pytest.raises(expected, match=words):
        read(break_it(text))


THANOS = (
    'receive series from Addr: 10.96.192.138:10901 LabelSets: {prometheus="monitoring/k8s"} MinTime: 1730222825216 '
    "MaxTime: 1731412800000: rpc error: code = Unavailable desc = connection error"
)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"warnings": [THANOS, THANOS]}, "receive series from Addr: 10.96.192.138:10901 .* \\(and 1 more\\)"),
        ({"warnings": ["No StoreAPIs matched for this query"]}, "No StoreAPIs matched for this query"),
        ({"warnings": ["x" * 5000]}, "x{300}$"),
        (
            {"isPartial": True, "stats": {"seriesFetched": "3", "executionTimeMsec": 1}},
            "isPartial is true: some of its storage nodes did not",
        ),
    ],
)
@pytest.mark.parametrize("series", [[], [({"a": "b"}, [(1.0, "4")])]])
def test_an_answer_that_is_not_whole_is_never_taken_for_whole(
    series: list[tuple[dict[str, str], list[tuple[float, str]]]], extra: dict[str, object], words: str
) -> None:
    """As Thanos says it, and as VictoriaMetrics does. Nothing in the part that is there is good news."""
    with pytest.raises(Unavailable, match=f"the answer is not whole: {words}"):
        read(body(series, **extra))


@pytest.mark.parametrize(
    "extra",
    [
        {"isPartial": False, "stats": {"seriesFetched": "1", "executionTimeMsec": 2}, "trace": {"duration_msec": 0.1}},
        {"warnings": None, "infos": ["PromQL info: metric might not be a counter"]},
        {"warnings": []},
    ],
)
def test_what_else_a_server_says_of_a_whole_answer_takes_nothing_from_it(extra: dict[str, object]) -> None:
    """As VictoriaMetrics, Prometheus 3 and Mimir do."""
    assert read(body([({"a": "b"}, [(1.0, "4")])], **extra)) == [({"a": "b"}, [(1.0, "4")])]
