"""The questions of many releases to one API server, put together: of those that ask at the same time, one asks for all.

Whoever asks while a listing is under way waits for the next one, and shares it with all who ask meanwhile: what everybody gets was
read after they asked, as by a question of their own (by ``daemon.aio.singleflight``, but that each may want other labels). A
listing asks for the labels that are wanted and not for the whole namespace, which may have more pods than all releases together.
An object by its name comes of a listing of its namespace where somebody else wants one of the same kind and namespace too; who is
alone, or may not list, asks for it by itself.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from daemon.aio.singleflight import SingleFlight
from daemon.errors import Forbidden, NotFound, VerdictdError
from daemon.kube.client import KubeClient
from daemon.kube.reads import Labels, OwnReads
from daemon.kube.resources import Json, Resource, metadata_of

_SETS_AT_ONCE: Final = 100
"""Sets of labels in one question, which is a line of some thousand characters."""


class SharedReads:
    """Implements ``daemon.kube.reads.Reads`` for one cluster.

    Args:
        kube: a client of it.
        names_alone: whether an object by its name is asked for by itself all the same: one has it sooner, many cost more.
    """

    def __init__(self, kube: KubeClient, *, names_alone: bool = False) -> None:
        self._own = OwnReads(kube)
        self._names_alone = names_alone
        self._asking: dict[tuple[Resource, str | None, bool], _Shared] = {}
        self._naming: Counter[tuple[Resource, str]] = Counter()

    async def one(self, resource: Resource, *, namespace: str, name: str) -> Json:
        """See ``Reads.one``."""
        if self._names_alone:
            return await self._own.one(resource, namespace=namespace, name=name)
        async with self._named(resource, namespace) as is_alone:
            if is_alone:
                return await self._own.one(resource, namespace=namespace, name=name)
            try:
                found = await self._shared(resource, namespace, either=())
            except Forbidden:
                return await self._own.one(resource, namespace=namespace, name=name)
        if name not in found.by_name:
            raise NotFound(f'{resource.plural} "{name}" not found in namespace {namespace}')
        return found.by_name[name]

    async def all(self, resource: Resource, *, namespace: str | None = None, either: Sequence[Labels] = ()) -> Sequence[Json]:
        """See ``Reads.all``."""
        found = await self._shared(resource, namespace, either=either)
        return found.carrying(either) if either else found.items

    @asynccontextmanager
    async def _named(self, resource: Resource, namespace: str) -> AsyncIterator[bool]:
        """Whether nobody else wants an object of these now: who asks in the same turn, or has asked and waits still."""
        self._naming[resource, namespace] += 1
        try:
            await asyncio.sleep(0)
            yield self._naming[resource, namespace] == 1
        finally:
            self._naming[resource, namespace] -= 1
            if not self._naming[resource, namespace]:
                del self._naming[resource, namespace]

    async def _shared(self, resource: Resource, namespace: str | None, *, either: Sequence[Labels]) -> "_Answer":
        key = (resource, namespace, bool(either))
        shared = self._asking.get(key)
        if shared is None:
            shared = self._asking[key] = _Shared(lambda sets: self._listed(resource, namespace, sets))
        try:
            return await shared.ask(either)
        finally:
            if not shared.is_wanted:
                # An answer is not kept for nobody.
                self._asking.pop(key, None)

    async def _listed(self, resource: Resource, namespace: str | None, sets: Sequence[Labels]) -> "_Answer":
        """One listing, or one for every so many sets; those of the same keys together, which a selector can tell."""
        if not sets:
            return _Answer(await self._own.all(resource, namespace=namespace))
        alike: dict[frozenset[str], list[Labels]] = {}
        for one in sorted(sets, key=lambda labels: sorted(labels.items())):
            alike.setdefault(frozenset(one), []).append(one)
        parts = [same[at : at + _SETS_AT_ONCE] for same in alike.values() for at in range(0, len(same), _SETS_AT_ONCE)]
        calls = (self._own.all(resource, namespace=namespace, either=part) for part in parts)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        found: dict[tuple[str, str], Json] = {}
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
            found.update((_name(item), item) for item in answer)
        return _Answer(list(found.values()))


@dataclass(slots=True)
class _Answer:
    """What a listing brought, to be looked up by many."""

    items: Sequence[Json]
    _by_name: dict[str, Json] | None = None
    _by_label: dict[tuple[str, str], list[int]] | None = None

    @property
    def by_name(self) -> dict[str, Json]:
        if self._by_name is None:
            self._by_name = {_name(item)[1]: item for item in self.items}
        return self._by_name

    def carrying(self, either: Iterable[Labels]) -> list[Json]:
        """Those that carry one of these sets of labels, in their order."""
        found: set[int] = set()
        for labels in either:
            carriers = sorted((self._carriers(pair) for pair in labels.items()), key=len) or [range(len(self.items))]
            found |= set(carriers[0]).intersection(*carriers[1:])
        return [self.items[at] for at in sorted(found)]

    def _carriers(self, pair: tuple[str, str]) -> Sequence[int]:
        if self._by_label is None:
            self._by_label = {}
            for at, item in enumerate(self.items):
                for one in (metadata_of(item).get("labels") or {}).items():
                    self._by_label.setdefault(one, []).append(at)
        return self._by_label.get(pair, ())


class _Shared:
    """One question at a time, for all who wait for it. ``call`` asks for all these sets of labels."""

    def __init__(self, call: Callable[[Sequence[Labels]], Awaitable[_Answer]]) -> None:
        self._call = call
        self._wanted: list[Labels] = []
        self._flight = SingleFlight(self._answered)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody waits."""
        return self._flight.is_wanted

    async def ask(self, either: Sequence[Labels]) -> _Answer:
        """What a question brings that begins after this moment and asks for these sets too. Raises what it raised."""
        self._wanted += either
        return await self._flight()

    async def _answered(self) -> _Answer:
        asked, self._wanted = self._wanted, []
        try:
            return await self._call(_once(asked))
        except VerdictdError:
            raise
        except BaseException:
            self._wanted = asked + self._wanted  # whoever asked is gone; the next one asks for those who wait still
            raise


def _once(sets: Iterable[Labels]) -> list[Labels]:
    return [dict(one) for one in dict.fromkeys(tuple(sorted(labels.items())) for labels in sets)]


def _name(item: Json) -> tuple[str, str]:
    metadata = metadata_of(item)
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))
