"""Histograms known again as they come: all buckets of one target stand together in an answer, and tick after tick as the last time.

Of 100 000s of series nine of ten are such buckets, and of each only the newest count is news: its labels have been read before.
So they are not read one by one. What a target's buckets are is worked out once (a ``Block``) and found by the text of its first
one; where the others follow, byte by byte as they are known, only their counts are read, all at once. Their texts, nearly the
same for all of them, are kept once.

The one decision: whatever is not to the byte as expected is left to whoever reads series one by one. Nothing is guessed here, and
nothing is refused: a block is taken as a whole or not at all.
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain, repeat
from operator import itemgetter
from typing import Final, Protocol, TypeVar

import msgspec

from daemon.telemetry.counters.series import SampleKind, Series, SeriesIndex
from daemon.telemetry.prometheus.answer import learned

_ITEM: Final = b'{"metric":'
"""Begins a series. No JSON string can hold it: the quote in it would have to be escaped."""
_VALUES: Final = b'},"values":'
"""Ends its labels; neither can this stand in a string."""
_SAMPLE: Final = rb'\[[1-9][0-9]{0,15}(?:\.[0-9]+)?,"[0-9]+"\]'
_TAIL: Final = re.compile(rb',"values":\[' + _SAMPLE + rb"(?:," + _SAMPLE + rb")*\]\},")
_DIGITS: Final = b"0123456789"
_NOTHING: Final = b""
"""Stands after the last item."""
_HELD_BYTES: Final = 256 * 1024
"""Of a block of which the rest is still to come. What is longer is read one by one."""

T = TypeVar("T")
CountsOf = Callable[[Sequence[float]], Sequence[float]]


class BlockHistogram(msgspec.Struct, frozen=True, gc=False):
    """One histogram of a block.

    Attributes:
        series: its first bucket.
        bounds: the upper bounds, in the order in which they come.
        counts_of: its counts among those of the block.
    """

    series: Series
    bounds: tuple[float, ...]
    counts_of: CountsOf


class Block(msgspec.Struct, frozen=True, gc=False):
    """The buckets of one target.

    Attributes:
        series: each of them.
        begins: how the texts of all of them begin.
        middles: how each of them goes on.
        end: how all of them end.
        middle_ends: where each middle does.
        rests: what is after each text.
        histograms: what they are of.
    """

    series: tuple[Series, ...]
    begins: bytes
    middles: tuple[bytes, ...]
    end: bytes
    middle_ends: tuple[int, ...]
    rests: tuple[slice, ...]
    histograms: tuple[BlockHistogram, ...]

    @classmethod
    def of(cls, heads: Sequence[bytes], series: Sequence[Series]) -> "Block":
        """Of series with these texts."""
        begins = _common(heads)
        others = [head[len(begins) :] for head in heads]
        end = _common([other[::-1] for other in others])[::-1]
        middles = _shared(tuple([other[: len(other) - len(end)] for other in others]))
        middle_ends, rests = _places(middles, len(begins), len(end))
        return cls(tuple(series), begins, middles, end, middle_ends, rests, _histograms(series))

    def goes_on_in(self, items: Sequence[bytes]) -> bool:
        """Whether these are its series, or the first of them."""
        return (
            all(map(bytes.startswith, items, repeat(self.begins)))
            and all(map(bytes.startswith, items, self.middles, repeat(len(self.begins))))
            and all(map(bytes.startswith, items, repeat(self.end), self.middle_ends))
        )

    def read(self, items: Sequence[bytes]) -> tuple[float, float | None, list[float]] | None:
        """When the newest samples of all of them were taken, and the ones before, and their counts.

        Null where that is not so simple: where they are of several moments, or not all of them are counts.
        """
        tails = [item[rest] for item, rest in zip(items, self.rests, strict=True)]
        first = tails[0]
        if _TAIL.fullmatch(first) is None:
            return None
        # But for the digits all have to be as the first one, and the times to be its times.
        if b"".join(tails).translate(None, _DIGITS) != first.translate(None, _DIGITS) * len(tails):
            return None
        *marks, newest = first.split(b'"')[2:-1:2]
        before, counts, _ = zip(*[tail.rsplit(b'"', 2) for tail in tails], strict=True)
        if b"" in counts or not all(map(bytes.endswith, before, repeat(newest))):
            return None
        if marks and b"".join(before).count(marks[-1]) != len(tails):
            return None
        return _time(newest), _time(marks[-1]) if marks else None, list(map(float, counts))


class Taker(Protocol):
    """Takes the blocks of an answer."""

    def whole(self, block: Block, at: float, before: float | None, counts: Sequence[float]) -> None:
        """Take one: when its newest samples were taken, and the ones before, and their counts in its order."""
        ...

    def apart(self, block: Block, array: bytes) -> None:
        """Take one of which the samples are of several moments, or not counts: an array of its series."""
        ...


class KnownBlocks:
    """Takes the blocks of one answer, and leaves all else.

    Args:
        blocks: those that have been met, by the text of their first series; those that are met are added.
        index: what is known of all other series.
        taker: takes them.
    """

    def __init__(self, blocks: dict[bytes, Block], index: SeriesIndex, taker: Taker) -> None:
        self._blocks = blocks
        self._index = index
        self._taker = taker
        self._held: list[bytes] = []

    def feed(self, array: bytes) -> bytes:
        """The array without the series of blocks, and without those of the last one while it may go on; empty: nothing is left."""
        before, *items = array.split(_ITEM)
        if before != b"[" or not items:
            return array  # written with blanks, as by none that we know
        items[-1] = items[-1][:-1] + b","
        return _array(self._left(self._held + items))

    def close(self) -> bytes:
        """What was kept back, as an array, but for a block: nothing follows that it could go on in."""
        *left, _ = self._left([*self._held, _NOTHING])
        return _array(left)

    def _left(self, items: list[bytes]) -> list[bytes]:
        """What is none of a block's. The last items may be kept back."""
        left: list[bytes] = []
        self._held = []
        place, end = 0, len(items)
        while place < end:
            block = self._blocks.get(_head(items[place]))
            run = [] if block is None else items[place : place + len(block.series)]
            if block is None or not block.goes_on_in(run):
                run, block = self._meet(items, place)
            if block is not None and len(run) == len(block.series):
                self._use(block, run)
            elif run and sum(map(len, run)) <= _HELD_BYTES:
                self._held = run
            else:
                left += run or items[place : place + 1]
            place += max(1, len(run))
        return left

    def _use(self, block: Block, run: Sequence[bytes]) -> None:
        read = block.read(run)
        if read is None:
            self._taker.apart(block, _array(run))
        else:
            self._taker.whole(block, *read)

    def _meet(self, items: Sequence[bytes], place: int) -> tuple[list[bytes], Block | None]:
        """The items of a new block that begins here, and the block, where it has its end among them; no items: there is none."""
        heads: list[bytes] = []
        series: list[Series] = []
        met: set[bytes] = set()
        for at in range(place, len(items)):
            one = self._series(head := _head(items[at]))
            if one is None or one.kind is not SampleKind.BUCKET or math.isnan(one.le):
                break
            if head in met:
                break  # a store may hold it twice; a block has each of its series once
            if series and one.target != series[0].target:
                break
            heads.append(head)
            met.add(head)
            series.append(one)
        run = list(items[place : place + len(heads)])
        if not run or place + len(run) == len(items):
            return run, None
        block = self._blocks[heads[0]] = Block.of(heads, series)
        self._index.set_apart(heads)
        return run, block

    def _series(self, head: bytes) -> Series | None:
        if not head:
            return None
        try:
            return self._index.series[head]
        except KeyError:
            return learned(self._index, head)


def _head(item: bytes) -> bytes:
    """The text of its labels; empty where it is written with blanks, or has no samples."""
    return item[: item.find(_VALUES) + 1] if item.startswith(b"{") else b""


def _array(items: Sequence[bytes]) -> bytes:
    return b"[" + b"".join([*chain.from_iterable((_ITEM, item) for item in items)])[:-1] + b"]" if items else b""


def _histograms(series: Sequence[Series]) -> tuple[BlockHistogram, ...]:
    places: dict[str, list[int]] = {}
    for place, one in enumerate(series):
        places.setdefault(one.identity, []).append(place)
    return tuple(
        [
            BlockHistogram(series[those[0]], _shared(tuple([series[one].le for one in those])), _counts_of(tuple(those)))
            for those in places.values()
        ]
    )


def _common(texts: Sequence[bytes]) -> bytes:
    """How all of them begin."""
    least, most = min(texts), max(texts)
    same = next((at for at, (one, other) in enumerate(zip(least, most, strict=False)) if one != other), len(least))
    return least[:same]


@lru_cache(maxsize=4096)
def _shared(values: tuple[T, ...]) -> tuple[T, ...]:
    """One for all that are the same."""
    return values


@lru_cache(maxsize=4096)
def _places(middles: tuple[bytes, ...], begin: int, end: int) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """Where these end that begin there, and what is after as much more. One for all blocks of which the texts are as long."""
    ends = tuple([begin + len(middle) for middle in middles])
    return ends, tuple([slice(at + end, None) for at in ends])


@lru_cache(maxsize=1024)
def _counts_of(places: tuple[int, ...]) -> CountsOf:
    """What takes these of a sequence."""
    first, last = places[0], places[-1]
    # Several that stand apart: of one alone it would take no sequence.
    return itemgetter(slice(first, last + 1)) if last - first + 1 == len(places) else itemgetter(*places)


def _time(mark: bytes) -> float:
    """Of what stands before a sample's value."""
    return float(mark[mark.rindex(b"[") + 1 : -1])
