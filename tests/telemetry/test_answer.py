"""Prometheus' answers: cut in pieces they say the same, and whatever is wrong with them is found wherever it stands."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import InvalidInput, Refused, Unavailable
from daemon.telemetry import answer
from daemon.telemetry.answer import items

FEW = 64


def body(series: list[tuple[dict[str, str], list[tuple[float, str]]]], **extra: object) -> bytes:
    """An answer, written without spaces as Prometheus does."""
    result = [{"metric": labels, "values": values} for labels, values in series]
    document = {"status": "success", "data": {"resultType": "matrix", "result": result}, **extra}
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def read(text: bytes) -> list[tuple[dict[str, str], list[tuple[float, str]]]]:
    return [(msgspec.json.decode(item.metric), [(at, value) for at, value in item.values]) for item in items(text)]


SERIES = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["a", "metric"]), st.text(alphabet='},{"metric:[]\\é', max_size=40), min_size=1),
        st.lists(st.tuples(st.floats(0, 2e9, allow_nan=False).map(lambda at: round(at, 3)), st.just("1")), max_size=3),
    ),
    max_size=12,
)


@given(series=SERIES)
def test_pieces_hold_what_the_whole_holds(series: list[tuple[dict[str, str], list[tuple[float, str]]]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(answer, "PIECE_BYTES", FEW)
        assert read(body(series)) == series


def test_an_answer_written_with_spaces_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "PIECE_BYTES", FEW)
    series = [({"a": str(number)}, [(1.0, "1")]) for number in range(9)]
    assert read(json.dumps(json.loads(body(series))).encode()) == series


@pytest.mark.parametrize(
    ("break_it", "expected", "words"),
    [
        (lambda text: text.replace(b'"values":[[1.0,"4"]]', b'"values":7'), Unavailable, "cannot be read"),
        (lambda text: text[:-3], Unavailable, "cannot be read"),
        (lambda text: text.replace(b"success", b"error", 1), Refused, "the query failed: error"),
        (lambda text: text[:-1] + b',"warnings":["a shard is gone"]}', Unavailable, "not whole: a shard is gone"),
        (lambda text: text.replace(b"matrix", b"vector", 1), InvalidInput, "is a vector"),
    ],
)
def test_a_fault_in_any_piece_is_found(monkeypatch: pytest.MonkeyPatch, break_it, expected, words) -> None:  # type: ignore[no-untyped-def]  # parameters as listed above
    monkeypatch.setattr(answer, "PIECE_BYTES", FEW)
    text = body([({"a": str(number)}, [(1.0, str(number))]) for number in range(9)])
    with pytest.raises(expected, match=words):
        list(items(break_it(text)))
