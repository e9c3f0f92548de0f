"""Consul's router on a real agent, and on a small Consul in memory where that is not built or would not fail as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from daemon.aio.tasks import background
from daemon.engine.reverting import RevertOutcome
from daemon.errors import (
    Blocked,
    Conflict,
    Failing,
    Forbidden,
    InvalidInput,
    NotFound,
    Refused,
    TimedOut,
    Unavailable,
    VerdictdError,
)
from daemon.meshes.consul import routes as routes_of_consul
from daemon.meshes.consul.entries import Entry
from daemon.meshes.consul.mesh import ConsulMesh
from daemon.meshes.consul.router import ConsulRouter
from daemon.meshes.consul.routes import Arms, Rewrite
from daemon.meshes.references import Json
from daemon.model import Action, ArmSpec, Release
from daemon.placement import ObjectName, Undo
from tests.hand.procedures import reverting
from tests.hand.servers import says, silence
from tests.meshes import consuls
from tests.meshes.consul_entries import pascal, resolver, router, split, splitter
from tests.meshes.consuls import Consul, Memory
from tests.servers.run import until

RELEASE = Release(service="web", baseline=ArmSpec(subset="v1"), canary=ArmSpec(subset="v2"))
SERVICES = Release(service="web", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2"))
RESOLVER = resolver(default_subset="v1", connect_timeout="7s")
SPLITTER = splitter(
    split(90, subset="v1"), split(10, subset="v2", response_headers={"set": {"x-version": "v2"}}), meta={"by": "us"}
)
ROUTER = router({"service": "web", "service_subset": "v2", "num_retries": 3}, {"service": "other"})

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agents(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Callable[[], Any]]:
    """The real one, started once and only where a test asks for it."""
    async with contextlib.AsyncExitStack() as stack:
        started: list[Consul] = []

        async def start() -> Consul:
            if not started:
                started.append(await stack.enter_async_context(consuls.real(tmp_path_factory.mktemp("consul"))))
                await until(lambda: _answers(started[0]), 60.0)
            return started[0]

        yield start


async def _are_behind(consul: Consul, service: str, names: set[str]) -> bool:
    """Whether these instances and no others are in the catalog, which an agent tells a moment after it has been told."""
    found = await consul.ask("GET", f"health/connect/{service}")
    return {one["Service"]["ID"].removesuffix("-sidecar-proxy") for one in found} == names


async def _answers(consul: Consul) -> bool:
    with contextlib.suppress(AssertionError):
        return bool(await consul.ask("GET", "config/proxy-defaults"))
    return False


@pytest_asyncio.fixture(params=["memory", pytest.param("agent", marks=pytest.mark.mesh)], loop_scope="module")
async def consul(request: pytest.FixtureRequest, agents: Callable[[], Any]) -> AsyncIterator[Consul]:
    """With both versions and the usual entries."""
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "agent":
            made: Consul = await agents()
            await made.clear()
        else:
            made = await stack.enter_async_context(consuls.small(Memory()))
        await made.register("web-1", version="v1")
        await made.register("web-2", version="v2")
        await until(lambda: _are_behind(made, "web", {"web-1", "web-2"}), 60.0)
        await made.put(RESOLVER, SPLITTER, ROUTER)
        yield made


@contextlib.asynccontextmanager
async def router_of(
    consul: Consul, folder: Path, token: str | None = consuls.MANAGEMENT, **more: Any
) -> AsyncIterator[ConsulRouter]:
    file = folder / "token"
    if token is not None:
        file.write_text(token)
    settings = ConsulMesh(telemetry="", address=consul.url, token_file=None if token is None else str(file), **more)
    made = ConsulRouter(settings, setting="meshes.m")
    try:
        yield made
    finally:
        await made.close()


async def reverted(routes: ConsulRouter, release: Release = RELEASE) -> RevertOutcome:
    """By the daemon's own procedure, from looking to seeing the traffic leave."""
    located = (await routes.locate(release)).located
    return await reverting(confirm_seconds=0.5, revert_attempts=2).run(routes, release, located=located)


async def test_the_canary_is_located_with_who_would_serve(consul: Consul, tmp_path: Path) -> None:
    async with router_of(consul, tmp_path) as routes:
        placement = await routes.locate(RELEASE)
    assert [str(one) for one in placement.routes] == [
        "web route #0: 100 % of the traffic",
        "web split #1 of 2: 10 % of the traffic",
    ]
    assert placement.canary_percent == 10.0
    assert placement.baseline == "1 ready instances (the canary has 1)"
    assert (placement.elsewhere, placement.unread) == ((), ())


async def test_each_entry_is_taken_back_and_every_other_field_stays(consul: Consul, tmp_path: Path) -> None:
    await consul.put(resolver("old", subsets=(), redirect={"service": "web", "service_subset": "v2"}))
    before = {name: await consul.get(*name) for name in (("service-splitter", "web"), ("service-router", "web"))}
    async with router_of(consul, tmp_path) as routes:
        outcome = await reverted(routes)
        assert outcome.action is Action.REVERT, outcome.reason
        assert await routes.canary_gets_traffic(RELEASE) is None
        again = await routes.revert(RELEASE)
        assert (again.changed, again.nothing) == (False, "no config entry gives the canary anything")
    shifted, pointed = before[("service-splitter", "web")], before[("service-router", "web")]
    shifted["Splits"][0]["Weight"], shifted["Splits"][1]["Weight"] = 100, 0
    pointed["Routes"][0]["Destination"]["ServiceSubset"] = "v1"
    assert await consul.get("service-splitter", "web") == shifted
    assert await consul.get("service-router", "web") == pointed
    assert (await consul.get("service-resolver", "old"))["Redirect"] == {"Service": "web", "ServiceSubset": "v1"}
    assert (await consul.get("service-resolver", "web"))["ConnectTimeout"] == "7s"


async def test_a_canary_two_splitters_away_is_taken_back_where_it_is_named(consul: Consul, tmp_path: Path) -> None:
    await consul.put(splitter(split(20, service="web-v2"), split(80, service="web-v1"), name="inner"))
    await consul.put(splitter(split(50, service="inner"), split(50, service="web-v1"), name="outer"))
    for name in ("web-v1", "web-v2"):
        await consul.register(name, service=name, version="1")
    async with router_of(consul, tmp_path) as routes:
        placement = await routes.locate(SERVICES)
        assert await routes.weight(SERVICES, located=placement.located) is None, "a fifth of a half"
        assert (await reverted(routes, SERVICES)).action is Action.REVERT
    assert await consul.weights("inner") == {"web-v2": 0, "web-v1": 100}
    assert await consul.weights("outer") == {"inner": 50, "web-v1": 50}


async def test_an_entry_that_somebody_else_writes_meanwhile_is_read_and_planned_anew(
    consul: Consul, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with router_of(consul, tmp_path) as routes:
        write = routes._api.write
        stale: list[Conflict] = []

        async def written(body: Json, *, index: int) -> None:
            if body["Kind"] == "service-splitter" and not stale:
                await consul.put(splitter(split(60, subset="v1"), split(40, subset="v2"), meta={"by": "another"}))
            try:
                await write(body, index=index)
            except Conflict as error:
                stale.append(error)
                raise

        monkeypatch.setattr(routes._api, "write", written)
        receipt = await routes.revert(RELEASE)
    assert [str(one) for one in stale] == ["service-splitter web has been written by somebody else meanwhile"]
    assert sorted(map(str, receipt.parts)) == [
        "web route #0: destination web/v2 -> web/v1",
        "web split #1 of 2: weight 40 of web/v2 -> web/v1",
    ]
    assert (await consul.get("service-splitter", "web"))["Meta"] == {"by": "another"}
    assert await consul.weights() == {"v1": 100, "v2": 0}


async def test_a_writer_of_twenty_times_a_second_holds_up_no_revert(consul: Consul, tmp_path: Path) -> None:
    async def meddle() -> None:
        for number in range(10_000):
            await consul.put({**SPLITTER, "meta": {"number": str(number)}})
            await asyncio.sleep(0.05)

    async def gets_through() -> bool:
        """As the daemon does, which tries a conflict again; nothing else may come of it."""
        with contextlib.suppress(Conflict):
            receipt = await routes.revert(RELEASE)
            assert all(isinstance(one.failure, Conflict) for one in receipt.failed)
            return not receipt.failed
        return False

    async with router_of(consul, tmp_path) as routes, background(meddle()):
        for _ in range(20):
            await until(gets_through, 60.0)
            await asyncio.sleep(0.03)
    assert (await consul.get("service-router", "web"))["Routes"][0]["Destination"]["ServiceSubset"] == "v1"


async def test_an_entry_of_consul_k8s_is_refused_with_the_way_to_go_and_holds_up_no_other(consul: Consul, tmp_path: Path) -> None:
    await consul.put({**SPLITTER, "meta": {"external-source": "kubernetes"}})
    async with router_of(consul, tmp_path) as routes:
        outcome = await reverted(routes)
        assert outcome.action is Action.FAILED
        assert "written by consul-k8s, which would undo what we write" in outcome.reason
        assert "a mesh of the kind consul-kubernetes" in outcome.reason
        assert (await consul.get("service-router", "web"))["Routes"][0]["Destination"]["ServiceSubset"] == "v1"
        assert await consul.weights() == {"v1": 90, "v2": 10}
        with pytest.raises(InvalidInput) as caught:
            await routes.locate(RELEASE)
    assert (caught.value.path, "consul-kubernetes" in caught.value.fix) == ("$.mesh", True)


@pytest.mark.parametrize(
    ("release", "error", "words"),
    [
        (Release(service="web", canary=ArmSpec(subset="v2x"), baseline=ArmSpec(subset="v1")), NotFound, "did you mean web/v2?"),
        (
            Release(service="web", canary=ArmSpec(subset="v2"), baseline=ArmSpec(subset="v9")),
            NotFound,
            "no subset v9 (it has v1, v2)",
        ),
        (Release(service="web", canary=ArmSpec(version="v2"), baseline=ArmSpec()), InvalidInput, "neither service nor subset"),
        (Release(service="web", canary=ArmSpec(subset="v2"), baseline=ArmSpec(), route="wep"), NotFound, "did you mean web?"),
    ],
)
async def test_what_is_not_there_is_said_with_what_is(
    consul: Consul, tmp_path: Path, release: Release, error: type[VerdictdError], words: str
) -> None:
    async with router_of(consul, tmp_path) as routes:
        with pytest.raises(error) as caught:
            await routes.locate(release)
    assert words in str(caught.value)


async def test_nobody_behind_the_baseline_blocks_a_revert_and_a_warning_does_not(consul: Consul, tmp_path: Path) -> None:
    async with router_of(consul, tmp_path) as routes:
        located = (await routes.locate(RELEASE)).located
        await consul.says("web-1", "warning")
        assert await routes.check_baseline(RELEASE, located=located) == "1 ready instances (the canary has 1)"
        await consul.says("web-1", "critical")
        with pytest.raises(Blocked, match="none of the 1 behind it takes requests"):
            await routes.check_baseline(RELEASE, located=located)
        await consul.put(resolver(default_subset="v1", failover={"v1": {"service": "other"}}))
        assert "web has a failover" in await routes.check_baseline(RELEASE, located=located)
        await consul.ask("PUT", "agent/service/deregister/web-1")
        await consul.put(RESOLVER)
        assert (await reverted(routes)).action is Action.BLOCKED
    assert await consul.weights() == {"v1": 90, "v2": 10}


async def test_a_baseline_that_has_come_to_mean_the_canarys_instances_blocks_a_revert(consul: Consul, tmp_path: Path) -> None:
    async with router_of(consul, tmp_path) as routes:
        located = (await routes.locate(RELEASE)).located
        await consul.put(resolver(subsets={"v1": "v2", "v2": "v3"}))
        with pytest.raises(Blocked, match="has come to mean the canary's instances"):
            await routes.check_baseline(RELEASE, located=located)
        await consul.put(resolver(subsets={"v1": "v2", "v2": "v2"}))
        with pytest.raises(Blocked, match="are the same instances"):
            await routes.check_baseline(RELEASE, located=located)
        with pytest.raises(InvalidInput, match="are the same instances"):
            await routes.locate(RELEASE)
        whole = Release(service="web", baseline=ArmSpec(), canary=ArmSpec(subset="v2"))
        with pytest.raises(Blocked, match="nothing that the traffic could go back to"):
            await routes.check_baseline(whole)


async def test_what_may_still_reach_the_canary_is_named(consul: Consul, tmp_path: Path) -> None:
    await consul.put(resolver(failover={"v1": {"service_subset": "v2"}}))
    async with router_of(consul, tmp_path) as routes:
        placement = await routes.locate(RELEASE)
        receipt = await routes.revert(RELEASE)
    assert placement.elsewhere == receipt.elsewhere == ("service-resolver web: failover of subset v1 to web/v2",)


async def test_a_subset_that_chooses_the_canarys_instances_among_others_is_named_where_it_is_sent_to(
    consul: Consul, tmp_path: Path
) -> None:
    blue = {"filter": ""}
    everything = resolver(default_subset="v1")
    everything["subsets"] |= {"blue": blue, "unused": blue}
    await consul.put(everything, splitter(split(80, subset="v1"), split(10, subset="v2"), split(10, subset="blue")))
    async with router_of(consul, tmp_path) as routes:
        placement = await routes.locate(RELEASE)
        assert placement.elsewhere == ("web/blue, which chooses 1 of the canary's instances among others",)
        wide = Release(service="web", baseline=ArmSpec(subset="blue"), canary=ArmSpec(subset="v2"))
        shared = "; 1 of its 2 instances are the canary's too, which get their part of what goes back"
        assert (await routes.locate(wide)).baseline == f"2 ready instances (the canary has 1){shared}"


async def test_the_baseline_may_be_whatever_the_default_subset_says(consul: Consul, tmp_path: Path) -> None:
    whole = Release(service="web", baseline=ArmSpec(), canary=ArmSpec(subset="v2"))
    async with router_of(consul, tmp_path) as routes:
        await routes.revert(whole)
    assert await consul.weights() == {"v1": 100, "v2": 0}


async def test_what_would_be_written_is_shown_and_what_was_written_is_put_back_while_nobody_has_changed_it(
    consul: Consul, tmp_path: Path
) -> None:
    async with router_of(consul, tmp_path) as routes:
        before = await consul.get("service-splitter", "web"), await consul.get("service-router", "web")
        planned = await routes.plan(RELEASE)
        assert [(str(one), one.failure) for one in planned] == [("service-router web", None), ("service-splitter web", None)]
        assert [(one.path, one.before, one.after) for one in planned[1].values] == [
            ("/Splits/0/Weight", "90", "100"),
            ("/Splits/1/Weight", "10", "0"),
        ]
        assert await consul.weights() == {"v1": 90, "v2": 10}
        undos = [one.undo for one in (await routes.revert(RELEASE)).parts if one.undo is not None]
        assert await routes.plan(RELEASE) == ()
        assert [one.values[0].before for one in await routes.plan_restore(undos)] == ['"v1"', "100"]
        assert [one.failure for one in await routes.restore(undos)] == [None, None]
        assert (await consul.get("service-splitter", "web"), await consul.get("service-router", "web")) == before
        undos = [one.undo for one in (await routes.revert(RELEASE)).parts if one.undo is not None]
        await consul.put(splitter(split(70, subset="v1"), split(30, subset="v2")))
        await consul.ask("DELETE", "config/service-router/web")
        said = [str(one.failure) for one in await routes.restore(undos)]
        assert said == [str(one.failure) for one in await routes.plan_restore(undos)]
        assert "web is not there any more" in said[0]
        assert "/Splits/0/Weight is 70, and was left at 100" in said[1]
        [refused] = await routes.plan_restore([Undo(object=ObjectName(kind="VirtualService", name="web"), values=())])
        assert "which is no config entry that routes" in str(refused.failure)
        examined = await routes.examine()
    assert examined == "config entries that can be read: 0 service-router, 1 service-splitter, 1 service-resolver"


# Faults, which are the small one's alone.


@pytest_asyncio.fixture(loop_scope="module")
async def memory() -> Memory:
    made = Memory(services={})
    for number, entry in enumerate((RESOLVER, SPLITTER, ROUTER)):
        made.entries[entry["kind"], entry["name"]] = {**pascal(entry), "ModifyIndex": number}
    return made


async def test_a_kind_that_cannot_be_read_holds_up_no_other_and_is_told(memory: Memory, tmp_path: Path) -> None:
    async with consuls.small(memory) as consul, router_of(consul, tmp_path) as routes:
        memory.faults["GET /v1/config/service-router"] = [says("No cluster leader", status=500)]
        receipt = await routes.revert(RELEASE)
        assert await consul.weights() == {"v1": 100, "v2": 0}
        [failed] = receipt.failed
        assert (failed.object.kind, type(failed.failure)) == ("service-router", Failing)
        memory.faults["GET /v1/config/service-router"] = [says("No cluster leader", status=500)] * 2
        with pytest.raises(Unavailable, match="No cluster leader"):
            await routes.canary_gets_traffic(RELEASE)
        with pytest.raises(Unavailable, match="No cluster leader"):
            await routes.locate(RELEASE)
        for looking in (routes.examine(), routes.plan(RELEASE)):
            memory.faults["GET /v1/config/service-router"] = [says("No cluster leader", status=500)]
            with pytest.raises(Unavailable, match="No cluster leader"):
                await looking
        assert await routes.canary_gets_traffic(RELEASE) == "web route #0: 100 % of the traffic"
        for kind in consuls.KINDS:
            memory.faults[f"GET /v1/config/{kind}"] = [says("ACL not found", status=403)]
        with pytest.raises(Forbidden, match=r"ACL not found; it was shown the token in .*token"):
            await routes.revert(RELEASE)
        for kind, answer in zip(consuls.KINDS, (says("ACL not found", status=403), *[says("EOF", status=500)] * 2), strict=True):
            memory.faults[f"GET /v1/config/{kind}"] = [answer]
        with pytest.raises(Failing, match="EOF"):  # what is worth another try is told before what is not
            await routes.revert(RELEASE)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (says("the sum of all split weights must be 100, not 70", status=500), Refused),
        (says("detected circular reference: [splitter:web -> splitter:web]", status=500), Refused),
        (says("rpc error making call: EOF", status=500), Failing),
        (says("Permission denied: lacks permission 'service:write'", status=403), Forbidden),
        (says("nonsense"), Unavailable),
    ],
)
async def test_an_entry_that_cannot_be_written_holds_up_no_other(
    memory: Memory, tmp_path: Path, answer: Any, error: type[VerdictdError]
) -> None:
    del memory.entries["service-router", "web"]
    memory.entries["service-splitter", "edge"] = {**pascal(splitter(split(100, "web", "v2"), name="edge")), "ModifyIndex": 5}
    memory.faults["PUT /v1/config"] = [answer]
    async with consuls.small(memory) as consul, router_of(consul, tmp_path) as routes:
        receipt = await routes.revert(RELEASE)
        assert [type(one.failure) for one in receipt.failed] == [error]
        assert len(receipt.parts) == 2
        memory.faults["PUT /v1/config"] = [answer]
        with pytest.raises(error):
            await routes.revert(RELEASE)
        assert (await routes.revert(RELEASE)).changed


async def test_an_entry_that_is_written_all_the_time_is_given_up_and_one_that_is_gone_is_none(
    memory: Memory, tmp_path: Path
) -> None:
    del memory.entries["service-router", "web"]
    async with consuls.small(memory) as consul, router_of(consul, tmp_path) as routes:
        memory.faults["PUT /v1/config"] = [says("false")] * 9
        with pytest.raises(Conflict):
            await routes.revert(RELEASE)
        assert memory.faults["PUT /v1/config"] == []
        memory.faults["PUT /v1/config"] = [says("false")]
        memory.faults["GET /v1/config/service-splitter/web"] = [says("Config entry not found", status=404)]
        assert not (await routes.revert(RELEASE)).parts
        memory.faults["PUT /v1/config"] = [says("false")]
        memory.faults["GET /v1/config/service-splitter/web"] = [says("no leader", status=500)]
        with pytest.raises(Unavailable):
            await routes.revert(RELEASE)


async def test_an_entry_that_is_written_all_the_time_is_not_put_back_either(memory: Memory, tmp_path: Path) -> None:
    async with consuls.small(memory) as consul, router_of(consul, tmp_path) as routes:
        undos = [one.undo for one in (await routes.revert(RELEASE)).parts if one.undo is not None]
        memory.faults["PUT /v1/config"] = [says("false")] * 8
        assert [type(one.failure) for one in await routes.restore(undos)] == [Conflict, Conflict]
        assert [one.failure for one in await routes.restore(undos)] == [None, None]


async def test_a_defect_of_the_planner_is_its_entrys_failure(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = routes_of_consul.revert

    def broken(entry: Entry, *, arms: Arms) -> Rewrite:
        if entry.kind == "service-router":
            raise TypeError(entry.name)
        return planned(entry, arms=arms)

    monkeypatch.setattr(routes_of_consul, "revert", broken)
    async with consuls.small(memory) as consul, router_of(consul, tmp_path) as routes:
        receipt = await routes.revert(RELEASE)
        assert [str(one.failure) for one in receipt.failed] == ["what to write could not be planned, through a defect (TypeError)"]
        assert await consul.weights() == {"v1": 100, "v2": 0}


async def test_an_entry_of_another_form_is_named_and_holds_up_no_other(memory: Memory, tmp_path: Path) -> None:
    memory.entries["service-resolver", "web"] |= {"Subsets": 7, "DefaultSubset": "v2"}
    async with consuls.small(memory) as consul, router_of(consul, tmp_path) as routes:
        receipt = await routes.revert(RELEASE)
        said = "service-resolver web, which is not of its kind's form: Expected `object | null`, got `int` - at `$.Subsets`"
        assert (receipt.unread, receipt.failed) == ((said,), ())
        assert await consul.weights() == {"v1": 100, "v2": 0}


@pytest.mark.parametrize("odd", [{}, {"Node": {"Node": "n"}, "Service": {"ID": "a"}}, {"Node": {}, "Service": {}, "Checks": []}])
async def test_an_answer_without_names_or_checks_is_nobodys_readiness(memory: Memory, tmp_path: Path, odd: Json) -> None:
    async with consuls.small(memory) as consul, router_of(consul, tmp_path) as routes:
        memory.faults["GET /v1/health/connect/web"] = [says(json.dumps([odd]))] * 2
        said = await routes.check_baseline(RELEASE)
        assert said.startswith("how many instances the baseline has is not known: there may be some, which could not be asked for")


async def test_what_is_hidden_from_us_is_neither_good_news_nor_a_reason_to_block(memory: Memory, tmp_path: Path) -> None:
    async with consuls.small(memory) as consul, router_of(consul, tmp_path) as routes:
        memory.headers["X-Consul-Results-Filtered-By-ACLs"] = "true"
        placement = await routes.locate(RELEASE)
        assert placement.unread == tuple(f"of {kind} entries, what our token may not read" for kind in consuls.KINDS)
        unknown = "how many instances the baseline has is not known: there may be what our token may not read"
        assert placement.baseline == await routes.check_baseline(RELEASE, located=placement.located) == unknown
        del memory.entries["service-resolver", "web"]
        assert (await routes.check_baseline(RELEASE, located=placement.located)).startswith("how many instances")
        memory.entries.clear()
        with pytest.raises(NotFound, match="not read: of service-router entries, what our token may not read"):
            await routes.locate(RELEASE)
    memory.headers = {"X-Consul-Default-ACL-Policy": "deny"}
    async with consuls.small(memory) as consul, router_of(consul, tmp_path, None) as routes:
        with pytest.raises(NotFound, match="may not be read without a token, which token_file would name"):
            await routes.locate(RELEASE)


async def test_instances_that_cannot_be_asked_for_are_not_known_and_block_nothing(memory: Memory, tmp_path: Path) -> None:
    async with consuls.small(memory) as consul, router_of(consul, tmp_path) as routes:
        memory.faults["GET /v1/health/connect/web"] = [says("No cluster leader", status=500)] * 4
        placement = await routes.locate(RELEASE)
        assert "not known: there may be some, which could not be asked for" in placement.baseline
        assert "No cluster leader" in await routes.check_baseline(RELEASE, located=placement.located)


async def test_namespace_partition_and_datacenter_go_out_with_each_question(memory: Memory, tmp_path: Path) -> None:
    more = {"namespace": "shop", "partition": "eu", "datacenter": "dc2"}
    memory.services["web-1"] = {"Name": "web", "Meta": {"version": "v1"}, "Connect": {"SidecarService": {"Checks": []}}}
    for entry in memory.entries.values():
        entry |= {"Namespace": "shop", "Partition": "eu"}
    async with consuls.small(memory) as consul, router_of(consul, tmp_path, **more) as routes:
        placement = await routes.locate(RELEASE)
        assert placement.unread == ("config entries of others than namespace shop and partition eu",)
        assert str(placement.routes[0]) == "shop/web route #0: 100 % of the traffic"
        assert not (await routes.revert(RELEASE)).failed
        assert all("dc=dc2&ns=shop&partition=eu" in one for one in memory.requests)


async def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_the_settings_say(memory: Memory, tmp_path: Path) -> None:
    for kind in consuls.KINDS:
        memory.faults[f"GET /v1/config/{kind}"] = [silence()]
    async with consuls.small(memory) as consul, router_of(consul, tmp_path, request_timeout_seconds=0.2) as routes:
        with pytest.raises(TimedOut):
            await routes.revert(RELEASE)


async def test_a_failing_watch_goes_on_and_its_weights_are_known_meanwhile(memory: Memory, tmp_path: Path) -> None:
    heard = asyncio.Event()
    async with consuls.small(memory) as consul, router_of(consul, tmp_path) as routes:
        with pytest.raises(NotFound, match="have not been located"):
            await routes.weight(RELEASE)
        located = (await routes.locate(RELEASE)).located
        memory.faults["GET /v1/config/service-splitter"] = [says("no leader", status=500)]
        async with background(routes.follow(heard.set)):
            async with asyncio.timeout(60):
                await heard.wait()
            assert await routes.weight(RELEASE, located=located) == 10.0
        memory.faults["GET /v1/config/service-router"] = [says("no leader", status=500)]
        with pytest.raises(Unavailable):
            await routes.weight(RELEASE, located=located)


# A real agent alone.


@pytest.mark.mesh
async def test_a_changed_weight_is_heard_of_by_a_question_that_waits(agents: Callable[[], Any], tmp_path: Path) -> None:
    consul: Consul = await agents()
    await consul.clear()
    await consul.register("web-1", version="v1")
    await consul.register("web-2", version="v2")
    await consul.put(RESOLVER, SPLITTER)
    heard = asyncio.Event()
    async with router_of(consul, tmp_path) as routes:
        located = (await routes.locate(RELEASE)).located
        async with background(routes.follow(heard.set)):
            await asyncio.wait_for(heard.wait(), 60.0)
            await consul.put(splitter(split(50, subset="v1"), split(50, subset="v2")))

            async def is_heard() -> bool:
                """What it was told before may come once more: that a weight is known is what a later word must say."""
                heard.clear()
                await heard.wait()
                return await routes.weight(RELEASE, located=located) == 50.0

            await until(is_heard, 60.0)


@pytest.mark.mesh
async def test_the_right_to_write_the_service_is_enough_and_without_it_nothing_is_taken_for_done(
    agents: Callable[[], Any], tmp_path: Path
) -> None:
    consul: Consul = await agents()
    await consul.clear()
    await consul.register("web-1", version="v1")
    await consul.register("web-2", version="v2")
    await consul.put(RESOLVER, SPLITTER, splitter(split(100, service="web", subset="v2"), name="hidden"))

    async def token(rules: str) -> str:
        policy = await consul.ask("PUT", "acl/policy", {"Name": f"p{abs(hash(rules))}", "Rules": rules})
        made: Json = await consul.ask("PUT", "acl/token", {"Policies": [{"ID": policy["ID"]}]})
        return str(made["SecretID"])

    async with router_of(
        consul, tmp_path, await token('service "web" { policy = "read" } node_prefix "" { policy = "read" }')
    ) as routes:
        placement = await routes.locate(RELEASE)
        assert placement.unread == ("of service-splitter entries, what our token may not read",)
        with pytest.raises(Forbidden, match=r"lacks permission 'service:write' on \\?\"web"):
            await routes.revert(RELEASE)
    least = 'service "web" { policy = "write" } service "web-sidecar-proxy" { policy = "read" } node_prefix "" { policy = "read" }'
    async with router_of(consul, tmp_path, await token(least)) as routes:
        placement = await routes.locate(RELEASE)
        assert placement.baseline == "1 ready instances (the canary has 1)"
        assert (await reverted(routes)).action is Action.REVERT
    async with router_of(consul, tmp_path, "00000000-dead-beef-0000-000000000000") as routes:
        with pytest.raises(Forbidden, match="ACL not found"):
            await routes.locate(RELEASE)
    async with router_of(consul, tmp_path, None) as routes:
        with pytest.raises(NotFound, match="may not be read without a token"):
            await routes.locate(RELEASE)
    assert await consul.weights() == {"v1": 100, "v2": 0}


@pytest.mark.mesh
async def test_what_consul_finds_circular_is_refused_and_holds_up_no_other(agents: Callable[[], Any], tmp_path: Path) -> None:
    consul: Consul = await agents()
    await consul.clear()
    for name in ("web-v1", "web-v2"):
        await consul.register(name, service=name, version="1")
    await consul.put(
        splitter(split(100, service="web-v2"), name="edge"), splitter(split(10, service="web-v2"), split(90), name="web")
    )
    await consul.put(splitter(split(50, service="edge"), split(50), name="web-v1"))
    async with router_of(consul, tmp_path) as routes:
        receipt = await routes.revert(SERVICES)
    [failed] = receipt.failed
    assert (failed.object.name, type(failed.failure)) == ("edge", Refused)
    assert await consul.weights() == {"web-v2": 0, "web": 90, "web-v1": 10}
