"""Which attempt is meant by who names a service and no attempt: the one that is under way, or was while it was asked about.

While a release of the service is running, whoever began it, that one is meant. An ended one is meant for as long as the questions
go on; after a silence whoever asks does so about another attempt. How long nobody has asked is not kept over restarts, nor is an
ended release in memory then: a gate whose askers name their attempts should be asked beside this one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from daemon.engine.registry import Registry
from daemon.engine.session import Session
from daemon.model import Release

_MOST_SERVICES: Final = 10_000
"""Whose last question is remembered; the longest silent ones are forgotten first."""


class Attempts:
    """Those of ``registry``. ``now``: seconds since 1970."""

    def __init__(self, registry: Registry, *, now: Callable[[], float]) -> None:
        self._registry = registry
        self._now = now
        self._asked_at: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._one_at_a_time: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def turn(self, release: Release) -> asyncio.Lock:
        """To be held from asking until there is one: two that ask at once must not begin two."""
        return self._one_at_a_time.setdefault(_service(release), asyncio.Lock())

    def meant(self, release: Release, *, silence_seconds: float) -> str | None:
        """The id of the current attempt of the release's service; null: there is none.

        A question to which there is none prolongs nothing: what is to begin then may fail to, and is asked for again.
        """
        newest = self._newest(release)
        if newest is None:
            return None
        asked_at = self._asked_at.get(_service(release))
        if newest.verdict is not None and self._now() - _last(newest, asked_at) > silence_seconds:
            return None
        self._asked_now(_service(release))
        return newest.release_id

    def _newest(self, release: Release) -> Session | None:
        """A watch after a promotion is no attempt."""
        known = (one for one in self._registry.of_service(release) if one.after is None)
        return max(known, key=lambda one: (one.submitted_at, one.release_id), default=None)

    def _asked_now(self, service: tuple[str, str]) -> None:
        self._asked_at.pop(service, None)
        self._asked_at[service] = self._now()
        while len(self._asked_at) > _MOST_SERVICES:
            self._asked_at.popitem(last=False)


def _service(release: Release) -> tuple[str, str]:
    return release.namespace, release.service


def _last(ended: Session, asked_at: float | None) -> float:
    """When the attempt was last seen to be under way, in seconds since 1970."""
    decided_at = ended.submitted_at if ended.verdict is None else ended.verdict.decided_at
    return max(decided_at, asked_at or 0.0)
