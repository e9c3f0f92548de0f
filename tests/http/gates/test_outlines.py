"""Gates that are asked with a service and what is new, or a service alone: pending until the cluster shows the arms."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest

from config.settings import Http
from daemon.engine.engine import Engine
from daemon.events.hearing import Hearing
from daemon.http.capacity import Capacity
from daemon.http.server import HttpServer, create_app
from daemon.interventions import Command
from daemon.ports.durable import Store
from daemon.watcher.awaited import AwaitedCanaries
from tests.hand.api import Engine as Desk
from tests.hand.api import ports_of, serving
from tests.hand.clock import PatientClock
from tests.hand.ports import MemoryStore, until
from tests.http.gates.test_examples import blocks
from tests.watcher.test_awaited_engine import engine
from tests.watcher.test_pairs import canary, put, serve
from tests.watcher.test_podsawaited import updating
from tests.watcher.world import NAMESPACE, World, two_versions, virtual_service

NEW = {"service": "web", "namespace": NAMESPACE, "artifact": "reg/web:green"}
ARMS = {"baseline": {"subset": "blue"}, "canary": {"subset": "green"}}
WHATEVER = {"service": "web", "namespace": NAMESPACE}
STAGE = f"/gates/stage?service=web&namespace={NAMESPACE}&attempt=7"
KAYENTA = "/gates/kayenta/canary/default?application=web"
THRESHOLDS = {"pass": 95, "marginal": 75}
SCOPES = {
    "controlScope": {"scope": "attempt=7", "location": NAMESPACE},
    "experimentScope": {"scope": "attempt=7,artifact=reg/web:green", "location": NAMESPACE},
}
HOOK = {"name": "web", "namespace": NAMESPACE, "checksum": "85d557f47b"}
HOOKED = {**HOOK, "metadata": {"verdictd": json.dumps({"baseline": None, "canary": None, "artifact": "reg/web:green"})}}


@dataclass(frozen=True, kw_only=True)
class Gated:
    """Gates before an engine that finds arms in a cluster by hand."""

    world: World
    clock: PatientClock
    engine: Engine
    client: aiohttp.ClientSession

    async def post(self, path: str, document: object) -> tuple[int, Any]:
        """The status and what is told."""
        headers = {"Content-Type": "application/json"}
        async with self.client.post(path, data=json.dumps(document), headers=headers) as response:
            return response.status, await (response.json() if "json" in response.content_type else response.text())

    async def ask(self, said: object = NEW, *, attempt: str = "7") -> Any:
        """At the gate for whoever can send a request."""
        status, told = await self.post("/gates/http", {"attempt": attempt, "verdictd": said})
        assert status == 200, told
        return told

    async def passes(self, seconds: float) -> None:
        await self.world.turns()
        self.clock.passes(seconds)
        await self.world.turns()

    async def steps(self, *, blue: int, green: int) -> None:
        """The route is written, and has been looked at."""
        self.world.cluster.routes.put(virtual_service(blue=blue, green=green))
        await self.world.settled()


@asynccontextmanager
async def gated(
    *, blue: int, green: int, store: Store | None = None, lapsed: Store | None = None, began: PatientClock | None = None
) -> AsyncIterator[Gated]:
    """``store``, ``lapsed``: where what waits is kept, and why it came to nothing; in memory without. ``began``: its clock."""
    clock = began or PatientClock()
    world = World(clock=clock)
    world.awaited = AwaitedCanaries(
        store or world.waiting, lapsed=lapsed or world.lapsed, clock=clock, wait_seconds=world.wait_seconds
    )
    world.cluster.around_objects += two_versions()
    world.cluster.routes.put(virtual_service(blue=blue, green=green))
    async with before(world, clock) as here:
        yield here


@asynccontextmanager
async def before(world: World, clock: PatientClock) -> AsyncIterator[Gated]:
    """Gates before an engine that finds arms in this world."""
    http = Http(listen="127.0.0.1:0")
    async with engine(world) as (at_work, _):
        await world.settled()
        ports = ports_of(Desk(), http, hearing=Hearing(cluster="test", finds_arms=True))
        ports = replace(ports, releases=at_work, verdicts=at_work, feed=at_work)
        async with (
            HttpServer(create_app(ports), http=http, capacity=Capacity(connections=50, per_peer=50)) as server,
            aiohttp.ClientSession(f"http://127.0.0.1:{server.address.port}") as client,
        ):
            yield Gated(world=world, clock=clock, engine=at_work, client=client)


@pytest.mark.parametrize(
    ("path", "document", "status", "pending", "promoted"),
    [
        ("/gates/http", {"attempt": "7", "verdictd": NEW}, 200, '"verdict": "pending"', (200, '"verdict": "promote"')),
        ("/gates/http?answer=status", {"attempt": "7", "verdictd": NEW}, 202, '"verdict": "pending"', (200, "")),
        ("/gates/argo", {"attempt": "7", "verdictd": json.dumps(NEW)}, 200, '"verdict": "pending"', (200, '"promote"')),
        (STAGE, {"artifact": "reg/web:green"}, 200, '"verdict": "pending"', (200, '"verdict": "promote"')),
        (
            "/gates/flagger/confirm-promotion",
            HOOKED,
            403,
            "pending: a canary of web that is reg/web:green",
            (200, "promote"),
        ),
        ("/gates/flagger/rollout", HOOKED, 200, "pending: a canary of web", (200, "promote")),
        (KAYENTA, {"scopes": {"default": SCOPES}, "thresholds": THRESHOLDS}, 200, "canaryExecutionId", (200, "canaryExecutionId")),
    ],
)
async def test_a_question_without_arms_is_pending_in_each_gate_s_words_until_its_canary_is_there_and_has_its_verdict(
    path: str, document: object, status: int, pending: str, promoted: tuple[int, str]
) -> None:
    async with gated(blue=100, green=0) as here:
        for _ in range(2):  # a question again is the same attempt
            answer = await here.post(path, document)
            assert answer[0] == status
            assert pending in json.dumps(answer[1])
        [waiting] = here.world.awaited.all()
        assert (waiting.outline.service, waiting.outline.artifact) == ("web", "reg/web:green")
        assert waiting.sender.startswith("gate ")
        await here.passes(20.0)
        await here.steps(blue=90, green=10)
        await until(lambda: not here.world.awaited.all())
        [view] = here.engine.views()
        assert (view.id, view.release.canary.subset, view.release.artifact) == (waiting.release_id, "green", "reg/web:green")
        await here.engine.command(view.id, Command(command="promote", by="anna"))
        assert await here.engine.wait(view.id, seconds=30.0) is not None
        answer = await here.post(path, document)
        assert answer[0] == promoted[0]
        assert promoted[1] in json.dumps(answer[1])
        if path == KAYENTA:
            async with here.client.get(f"/gates/kayenta/canary/{answer[1]['canaryExecutionId']}") as response:
                assert (await response.json())["result"]["judgeResult"]["score"]["score"] == 100


async def test_nothing_but_a_service_means_the_canary_of_it_that_is_noticed_before_or_after_the_question() -> None:
    async with gated(blue=100, green=0) as here:
        told = await here.ask(WHATEVER)
        assert (told["verdict"], told["reason"].partition(" (")[0]) == ("pending", "a canary of web to take traffic")
        assert told["waits_until"] > told["submitted_at"]
        assert "missing" not in told
        await here.steps(blue=90, green=10)
        await until(lambda: not here.world.awaited.all())
        [view] = here.engine.views()
        assert view.id == told["release"]
        later = await here.ask(WHATEVER, attempt="another gate's")
        await here.passes(20.0)
        await until(lambda: not here.world.awaited.all())
        assert later["release"] != view.id
        await until(here.engine.views)
        assert [one.id for one in here.engine.views() if one.verdict is None] == [(await here.engine.view(later["release"])).id]


async def test_who_asks_after_the_watch_has_noticed_the_canary_is_told_of_that_release() -> None:
    async with gated(blue=100, green=0) as here:
        await here.steps(blue=90, green=10)
        await until(here.engine.views)
        [noticed] = here.engine.views()
        told = await here.ask(WHATEVER)
        await here.passes(20.0)
        await until(lambda: not here.world.awaited.all())
        assert [one.id for one in here.engine.views()] == [noticed.id]
        assert (await here.ask(WHATEVER))["release"] == noticed.id != told["release"]


@pytest.mark.parametrize("asked", [WHATEVER, {"service": "web", "namespace": NAMESPACE, "artifact": "reg/web:2"}])
@pytest.mark.parametrize("of", ["a rolling update", "a second Deployment"])
@pytest.mark.parametrize("first", ["the gate", "the canary"])
async def test_where_no_route_tells_them_apart_a_gate_is_answered_with_what_is_observed_by_its_pods(
    asked: dict[str, str], of: str, first: str
) -> None:
    clock = PatientClock()
    world = World(clock=clock, pairs_by="istio", updates_by="istio")
    serve(world)
    put(world, "web", wanted=3)

    async def begins(here: Gated) -> None:
        if of == "a rolling update":
            updating(world)
        else:
            canary(world)
        await here.passes(1.0)

    async with before(world, clock) as here:
        await here.passes(1.0)
        if first == "the canary":
            await begins(here)
        told = await here.ask(asked)
        assert told["verdict"] == "pending"
        if first == "the gate":
            await begins(here)
        await here.passes(40.0)
        [view] = here.engine.views()
        assert (view.release.strategy, view.release.observe) == ("pods", True)
        assert view.release.canary.workload == ("web" if of == "a rolling update" else "web-canary")
        assert not world.awaited.all()
        await here.engine.command(view.id, Command(command="promote", by="anna"))
        assert await here.engine.wait(view.id, seconds=30.0) is not None
        told = await here.ask(asked)
        assert (told["verdict"], told["release"]) == ("promote", view.id)


async def test_what_cannot_be_told_is_asked_for_by_name_in_the_answer() -> None:
    async with gated(blue=60, green=40) as here:  # since when they stand there nobody has seen
        await here.ask(WHATEVER)
        await here.passes(20.0)
        told = await here.ask(WHATEVER)
        assert (told["verdict"], told["missing"]) == ("pending", ["canary"])
        assert "VirtualService shop/web: " in told["reason"]
        assert "annotate the route with verdictd.io/canary, or announce the release with baseline and canary" in told["reason"]
        view = await here.engine.view(told["release"])
        assert (view.missing, view.lapses_at) == (("canary",), told["waits_until"])


async def test_a_canary_that_never_comes_is_held_with_the_reason_until_somebody_names_both_arms() -> None:
    async with gated(blue=100, green=0) as here:
        began = await here.ask()
        for _ in range(60):
            await here.passes(60.0)
        told = await here.ask()
        assert (told["verdict"], told["release"], "outcome" in told) == ("hold", began["release"], False)
        assert await here.ask() == told, "it is not begun anew by being asked again"
        assert told["reason"].startswith("no canary of web that is reg/web:green took traffic in ")
        assert told["decided_at"] > told["submitted_at"]
        assert (await here.post("/gates/http?answer=status", {"attempt": "7", "verdictd": NEW}))[0] == 409
        assert (await here.ask(NEW | ARMS))["verdict"] == "pending"
        [view] = here.engine.views()
        assert view.id == began["release"]


async def test_why_a_canary_never_came_is_told_after_a_restart_and_by_a_replica_that_has_not_watched() -> None:
    store, lapsed, clock = MemoryStore(), MemoryStore(), PatientClock()
    async with gated(blue=100, green=0, store=store, lapsed=lapsed, began=clock) as here:
        await here.ask()
        for _ in range(60):
            await here.passes(60.0)
        told = await here.ask()
        assert told["verdict"] == "hold"
    async with gated(blue=100, green=0, store=store, lapsed=lapsed, began=clock) as other:
        assert await other.ask() == told
        assert not other.world.awaited.all()


async def test_what_a_person_has_cancelled_is_not_begun_anew_by_a_gate_that_goes_on_asking() -> None:
    async with gated(blue=100, green=0) as here:
        told = await here.ask()
        await here.engine.command(told["release"], Command(command="cancel", by="anna"))
        told = await here.ask()
        assert (told["verdict"], "cancelled by anna" in told["reason"]) == ("hold", True)
        assert not here.world.awaited.all()


async def test_the_question_of_the_page_waits_for_its_canary() -> None:
    [question] = blocks("json")
    async with gated(blue=100, green=0) as here:
        told = await here.ask(json.loads(question)["verdictd"])
        assert (told["verdict"], "registry.example/web:1.5.0" in told["reason"]) == ("pending", True)


async def test_where_nobody_finds_arms_a_gate_says_both_ways_to_mend_it() -> None:
    async with serving() as api:
        status, problem = await api.call("POST", "/gates/http", json={"attempt": "7", "verdictd": NEW})
        assert (status, [one["path"] for one in problem["errors"]]) == (400, ["$.verdictd.baseline", "$.verdictd.canary"])
        assert "add a source of kind kubernetes" in json.dumps(problem)
