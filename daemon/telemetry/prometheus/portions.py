"""Latencies in portions: where histograms are many, each tick asks for those of some of the releases only, in turn.

Nine of ten samples are buckets, and there is no hurry about them: a proxy merges its histograms every few seconds anyway, and what
has grown is taken over all the time since it was last taken, of both arms at once (``counters.histograms``). So a release's
latencies come in larger steps, and nothing of them is lost but those of the pods that end in between; errors are counted in every
tick as ever. Without it one tick of five thousand releases would take longer than the time between two.

A question that is not answered in time, or is refused for what it is, may have been too much: there are twice as many portions
then, and one less after a while that went well. Otherwise a store too slow for everything at once would never be asked for less.
"""

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.prometheus.query import Asked
from daemon.telemetry.schema import Selector, View

MOST_HISTOGRAMS: Final = 10_000
"""In one tick; each has some twenty buckets."""
MOST_PORTIONS: Final = 6
"""Where answers hold much that was not asked for, more of them bring nothing; and a turn should come within half a minute."""
_NAMESPACES: Final = 8
"""For each portion at least, for them to be about equal."""
_FEWER: Final = 0.8
"""Portions are made larger again where so much of the room would be enough."""
_SMALLEST_RELEASES: Final = 200
"""A question about fewer was not too much: if it fails, that is no reason to ask for less."""
_GOOD_ROUNDS: Final = 12
"""Each portion has had its turn so often, without a failure, before there is one less."""

Selectors = Mapping[View, Sequence[Selector]]


class Portions:
    """Whose latencies are asked for now.

    Attributes:
        number: how many portions there are.

    Args:
        index: of the releases.
        most: histograms in one tick; null: ``MOST_HISTOGRAMS``.
    """

    def __init__(self, index: SeriesIndex, *, most: int | None = None) -> None:
        self.number = 1
        self._index = index
        self._most = MOST_HISTOGRAMS if most is None else most
        self._turn = 0
        self._least = 1
        self._good_rounds = 0
        self._met: list[int] = []
        self._series: list[int] = []
        self._series_of_all = 0
        self._of: Selectors | None = None
        self._portions: list[tuple[Selectors, Asked]] = []

    @property
    def now(self) -> tuple[Selectors, Asked]:
        """The labels of the arms whose turn it is, and what is remembered of asking for them."""
        if self._of is not self._index.selectors or len(self._portions) != self.number:
            self._of = self._index.selectors
            members: list[list[str]] = [[] for _ in range(self.number)]
            for release_id, mark in self._marks():
                members[zlib.crc32(mark.encode()) % self.number].append(release_id)
            self._portions = [(self._index.selectors_of(those), Asked()) for those in members]
        return self._portions[self._turn]

    def _marks(self) -> Iterator[tuple[str, str]]:
        """By what each release is put into a portion: neighbours together, where there are namespaces enough.

        Arms are asked for by names and by namespaces, and each name is looked for in all of these namespaces.
        """
        namespaces = {watch.release.namespace for watch in self._index.watched}
        together = len(namespaces) >= _NAMESPACES * self.number
        for watch in self._index.watched:
            if watch.release_id in self._index.arms:
                yield watch.release_id, watch.release.namespace if together else watch.release_id

    def met(self, histograms: int, *, series: int = 0) -> int:
        """So many came of this portion, and so many series: the next one's turn. How many portions there are is looked at when
        each has had one.

        Returns:
            how many series the other portions have.
        """
        self._met.append(histograms)
        self._series.append(series)
        self._turn = len(self._met) % self.number
        others = max(sum(self._series) - series, self._series_of_all - series)
        if self._turn == 0:
            self._begin_anew()
        return others

    def _begin_anew(self) -> None:
        self._series_of_all, self._series = sum(self._series), []
        all_of_them, self._met = sum(self._met), []
        self._good_rounds += 1
        if self._good_rounds == _GOOD_ROUNDS:
            self._good_rounds, self._least = 0, max(1, self._least - 1)
        if all_of_them > self._most * self.number or all_of_them < _FEWER * self._most * (self.number - 1):
            self.number = max(self._least, min(MOST_PORTIONS, max(1, math.ceil(all_of_them / self._most))))

    def failed(self) -> None:
        """Nobody answered in time, or what was asked is refused."""
        most = min(MOST_PORTIONS, max(1, len(self._index.watched) // _SMALLEST_RELEASES))
        self._least = max(self._least, min(most, 2 * self.number))
        self.number = max(self._least, self.number)
        self._good_rounds, self._turn, self._met, self._series = 0, 0, [], []
