"""All objects of a kind as they are now: listed once, then kept by a watch, each cut down to what is wanted of it.

Between two turns of the event loop what is here is whole: a listing is taken up in one go. Whether it can still be believed is for
whoever asks to say, by the time since the API server was last heard of.
"""

import random
from collections.abc import Callable, Mapping
from contextlib import aclosing
from types import MappingProxyType
from typing import Generic, TypeVar

from daemon.aio.clock import Clock
from daemon.errors import Unavailable, VerdictdError
from daemon.kube.listwatch import ListWatch, ObjectChange, Source
from daemon.kube.resources import Json, metadata_of

T = TypeVar("T")

Key = tuple[str, str]
"""Namespace and name."""


class Informer(Generic[T]):
    """The objects of one source.

    Args:
        source: where they are listed and watched.
        kept: what is remembered of an object.
        changed: hears of each change once it is taken up, by the object's key.
        failed: hears of what failed and is retried.
        known: uids by key, see ``ListWatch``.
        random: gives numbers in [0, 1).
    """

    def __init__(
        self,
        source: Source,
        *,
        kept: Callable[[Json], T],
        clock: Clock,
        changed: Callable[[Key], None] = lambda _key: None,
        failed: Callable[[VerdictdError], None] = lambda _error: None,
        known: Mapping[Key, str] = MappingProxyType({}),
        random: Callable[[], float] = random.random,
    ) -> None:
        self._loop = ListWatch(source=source, clock=clock, random=random, failed=self._failed, known=known)
        self._kept = kept
        self._changed = changed
        self._tell = failed
        self._objects: dict[Key, T] = {}
        self._failure: VerdictdError | None = None
        self._failed_at = 0.0
        self._clock = clock

    async def run(self) -> None:
        """Follow the source for ever; cancel it to end it."""
        async with aclosing(self._loop.changes()) as changes:
            async for change in changes:
                self._take(change)

    @property
    def age_seconds(self) -> float | None:
        """Seconds since the API server was last heard of; null before the first listing."""
        return self._loop.age_seconds

    @property
    def failure(self) -> VerdictdError | None:
        """What has failed since the API server was last heard of; null where nothing has."""
        age = self.age_seconds
        heard = age is not None and self._clock.monotonic() - age > self._failed_at
        return None if heard else self._failure

    @property
    def known(self) -> Mapping[Key, T]:
        """What there was when the API server was last heard of, however long ago; nothing before the first listing."""
        return self._objects

    def objects(self, *, within_seconds: float) -> Mapping[Key, T]:
        """What there is, by namespace and name.

        Args:
            within_seconds: how long ago the API server was last heard of, at most.

        Raises:
            VerdictdError: it has not been listed, or nothing was heard for longer: says why.
        """
        age = self.age_seconds
        if age is None:
            raise self._failure or Unavailable("it has not been listed yet")
        if age > within_seconds:
            said = f": {self.failure}" if self.failure is not None else ""
            raise Unavailable(f"nothing was heard of the API server for {age:.0f} s{said}")
        return self._objects

    def _take(self, change: ObjectChange) -> None:
        metadata = metadata_of(change.object)
        key = (str(metadata.get("namespace", "")), str(metadata.get("name", "")))
        if change.kind == "deleted":
            self._objects.pop(key, None)
        else:
            self._objects[key] = self._kept(change.object)
        self._changed(key)

    def _failed(self, error: VerdictdError) -> None:
        self._failure, self._failed_at = error, self._clock.monotonic()
        self._tell(error)
