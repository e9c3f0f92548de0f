"""Releases flow: each service is released again as soon as its last release has ended, over HTTP and over NATS in turn."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle
from random import Random
from typing import TypeVar

import aiohttp
import msgspec

from daemon import names
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import connected
from daemon.errors import VerdictdError
from daemon.events.announced import origin
from daemon.model import Release, Stage
from daemon.releaseview import ReleaseView
from tests.survival.books import Entry, Left
from tests.survival.victims import Daemon, OwnBroker, SharedBroker, urls
from tests.survival.world import PERCENT, Service, answers_still

T = TypeVar("T")

SOURCE = "/survival"
CLUSTER = "survival"
BAD_SHARE = 0.4
PATIENCE_SECONDS = 600.0
"""For a release, from its event to its end."""
_AGAIN_SECONDS = 0.3
_LOOK_SECONDS = 0.5
_AWAY = (aiohttp.ClientError, TimeoutError, OSError, VerdictdError)


async def insist(attempt: Callable[[], Awaitable[T]]) -> T:
    """As a pipeline does while something is away: again, until it is done."""
    while True:
        try:
            async with asyncio.timeout(10.0):
                return await attempt()
        except _AWAY:
            await asyncio.sleep(_AGAIN_SECONDS)


@dataclass(kw_only=True)
class Flow:
    """All releases of a run, by their ids. ``strange``: answers that no sender of a good release may get."""

    daemons: Sequence[Daemon]
    brokers: Sequence[OwnBroker | SharedBroker]
    seed: str
    entries: dict[str, Entry] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Whoever asks is answered by one of several daemons after the other, as a Service of Kubernetes has it."""
        self._turns = cycle(self.daemons)

    async def of(self, service: Service, over: asyncio.Event) -> None:
        """One release after the other, until it is over."""
        dice = Random(f"{self.seed} {service.release.service}")  # noqa: S311 - releases, not secrets
        number = 0
        while not over.is_set():
            number += 1
            bad = dice.random() < BAD_SHARE
            send = self._post if dice.random() < 0.5 else self._publish
            # Without its artifact it would be taken for the one before, announced by somebody else.
            release = msgspec.structs.replace(service.release, artifact=f"{service.release.service}:{number}")
            await insist(partial(service.begin, bad=bad))
            release_id = await insist(partial(send, release, key=f"{release.service}-{number}"))
            entry = self.entries[release_id] = Entry(release_id=release_id, bad=bad, percent=PERCENT)
            if await self._ended(release_id):
                percent = await insist(service.percent)
                answers = await answers_still(service, percent=percent)
                self.entries[release_id] = replace(entry, left=Left(percent=percent, answers=answers))

    async def _post(self, release: Release, *, key: str) -> str:
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{next(self._turns).url}/v1/releases", data=msgspec.json.encode(release), headers=headers) as answer,
        ):
            body = await answer.read()
            if answer.status >= 500:
                raise TimeoutError(answer.status)  # away, for now
            if answer.status >= 400:
                self.strange.append(f"{key}: {answer.status} {body!r}")
                raise TimeoutError(answer.status)
            return str(json.loads(body)["id"])

    async def _publish(self, release: Release, *, key: str) -> str:
        """Accepted is what the broker has acknowledged; sent again it is the same event."""
        event = {"specversion": "1.0", "id": key, "source": SOURCE, "type": "io.verdictd.release.v1", "data": release}
        servers = urls(self.brokers)
        if not servers:
            raise TimeoutError("no broker")
        subject = f"verdictd.release.{CLUSTER}.{release.namespace}.{release.service}"
        async with connected(BrokerAddress(servers=servers), name="survival", connect_timeout_seconds=5.0) as connection:
            try:
                await connection.jetstream.publish(
                    subject, msgspec.json.encode(event), headers={"Content-Type": "application/cloudevents+json"}
                )
            except Exception as error:  # the library's errors are many, and each means that it is not acknowledged
                raise TimeoutError("not acknowledged") from error
        return names.new_release_id(release.service, origin=origin(SOURCE, key))

    async def _ended(self, release_id: str) -> bool:
        """Whether it ends in time, through all that happens."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await self._stage(release_id) is not Stage.ENDED:
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            return False
        return True

    async def _stage(self, release_id: str) -> Stage | None:
        found = await next(self._turns).get(f"/v1/releases/{release_id}")
        return msgspec.json.decode(found, type=ReleaseView).stage if found is not None else None
