"""One canary that is watched in the cluster, announced by a hook, an event and a submission, and asked about at a gate, in every
order: one release, one verdict, and each is answered with it."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import aiohttp
import pytest

from config.settings import Gates, Hook, Http
from daemon import names
from daemon.cli.apiclient import ApiClient
from daemon.engine.engine import Engine
from daemon.events.announcing import read_release
from daemon.http.capacity import Capacity
from daemon.http.server import HttpServer, create_app
from daemon.model import ArmSpec, Release, Verdict
from daemon.ports.events import IncomingEvent
from tests.engine.test_joined import watching
from tests.hand.api import Engine as Desk
from tests.hand.api import ports_of
from tests.hand.ports import HandEvents, Scene, SentByHand, running, until

ARMS = {"baseline": {"subset": "v1"}, "canary": {"subset": "v2"}}


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What a hook keeps comes to the engine as from a stream."""

    events: HandEvents

    async def keep(self, event: IncomingEvent) -> bool:
        announced = read_release(event.headers, event.body)
        release_id = names.new_release_id(announced.release.service, origin=announced.origin)
        self.events.queue.put_nowait(SentByHand(release_id, announced.release, sender=f"event {announced.source}"))
        return True


@dataclass(frozen=True, kw_only=True)
class World:
    """An engine behind its API, whose senders give the id by which each knows the release of a service."""

    scene: Scene
    watch: HandEvents
    engine: Engine
    client: aiohttp.ClientSession
    url: str

    async def watched(self, service: str) -> str:
        """By whoever watches the cluster, who knows more of the arms."""
        arms = (ArmSpec(subset="v1", workload="web-v1"), ArmSpec(subset="v2", workload="web-v2"))
        release = Release(service=service, baseline=arms[0], canary=arms[1], artifact="example.com/web:v2")
        return await self._announced(self.watch, SentByHand(f"{service}-watched", release, sender="watch route"))

    async def event(self, service: str) -> str:
        release = Release(service=service, baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2", version="2"))
        return await self._announced(self.scene.events, SentByHand(f"{service}-event", release, sender="event /ci"))

    async def hook(self, service: str) -> str:
        body = {"attempt": "7", "artifact": "pkg:docker/web@v2", "verdictd": {"service": service, **ARMS}}
        release_id: str = (await self._post("/hooks/ci", body))["release"]
        return release_id

    async def gate(self, service: str) -> str:
        told = await self._post("/gates/http", {"attempt": "8", "verdictd": {"service": service, **ARMS}})
        assert told["verdict"] == "pending"
        return str(told["release"])

    async def submitted(self, service: str) -> str:
        return str((await self._post("/v1/releases", {"service": service, "policy": "strict", **ARMS}))["id"])

    async def verdict(self, release_id: str) -> str:
        async with self.client.get(f"/v1/releases/{release_id}/verdict?wait=30") as response:
            verdict = await response.json()
            assert response.status == 200, verdict
            return f"{verdict['release_id']}: {verdict['reason']}"

    async def _announced(self, events: HandEvents, announcement: SentByHand) -> str:
        events.queue.put_nowait(announcement)
        await until(lambda: announcement.answer)
        assert announcement.answer == "accepted"
        return str(announcement.release_id)

    async def _post(self, path: str, body: object) -> dict[str, str]:
        async with self.client.post(path, data=json.dumps(body), headers={"Content-Type": "application/json"}) as response:
            answer: dict[str, str] = await response.json()
            assert response.status in {200, 202}, answer
            return answer


@asynccontextmanager
async def world(gates: Gates | None = None) -> AsyncIterator[World]:
    """An engine in which nothing is decided until somebody does, behind its API."""
    scene, watch, http = watching(), HandEvents(), Http(listen="127.0.0.1:0")
    scene.policies["strict"] = scene.policies["default"]
    scene.more_events["watch"] = watch
    async with running(scene) as engine:
        ports = ports_of(Desk(), http, hooks={"ci": Hook(sender="template")}, gates=gates)
        ports = replace(ports, releases=engine, verdicts=engine, feed=engine, event_log=Stream(events=scene.events))
        async with (
            HttpServer(create_app(ports), http=http, capacity=Capacity(connections=500, per_peer=500)) as server,
            aiohttp.ClientSession(url := f"http://127.0.0.1:{server.address.port}") as client,
        ):
            yield World(scene=scene, watch=watch, engine=engine, client=client, url=url)


Sender = Callable[[World, str], Awaitable[str]]
SENDERS: tuple[Sender, ...] = (World.watched, World.event, World.hook, World.gate, World.submitted)
ORDERS = [*itertools.permutations(SENDERS)]


async def test_a_submission_that_joins_is_answered_200_with_the_release_and_its_command_waits_for_that_one_s_verdict() -> None:
    async with world() as here:
        release_id = await here.event("web")
        async with here.client.post("/v1/releases", json={"service": "web", **ARMS}) as response:
            assert (response.status, (await response.json())["id"]) == (200, release_id)
            assert response.headers["Location"] == f"/v1/releases/{release_id}"
        alias = await here.watched("web")
        assert alias != release_id
        api = ApiClient(here.url)
        again = await asyncio.to_thread(
            api.submit, Release(service="web", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2")), key="7"
        )
        assert again.id != release_id, "the next attempt of the same sender"
        async with here.client.post(f"/v1/releases/{alias}/promote") as response:
            assert response.status == 409, "superseded"
        verdict = await asyncio.to_thread(api.verdict, alias, wait_seconds=10.0)
        assert isinstance(verdict, Verdict)
        assert (verdict.release_id, verdict.by) == (release_id, "superseded")


async def announced(here: World, service: str, order: tuple[Sender, ...]) -> list[str]:
    """By each in this order: the ids, as each knows them."""
    known = []
    for number, sender in enumerate(order, start=1):
        known.append(await sender(here, service))
        await until(lambda number=number: _told(here, service) >= number)  # type: ignore[misc]  # a hook's event is on its way
    return known


def _told(here: World, service: str) -> int:
    sessions = here.engine.views()
    return sum(one.release.service == service for one in sessions) + sum(
        key.startswith(f"{service}-") for key in here.scene.aliases.data
    )


@pytest.mark.timeout(120)
async def test_in_every_order_all_who_announce_a_canary_have_one_release_and_its_one_verdict() -> None:
    services = {f"web{number:03}": order for number, order in enumerate(ORDERS)}
    async with world() as here:
        for service, order in services.items():
            known = await announced(here, service, order)
            [release_id] = [one.id for one in here.engine.views() if one.release.service == service]
            view = await here.engine.view(release_id)
            assert (view.release.policy, view.release.artifact is not None) == ("strict", True), order
            async with here.client.post(f"/v1/releases/{known[-1]}/promote", json={"reason": "enough"}) as response:
                assert response.status == 202
            told = {await here.verdict(one) for one in known}
            assert told == {f"{release_id}: promoted by unknown: enough"}, order
        await until(lambda: len(here.scene.records.data) == len(services))
        assert len(here.scene.sink.verdicts) == len(services)
