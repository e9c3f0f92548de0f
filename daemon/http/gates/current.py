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

from daemon import names
from daemon.errors import Unavailable
from daemon.http import paging
from daemon.http.gates.asking import Desk, Told
from daemon.model import Release, ReleaseView

_NOT_ALONE: Final = (
    "no release of this service is running, and with several replicas (replicas.count) the one that ended last may be another's: "
    "begin it by a webhook, an event or a gate that names the attempt"
)
_MOST_SERVICES: Final = 10_000
"""Whose last question is remembered; the longest silent ones are forgotten first."""


class Current:
    """The attempts under way. ``now``: seconds since 1970; ``alone``: there is no other replica, which would know of others."""

    def __init__(self, desk: Desk, *, now: Callable[[], float], alone: bool = True) -> None:
        self._desk = desk
        self._alone = alone
        self._now = now
        self._asked_at: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._one_at_a_time: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def ask(self, release: Release, *, silence_seconds: float) -> Told:
        """How the current attempt of the release's service stands; ``release`` is watched where there is none.

        Raises as ``Desk.ask``, and ``Unavailable`` where it is not known whether there is one: another replica may have ended it.
        """
        lock = self._one_at_a_time.setdefault((release.namespace, release.service), asyncio.Lock())
        async with lock:  # two that ask at once must not begin two
            newest = await self._newest(release)
            asked_at = self._asked_now(release)
            if newest is not None and (newest.verdict is None or self._now() - _last(newest, asked_at) <= silence_seconds):
                release_id = newest.id
            elif not self._alone:
                raise Unavailable(_NOT_ALONE)
            else:
                release_id = names.new_release_id(release.service)
                release_id = await self._desk.begin(release, release_id=release_id, gate="prometheus")
        return await self._desk.known(release_id)

    async def _newest(self, release: Release) -> ReleaseView | None:
        """The newest of the service that is in memory; a watch after a promotion is no attempt."""
        async for view in paging.in_turns(await self._desk.releases.all_views()):
            if view.after is None and (view.release.namespace, view.release.service) == (release.namespace, release.service):
                return view
        return None

    def _asked_now(self, release: Release) -> float | None:
        """When it was asked before; null: not that it is remembered."""
        key = (release.namespace, release.service)
        before = self._asked_at.pop(key, None)
        self._asked_at[key] = self._now()
        while len(self._asked_at) > _MOST_SERVICES:
            self._asked_at.popitem(last=False)
        return before


def _last(ended: ReleaseView, asked_at: float | None) -> float:
    """When the attempt was last seen to be under way, in seconds since 1970."""
    decided_at = ended.submitted_at if ended.verdict is None else ended.verdict.decided_at
    return max(decided_at, asked_at or 0.0)
