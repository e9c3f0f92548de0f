"""Prometheus' answer to a query, read in pieces.

An answer for a thousand releases is tens of MB. Decoding it is one call that keeps the interpreter to itself, so that a
thread alone does not keep the event loop free: only many short calls do. An answer is therefore cut between two series,
which is safe without reading it: the bytes of the cut hold a bare quote after a brace, and no JSON string can.
"""

from collections.abc import Iterator

import msgspec

from daemon.errors import InvalidInput, Refused, Unavailable
from daemon.telemetry.fetching import Body

PIECE_BYTES = 512 * 1024
"""Decoded in one call: a few ms."""
_CUT = b'},{"metric":{'


class Item(msgspec.Struct, frozen=True, gc=False):
    """One series. Its labels stay the text they are until they are met for the first time."""

    metric: msgspec.Raw
    values: list[tuple[float, str]]


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    result_type: str
    result: list[Item]


class _Answer(msgspec.Struct, frozen=True):
    status: str
    data: _Data | None = None
    error: str = ""
    warnings: list[str] = []


_ANSWER = msgspec.json.Decoder(_Answer)
_ITEMS = msgspec.json.Decoder(list[Item])


def items(body: Body) -> Iterator[Item]:
    """The series of an answer.

    Raises:
        Unavailable: it cannot be read, or says itself that it is not whole.
        Refused: the query failed.
        InvalidInput: it does not hold raw samples.
    """
    start, end = _between(body)
    # The frame, with the last series in it: whatever is wrong with the answer as a whole is known before anything is used.
    last = _checked(body if start == end else body[:start] + body[end:])
    while start < end:
        cut = body.find(_CUT, start + PIECE_BYTES, end)
        stop = end - 1 if cut < 0 else cut + 1
        yield from _piece(b"[" + body[start:stop] + b"]")
        start = stop + 1
    yield from last


def _between(body: Body) -> tuple[int, int]:
    """Where the first series begins and where the last one does; the same place when there is nothing to cut."""
    if len(body) <= PIECE_BYTES:
        return 0, 0
    first, last = body.find(b'[{"metric":{'), body.rfind(_CUT)
    return (first + 1, last + 2) if 0 <= first < last else (0, 0)


def _checked(body: Body) -> list[Item]:
    try:
        answer = _ANSWER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(f"the answer cannot be read: {error}") from error
    if answer.status != "success" or answer.data is None:
        raise Refused(f"the query failed: {answer.error or answer.status}")
    if answer.warnings:
        raise Unavailable(f"the answer is not whole: {answer.warnings[0]}")
    if answer.data.result_type != "matrix":
        raise InvalidInput(f"the answer is a {answer.data.result_type}, not raw samples", path="resultType")
    return answer.data.result


def _piece(body: bytes) -> list[Item]:
    try:
        return _ITEMS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(f"the answer cannot be read: {error}") from error
