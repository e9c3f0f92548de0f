"""From single samples to readings: what the sources have in common.

A source says what it has learnt (``Collection``), then every release's ledger makes its reading of it (``Books``).
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from daemon.errors import InvalidInput
from daemon.model import Reading, Watch
from daemon.telemetry.counters.asides import Aside
from daemon.telemetry.counters.readings import Ledger, Round
from daemon.telemetry.counters.series import Catalogue, Part, Series, Slot
from daemon.telemetry.counters.snapshot import ArmView, ViewBuilder

P = ParamSpec("P")
R = TypeVar("R")

_INLINE_RELEASES = 64
_NOTHING: Mapping[str, ArmView] = {}
_SILENT = Aside()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """Whom a page is of, and when it was.

    Attributes:
        target: name of the proxy, which is a pod by itself.
        at: when it answered.
        spacing_seconds: how far apart its scrapes usually are.
    """

    target: str
    at: float
    spacing_seconds: float


class Collection:
    """The samples of one reading, sorted by arm and target.

    Attributes:
        answered: newest time of every target that has answered.
        failed: targets that have not, with the reason, where the source asks each of them.
        asides: what targets say of themselves.
        denials_known: whether they were asked what their policy filters have denied.
        ages_asked: whether they were asked since when they run.
        instances: the ``instance`` labels of the targets.
        met: series that were looked at, ours or not.
    """

    __slots__ = ("ages_asked", "answered", "asides", "builders", "denials_known", "failed", "instances", "met")

    def __init__(self, *, denials_known: bool = False) -> None:
        self.builders: dict[Slot, dict[str, ViewBuilder]] = {}
        self.asides: dict[str, Aside] = {}
        self.denials_known = denials_known
        self.ages_asked = False
        self.instances: set[str] = set()
        self.answered: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        self.met = 0

    def builder(self, slot: Slot, target: str, *, spacing_seconds: float, pod: str) -> ViewBuilder:
        """Where the samples of an arm at a target go."""
        targets = self.builders.setdefault(slot, {})
        found = targets.get(target)
        if found is None:
            found = targets[target] = ViewBuilder(spacing_seconds=spacing_seconds, pod=pod)
        return found

    def add(self, series: Series, value: float, *, target: str, pod: str, at: float, spacing_seconds: float) -> None:
        """Take one sample for all arms that the series belongs to."""
        for slot in series.owner.slots:
            builder = self.builder(slot, target, spacing_seconds=spacing_seconds, pod=pod)
            match series.part:
                case Part.COUNTER:
                    builder.count(series.identity, series.ended, value, at=at)
                case Part.BUCKET:
                    builder.bucket(series.identity, series.le, value, at=at)
                case Part.SUM:
                    builder.sum(series.identity, value, at=at)
                case Part.DENIED | Part.UPTIME:
                    raise AssertionError("no arm owns what a target says of itself")

    def add_aside(self, series: Series, value: float, *, target: str, at: float) -> None:
        """Take one sample of what a target says of itself."""
        aside = self.asides.setdefault(target, Aside())
        if series.part is Part.DENIED:
            aside.deny(series.identity, value, at=at)
        elif math.isfinite(value) and value >= 0.0:
            aside.born = at - value

    def merge(self, other: "Collection") -> None:
        """Take over what was collected of other targets."""
        self.met += other.met
        self.asides.update(other.asides)
        for slot, targets in other.builders.items():
            self.builders.setdefault(slot, {}).update(targets)

    def views(self, slot: Slot, *, unit_ms: float) -> Mapping[str, ArmView]:
        """The views of one arm by target; raises ``InvalidInput`` when a number in them cannot be used."""
        builders = self.builders.get(slot)
        if builders is None:
            return _NOTHING
        return {
            target: builder.build(unit_ms=unit_ms, aside=self.asides.get(target, _SILENT), denials_known=self.denials_known)
            for target, builder in builders.items()
            if builder.counted
        }


class Books:
    """The ledgers of all watched releases."""

    def __init__(self, catalogue: Catalogue, *, unit_ms: float) -> None:
        self._catalogue = catalogue
        self._unit_ms = unit_ms
        self._ledgers: dict[str, Ledger] = {}
        self._watches: dict[str, Watch] = {}

    def open(self, watches: Sequence[Watch]) -> None:
        """Keep a ledger for each of these. A release that is not what it was begins anew."""
        for watch in watches:
            known = self._watches.get(watch.release_id)
            if known is None or (known.release is not watch.release and known.release != watch.release):
                self._ledgers[watch.release_id] = Ledger()
            self._watches[watch.release_id] = watch
        self._catalogue.watch(watches)

    def close(self, release_id: str) -> None:
        """Drop a release's ledger."""
        self._ledgers.pop(release_id, None)
        self._watches.pop(release_id, None)

    def gaps(self, watches: Iterable[Watch], reason: str) -> dict[str, Reading]:
        """The readings when the source as a whole has failed."""
        return {release_id: ledger.gap(reason) for release_id, ledger in self._still_open(watches).items()}

    async def readings(self, watches: Iterable[Watch], collected: Collection, this: Round) -> dict[str, Reading]:
        """The readings of what was collected."""
        # The ledgers are looked up here and now: while the thread works, releases may end and be closed.
        ledgers = self._still_open(watches)
        return await beside(len(ledgers) > _INLINE_RELEASES, self._readings, ledgers, collected, this)

    def _still_open(self, watches: Iterable[Watch]) -> dict[str, Ledger]:
        """The ledgers of these; a release may have ended, and been closed, while its source was being asked."""
        return {watch.release_id: self._ledgers[watch.release_id] for watch in watches if watch.release_id in self._ledgers}

    def _readings(self, ledgers: Mapping[str, Ledger], collected: Collection, this: Round) -> dict[str, Reading]:
        return {release_id: self._reading(release_id, ledger, collected, this) for release_id, ledger in ledgers.items()}

    def _reading(self, release_id: str, ledger: Ledger, collected: Collection, this: Round) -> Reading:
        if (reason := self._catalogue.unknowable.get(release_id)) is not None:
            return ledger.gap(reason)
        baseline, canary = self._catalogue.slots[release_id]
        try:
            views = [collected.views(slot, unit_ms=self._unit_ms) for slot in (baseline, canary)]
        except InvalidInput as error:
            return ledger.gap(f"unusable numbers: {error.message} ({error.path})")
        return ledger.advance(views, this)


async def beside(large: bool, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:  # noqa: FBT001 - what follows it are the work's own arguments
    """Do some work; in a thread when it is large, so that the event loop, on which reverts wait, stays free."""
    return await asyncio.to_thread(work, *args, **kwargs) if large else work(*args, **kwargs)
