"""Prometheus' answer to a query, read as it comes.

What is wrong with the answer as a whole is known at its end only; whoever takes its series must be able to drop them then.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from daemon.errors import InvalidInput, Partial, Refused, Unreadable
from daemon.telemetry.counters.native import Bucket, CustomBounds, NativeHistogram
from daemon.telemetry.counters.series import Series, SeriesIndex
from daemon.telemetry.wire import UNREADABLE, Elements, number


class NativeSample(msgspec.Struct, frozen=True, gc=False):
    """A native histogram: a bucket is a rule for its ends, its lower and upper end, and its count."""

    count: str
    sum: str
    buckets: list[tuple[int, str, str, str]] = []


class Item(msgspec.Struct, frozen=True, gc=False):
    """One series. Its labels stay the text they are until they are met for the first time."""

    metric: msgspec.Raw
    numbers: list[tuple[float, str]] | None = msgspec.field(default=None, name="values")
    histograms: list[tuple[float, NativeSample]] | None = None

    @property
    def values(self) -> list[tuple[float, str]]:
        """Its samples that are numbers. Raises ``Unavailable`` where it has none of any kind, not even an empty list of them."""
        if self.numbers is None:
            if self.histograms is None:
                raise Unreadable("the answer cannot be read: a series without samples")
            return []
        return self.numbers


class _Data(msgspec.Struct, frozen=True, rename="camel"):
    result_type: str
    result: list[Item]


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    """What stands around the series.

    Attributes:
        warnings: something did not answer, by Prometheus (remote reads), Thanos and others.
        is_partial: the same, by VictoriaMetrics.
    """

    status: str
    data: _Data | None = None
    error: str = ""
    warnings: list[str] | None = None
    is_partial: bool = False


ENDED: Final = "NaN"
"""Is no sample, but the mark that a series has ended, which older stores write so."""
_LONGEST_WARNING = 300
_ANSWER = msgspec.json.Decoder(_Answer)
_ITEMS = msgspec.json.Decoder(list[Item])
_LABELS = msgspec.json.Decoder(dict[str, str])


def labels_of(metric: msgspec.Raw | bytes) -> dict[str, str]:
    """A series' labels. Raises ``Unavailable`` where they cannot be read."""
    try:
        return _LABELS.decode(metric)
    except UNREADABLE as error:
        raise Unreadable(f"labels cannot be read: {error}") from error


def alive(values: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """A series' samples without marks, where the last is one: whoever wants the newest needs no more."""
    return [one for one in values if one[1] != ENDED] if values and values[-1][1] == ENDED else values


def learned(index: SeriesIndex, metric: bytes) -> Series | None:
    """A series that the index has not met yet. Raises as ``labels_of``."""
    labels = labels_of(metric)
    return index.learn(metric, labels.pop("__name__", ""), labels)


def native(sample: NativeSample, *, custom: CustomBounds, path: str) -> NativeHistogram:
    """A native histogram; raises ``InvalidInput`` where a number cannot be read."""
    buckets = [
        Bucket(number(low, path=path), number(high, path=path), number(count, path=path)) for _, low, high, count in sample.buckets
    ]
    return NativeHistogram.met(
        count=number(sample.count, path=path), sum=number(sample.sum, path=path), buckets=buckets, custom=custom
    )


def decoded(array: bytes) -> list[Item]:
    """The series of an array. Raises ``Unavailable`` where they cannot be read."""
    try:
        return _ITEMS.decode(array)
    except UNREADABLE as error:
        raise Unreadable(f"the answer cannot be read: {error}") from error


class Shortcut(Protocol):
    """Takes what it knows of an answer before it is decoded."""

    def feed(self, array: bytes) -> bytes:
        """An array of series without those that it has taken, and those that it keeps back; empty where nothing is left."""
        ...

    def close(self) -> bytes:
        """What it has kept back, as an array; empty where that is nothing."""
        ...


class AnswerReader:
    """Hands on the series of an answer, some at a time; those that ``shortcut`` takes go no further.

    ``feed`` and ``close`` raise:
        Unavailable: it cannot be read, or says itself that it is not whole.
        Refused: the query failed.
        InvalidInput: it does not hold raw samples.
    """

    def __init__(self, take: Callable[[Sequence[Item]], None], shortcut: Shortcut | None = None) -> None:
        self._take = take
        self._shortcut = shortcut
        self._elements = Elements("metric")

    def feed(self, piece: bytes) -> None:
        """See ``Reader``."""
        for array in self._elements.feed(piece):
            self._decode(array if self._shortcut is None else self._shortcut.feed(array))

    def _decode(self, array: bytes) -> None:
        if array:
            self._take(decoded(array))

    def close(self) -> None:
        """See ``Reader``."""
        if self._shortcut is not None:
            self._decode(self._shortcut.close())
        try:
            answer = _ANSWER.decode(self._elements.close())
        except UNREADABLE as error:
            raise Unreadable(f"the answer cannot be read: {error}") from error
        if answer.status != "success" or answer.data is None:
            raise Refused(f"the query failed: {answer.error or answer.status}")
        if answer.warnings or answer.is_partial:
            raise Partial(f"the answer is not whole: {_missing(answer)}")
        if answer.data.result_type != "matrix":
            raise InvalidInput(f"the answer is a {answer.data.result_type}, not raw samples", path="resultType")
        self._take(answer.data.result)


def _missing(answer: _Answer) -> str:
    if not answer.warnings:
        return "isPartial is true: some of its storage nodes did not answer"
    more = f" (and {len(answer.warnings) - 1} more)" if len(answer.warnings) > 1 else ""
    return " ".join(answer.warnings[0].split())[:_LONGEST_WARNING] + more
