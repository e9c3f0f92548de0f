"""When each version of a service was there: which values the labels had that arms are known by, step by step.

Only for finding releases. Nothing is counted here, so that the server may do the counting of series.
"""

from collections.abc import Callable, Mapping

from daemon.errors import InvalidInput
from daemon.model import ArmSpec
from daemon.telemetry.history.asking import Asking, TooMuch
from daemon.telemetry.prometheus.answer import Item, labels_of
from daemon.telemetry.prometheus.query import quoted
from daemon.telemetry.schema import Schema

STEP_SECONDS = 60.0
_FINE_SECONDS = 5.0
_PIECE_SECONDS = 86_400.0
_NARROWEST_SECONDS = 3_600.0
_LONGEST_SECONDS = 10_000 * _PIECE_SECONDS
"""As many steps of a day as a server gives at once."""

Presence = dict[tuple[tuple[str, str], ...], list[float]]
"""Moments at which versions were there, by the fields that name each (``workload``, ``version``)."""


class Versions:
    """The versions of one service.

    Raises:
        InvalidInput: this telemetry does not say of which service its series are.
    """

    def __init__(self, asking: Asking, *, schema: Schema, service: str, namespace: str) -> None:
        self._asking = asking
        view = next((view for view in schema.views if view.arms.service is not None and _fields(view.arms.whose)), None)
        if view is None:
            fix = "list them in a file (--releases), or name one by --from, --baseline and --canary"
            raise InvalidInput(
                f"releases cannot be found by {schema.name} telemetry, which names no service", path="--from", fix=fix
            )
        self._fields = _fields(view.arms.whose) | {label: field for field, label in view.arms.also.items()}
        wanted = {view.arms.service: service, view.arms.namespace: namespace}
        matchers = [f"__name__={quoted(view.requests)}"]
        matchers += [f"{label}={quoted(value)}" for label, value in (*view.always, *wanted.items()) if label is not None]
        self._series = f"{{{','.join(matchers)}}}"
        self._query = f"count by ({','.join(self._fields)}) ({self._series})"

    async def begin(self, since: float, end: float) -> float | None:
        """Since when there can be anything of the service, to the day and not too late; null: nothing is there at all.

        No series is missed that was there for five minutes, which is as long as a server takes one to be there.

        Raises:
            VerdictdError: the server cannot be asked.
        """
        at, width = since, _LONGEST_SECONDS
        query = f"count(count_over_time({self._series}[1d:5m]))"
        while at < end:
            until = min(at + width, end + _PIECE_SECONDS)
            try:
                items = await self._asking.steps(query, begin=at, end=until, step_seconds=_PIECE_SECONDS)
            except TooMuch:
                if width <= _PIECE_SECONDS:
                    raise
                width = max(_PIECE_SECONDS, width / 4.0)
                continue
            if there := [moment for item in items for moment, _ in item.values]:
                return max(since, min(there) - _PIECE_SECONDS)
            at = until
        return None

    async def between(self, begin: float, end: float, *, progress: Callable[[float], None] = lambda _: None) -> Presence:
        """When each was there, at steps of ``STEP_SECONDS``.

        Raises:
            VerdictdError: the server cannot be asked.
        """
        found: Presence = {}
        at, width = begin, _PIECE_SECONDS
        while at <= end:
            until = min(at + width - STEP_SECONDS, end)
            try:
                items = await self._asking.steps(self._query, begin=at, end=until, step_seconds=STEP_SECONDS)
            except TooMuch:
                if width <= _NARROWEST_SECONDS:
                    raise
                width /= 2.0
                continue
            self._add(items, into=found)
            at = until + STEP_SECONDS
            progress(min(1.0, (at - begin) / max(STEP_SECONDS, end - begin)))
        return found

    async def came(self, arm: ArmSpec, *, seen_at: float) -> float:
        """When a version came that was first seen at a step: the same, looked at more closely. Raises as ``between``."""
        begin = seen_at - STEP_SECONDS
        items = await self._asking.steps(self._query, begin=begin, end=seen_at, step_seconds=_FINE_SECONDS)
        found: Presence = {}
        self._add(items, into=found)
        wanted = {field: value for field in self._fields.values() if (value := getattr(arm, field)) is not None}
        return max(begin, min(found.get(_key(wanted), [seen_at])) - _FINE_SECONDS)

    def _add(self, items: list[Item], *, into: Presence) -> None:
        for item in items:
            labels = labels_of(item.metric)
            named = {field: value for label, field in self._fields.items() if (value := labels.get(label))}
            if named:
                into.setdefault(_key(named), []).extend(at for at, _ in item.values)


def _fields(whose: tuple[tuple[str, tuple[str, ...]], ...]) -> dict[str, str]:
    """Labels that name a workload, by themselves: one label for one field."""
    return {labels[0]: field for field, labels in whose if field != "service" and len(labels) == 1}


def _key(named: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(named.items()))
