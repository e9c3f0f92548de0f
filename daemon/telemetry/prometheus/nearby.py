"""What a store has near an arm of which it shows no series: a wrong namespace, a dropped label, another reporter, another name.

"No series yet" has one right answer when the canary has had no request, and another one when it will never have any. The store
knows which it is, and is asked now and then, release by release, until there is a series. No tick waits for its answer, which is
told from the next one on.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yarl import URL

from daemon.aio.clock import Clock
from daemon.aio.httpclient import HttpClient
from daemon.aio.tasks import cancel_all
from daemon.errors import VerdictdError
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.identification import words
from daemon.telemetry.prometheus.answer import AnswerReader, Item, labels_of
from daemon.telemetry.prometheus.query import quoted
from daemon.telemetry.schema import Selector, View

AGAIN_SECONDS = 60.0
MOST = 50
"""Groups of series that one answer may hold."""
_AT_ONCE = 2
_TOLD = 5
_LOOK = "[1s:1s]"
"""Makes a subquery of a question, so that its answer has the one form that all others have."""
_BY_SETTING = "reporter and matchers of this telemetry say what all must have"
log = logging.getLogger(__name__)

Groups = Sequence[Mapping[str, str]]
"""Labels of groups of series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What was said of an arm that is known by these labels, and when."""

    at: float
    wanted: Selector
    said: str


class Nearby:
    """Looks around for arms without series, and remembers what was found.

    ``stale_after_seconds``: samples that are older are no information, and were not asked for.
    """

    def __init__(self, client: HttpClient, *, url: URL, index: SeriesIndex, clock: Clock, stale_after_seconds: float) -> None:
        self._client = client
        self._url = url
        self._index = index
        self._clock = clock
        self._stale_after_seconds = stale_after_seconds
        self._missed: frozenset[tuple[str, int]] = frozenset()
        self._found: dict[tuple[str, int], _Found] = {}
        self._looking: asyncio.Task[None] | None = None

    def look(self, collected: Collection) -> None:
        """Say of each arm without a series what is there instead, as far as is known: ``Collection.nearby``.

        From the second reading without it on the store is asked, beside the ticks.
        """
        missing = {
            (release_id, number): arm
            for release_id, arms in self._index.arms.items()
            for number, arm in enumerate(arms)
            if not collected.shows(arm)
        }
        self._found = {key: found for key, found in self._found.items() if key in missing and found.wanted == self._wanted(key)}
        collected.nearby = {key: found.said for key, found in self._found.items()}
        now = self._clock.monotonic()
        missed, self._missed = self._missed, frozenset(missing)
        due = [key for key in missed & self._missed if key not in self._found or now - self._found[key].at >= AGAIN_SECONDS]
        if due and (self._looking is None or self._looking.done()):
            asked = {key: (missing[key].view, self._wanted(key)) for key in sorted(due)[:_AT_ONCE]}
            self._looking = asyncio.create_task(self._look(asked), name="what is near arms without series")

    async def close(self) -> None:
        """Look no more."""
        await cancel_all([] if self._looking is None else [self._looking])

    async def _look(self, asked: Mapping[tuple[str, int], tuple[View, Selector]]) -> None:
        """Ask for these. Never raises for a store that fails."""
        by = self._client.deadline()
        for key, (view, wanted) in asked.items():
            said = await self._looked(view, wanted, by=by)
            if key not in self._found or self._found[key].said != said:
                arm = "canary" if key[1] else "baseline"
                log.info("no series of an arm is there", extra={"release": key[0], "arm": arm, "reason": said})
            self._found[key] = _Found(at=self._clock.monotonic(), wanted=wanted, said=said)

    def _wanted(self, key: tuple[str, int]) -> Selector:
        """The labels by which the arm is known; where it has several, the first."""
        release_id, number = key
        known = self._index.known[release_id]
        return (known.canary if number else known.baseline).series[0]

    async def _looked(self, view: View, wanted: Selector, *, by: float) -> str:
        try:
            here = await self._groups(view, {label for label, _ in wanted}, matching=_namespace(view, wanted), by=by)
            if here:
                return _nearest(view, wanted, here) or await self._age(view, wanted, by=by)
            around = await self._groups(view, {label for label, _ in _namespace(view, wanted)}, matching=(), by=by)
            if not around:
                return await self._age(view, wanted, by=by)
        except VerdictdError as error:
            log.debug("what is near an arm without series is not known", extra={"reason": str(error)})
            return f"looked for {words(wanted)}"
        return _elsewhere(view, wanted, around)

    async def _age(self, view: View, wanted: Selector, *, by: float) -> str:
        """What is there and was not shown is too old, or was not there when the others were asked for."""
        said, selector = f"looked for {words(wanted)}", _matching(view, (*view.always, *wanted))
        for newest in (f"max(timestamp({selector}))", f"max(max_over_time(timestamp({selector})[1h:1m]))"):
            for item in await self._asked(f"(time() - {newest}){_LOOK}", by=by):
                age = max((float(text) for _, text in item.values), default=0.0)
                if age > self._stale_after_seconds:
                    limit = f"none older than {self._stale_after_seconds:g} s counts (stale_after_seconds)"
                    return f"{said}; its newest sample is {age:.0f} s old, and {limit}"
                return f"{said}; it is there, and has just come"
        return f"{said}; there is no {view.requests} at all"

    async def _groups(self, view: View, labels: set[str], *, matching: Selector, by: float) -> list[Mapping[str, str]]:
        """The values that these labels have, and those that all series of the view should have."""
        group = ",".join(sorted({*labels, *(label for label, _ in view.always)}))
        items = await self._asked(f"topk({MOST},count by ({group}) ({_matching(view, matching)})){_LOOK}", by=by)
        return [labels_of(item.metric) for item in items]

    async def _asked(self, query: str, *, by: float) -> list[Item]:
        found: list[Item] = []
        await self._client.read(self._url, lambda: AnswerReader(found.extend), form={"query": query}, by=by)
        return found


def _matching(view: View, labels: Selector) -> str:
    matchers = ",".join([f"__name__={quoted(view.requests)}", *(f"{label}={quoted(value)}" for label, value in labels)])
    return f"{{{matchers}}}"


def _namespace(view: View, wanted: Selector) -> Selector:
    return tuple((label, value) for label, value in wanted if label == view.arms.namespace)


def _nearest(view: View, wanted: Selector, here: Groups) -> str:
    """What is wrong with the series of the namespace, or which arms they have; empty: it is there."""
    said = f"looked for {words(wanted)}"
    where = words(_namespace(view, wanted)) or "the store"
    for label, value in view.always:
        values = {group.get(label, "") for group in here}
        if value not in values:
            return f'{said}, and {label}="{value}"; the series of {where} have {_has(label, values)} ({_BY_SETTING})'
    ours = [group for group in here if all(group.get(label, "") == value for label, value in view.always)]
    for label, value in wanted:
        values = {group.get(label, "") for group in ours}
        if value not in values:
            return f"{said}; the series of {where} have {_has(label, values)}"
    all_of_it = {*wanted, *view.always}
    if any(all_of_it <= group.items() for group in ours):
        return ""
    return f"{said}; its parts are there, but not together"


def _elsewhere(view: View, wanted: Selector, around: Groups) -> str:
    said = f"looked for {words(wanted)}"
    label = view.arms.namespace
    if label is None:
        return said
    return f"{said}; {view.requests} have {_has(label, {group.get(label, '') for group in around})}"


def _has(label: str, values: set[str]) -> str:
    """``destination_workload web-v1, web-v3``, or that there is no such label."""
    named = sorted(values - {""})
    if not named:
        return f"no label {label}"
    more = f" and {len(named) - _TOLD} more" if len(named) > _TOLD else ""
    return f"{label} {', '.join(named[:_TOLD])}{more}"
