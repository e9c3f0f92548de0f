"""The pods of the namespaces in which releases are watched, kept by one list and watch for each namespace.

A namespace is watched from the first question about it, and no longer when nobody has asked for a while. What the API server does
not say any more is believed for a time: its outage is no reason to lose sight of pods that go on serving.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from daemon.aio.clock import Clock
from daemon.aio.tasks import cancel_all
from daemon.errors import Unavailable, VerdictdError
from daemon.kube.answers import Expired
from daemon.kube.client import KubeClient
from daemon.kube.informer import Informer
from daemon.kube.listwatch import ApiSource
from daemon.kube.resources import PODS
from daemon.pods.watchedpod import WatchedPod, watched_pod
from daemon.standing import Standing

log = logging.getLogger(__name__)

BELIEVED_SECONDS = 300.0
"""How long pods are taken for what they were while nothing is heard of the API server; a quiet watch is heard of each minute."""
UNASKED_SECONDS = 120.0
MOST_NAMESPACES = 400
"""At the same time: each watch holds a connection, and there are so many for all of them (``daemon.kube.transport.WATCHES``)."""
_FIRST_LISTING_SECONDS = 2.0
_POLL_SECONDS = 0.02

Labels = Mapping[str, str]


class WatchedNamespace:
    """The pods of one namespace. ``asked_at``: when somebody last asked for them."""

    def __init__(self, kube: KubeClient, namespace: str, *, clock: Clock, where: str) -> None:
        self.asked_at = clock.monotonic()
        self._clock = clock
        self._standing = Standing(f"watch of pods in {where}", now=clock.now)
        self._informer = Informer(
            ApiSource(kube=kube, resource=PODS, namespace=namespace),
            kept=watched_pod,
            clock=clock,
            changed=lambda _: self._change(),
            failed=self._failed,
        )
        self._changed = True
        self._named: Mapping[str, WatchedPod] = {}
        self._chosen: dict[frozenset[tuple[str, str]], tuple[WatchedPod, ...]] = {}
        self.task = asyncio.create_task(self._informer.run(), name=f"pods of {where}")
        self.task.add_done_callback(_broken)

    async def known(self) -> None:
        """Wait a moment for the first listing.

        Raises:
            VerdictdError: the pods are not known: says why.
        """
        self.asked_at = self._clock.monotonic()
        give_up_at = self.asked_at + _FIRST_LISTING_SECONDS
        while self._informer.age_seconds is None and self._informer.failure is None and self._clock.monotonic() < give_up_at:
            await self._clock.sleep(_POLL_SECONDS)
        pods = self._informer.objects(within_seconds=BELIEVED_SECONDS)
        if self._changed:
            self._changed, self._named, self._chosen = False, {name: pod for (_, name), pod in pods.items()}, {}
        if self._informer.failure is None:
            self._standing.works()

    def chosen(self, labels: Labels) -> tuple[WatchedPod, ...]:
        """The pods that carry these labels, in the order of their names, as of the last ``known``."""
        key = frozenset(labels.items())
        if key not in self._chosen:
            self._chosen[key] = tuple(pod for _, pod in sorted(self._named.items()) if pod.carries(labels))
        return self._chosen[key]

    def named(self, names: Iterable[str]) -> tuple[WatchedPod, ...]:
        """Those of these pods that there are, as of the last ``known``."""
        return tuple(self._named[name] for name in names if name in self._named)

    def _change(self) -> None:
        self._changed = True

    def _failed(self, error: VerdictdError) -> None:
        # A version that has grown too old is how a watch goes on after a while; the listing that follows is what counts.
        if not isinstance(error, Expired):
            self._standing.fails(str(error))


class PodWatch:
    """The pods of one cluster, an async context manager: what it watches ends with it."""

    def __init__(self, kube: KubeClient, *, clock: Clock, cluster: str = "") -> None:
        self._kube = kube
        self._clock = clock
        self._cluster = cluster
        self._namespaces: dict[str, WatchedNamespace] = {}
        self._room = Standing(f"watches of pods in {cluster}" if cluster else "watches of pods", now=clock.now)

    async def __aenter__(self) -> Self:
        """Nothing is watched before somebody asks."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End every watch."""
        await cancel_all([one.task for one in self._namespaces.values()])
        self._namespaces.clear()

    async def namespace(self, name: str) -> WatchedNamespace:
        """The pods of a namespace, watched from now on.

        Raises:
            VerdictdError: they are not known: says why.
        """
        there = self._namespaces.get(name)
        if there is None or there.task.done():
            if there is None:
                self._need_room(name)
            where = f"{self._cluster}/{name}" if self._cluster else name
            there = self._namespaces[name] = WatchedNamespace(self._kube, name, clock=self._clock, where=where)
        await there.known()
        return there

    async def tidy(self) -> None:
        """End the watches that nobody has asked for in a while."""
        now = self._clock.monotonic()
        unasked = [name for name, one in self._namespaces.items() if now - one.asked_at > UNASKED_SECONDS]
        await cancel_all([self._namespaces.pop(name).task for name in unasked])

    def _need_room(self, name: str) -> None:
        """Raise ``Unavailable`` where as many namespaces are watched as may be; said once, until there is room."""
        if len(self._namespaces) < MOST_NAMESPACES:
            self._room.works()
            return
        error = Unavailable(
            f"the pods of {MOST_NAMESPACES} namespaces are watched already, as many as one replica may: "
            f"those of {name} are not; let more replicas share the work"
        )
        self._room.fails(str(error))
        raise error


def _broken(task: asyncio.Task[None]) -> None:
    """A watch ends by a defect only; the next question begins it anew."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("a watch of pods has ended, through a defect of ours", exc_info=error)
