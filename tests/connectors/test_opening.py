"""Whatever goes wrong in opening or closing what others plug in is told with whose it is, and ends the daemon by the right code."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.errors import ConfigError, Fault
from config.settings import Settings
from daemon import app
from daemon.aio.clock import SystemClock
from daemon.aio.tasks import background
from daemon.cli import main
from daemon.clusters import KubeClients
from daemon.connectors import Connector, ConnectorContext, ask_api_servers, connections, open_connectors
from daemon.delivery import owners
from daemon.engine.dependencies import Sink
from daemon.errors import Defect, InvalidInput, Unavailable
from daemon.http.capacity import set_aside
from daemon.kube.transport import QUESTIONS, WATCHES
from daemon.meshes.istio.mesh import IstioMesh
from daemon.ports.events import EventSource
from daemon.settings import settings_of
from tests.connectors import made_up_settings
from tests.delivery.made_up import GARDENER
from tests.hand.packages import install, packages
from tests.hand.ports import HandEvents
from tests.meshes.cluster import Cluster
from tests.meshes.made_up import MADE_UP

__all__ = ["packages"]

DEFECTS = [ZeroDivisionError("division by zero"), SystemExit(0), asyncio.CancelledError(), KeyError("x"), TimeoutError()]
OURS = [ConfigError((Fault(path="sinks.a", message="no", fix="mend"),), source="a"), InvalidInput("no"), Unavailable("away")]

Opens = Callable[[ConnectorContext], AbstractAsyncContextManager[Any]]


def raising(error: BaseException) -> Opens:
    @asynccontextmanager
    async def opens(_given: ConnectorContext) -> AsyncIterator[None]:
        raise error
        yield

    return opens


def raising_at_once(error: BaseException) -> Opens:
    def opens(_given: ConnectorContext) -> AbstractAsyncContextManager[None]:
        raise error

    return opens


def raising_at_the_end(error: BaseException) -> Opens:
    @asynccontextmanager
    async def opens(_given: ConnectorContext) -> AsyncIterator[EventSource]:
        yield HandEvents()
        raise error

    return opens


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, *, group: str, row: object) -> None:
    """A package called somebody, which brings this row."""
    monkeypatch.setitem(sys.modules, "plugged", SimpleNamespace(ROW=row))
    install(folder, {group: {"s": "plugged:ROW"}})


def context(settings: Settings | None = None) -> ConnectorContext:
    bus: Any = SimpleNamespace(events=HandEvents(), cdevents=object())
    return ConnectorContext(settings=settings or Settings(), bus=bus, clock=SystemClock())


async def opened(given: ConnectorContext | None = None) -> None:
    async with open_connectors(given or context()):
        pass


@pytest.mark.parametrize(
    ("group", "how"),
    [
        *[(group, how) for group in ("verdictd.sources", "verdictd.sinks") for how in (raising, raising_at_once)],
        ("verdictd.sources", raising_at_the_end),
    ],
)
@pytest.mark.parametrize("error", DEFECTS, ids=repr)
async def test_whatever_a_connector_raises_is_told_with_its_name_and_its_package(
    packages: Path, monkeypatch: pytest.MonkeyPatch, group: str, how: Callable[[BaseException], Opens], error: BaseException
) -> None:
    installed(packages, monkeypatch, group=group, row=Connector[Any](name="theirs", open=how(error)))
    what = group.removeprefix("verdictd.").removesuffix("s")
    with pytest.raises(Defect, match=f"a defect of the {what} theirs of the package somebody: "):
        await opened()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


@pytest.mark.parametrize("error", OURS, ids=repr)
async def test_what_a_connector_says_in_our_words_stays_what_it_is(
    packages: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    installed(packages, monkeypatch, group="verdictd.sources", row=Connector[EventSource](name="theirs", open=raising(error)))
    with pytest.raises(type(error)) as caught:
        await opened()
    assert caught.value is error


@pytest.mark.parametrize(("group", "gives"), [("verdictd.sources", Sink(to=object())), ("verdictd.sinks", HandEvents())])  # type: ignore[arg-type]  # no sink
async def test_what_gives_something_else_is_told(
    packages: Path, monkeypatch: pytest.MonkeyPatch, group: str, gives: object
) -> None:
    row = Connector[Any](name="theirs", open=lambda _given: nullcontext(gives))
    installed(packages, monkeypatch, group=group, row=row)
    with pytest.raises(Defect, match=rf"theirs of the package somebody: it gives a {type(gives).__name__}, which is none"):
        await opened()


async def test_a_task_of_a_connector_that_fails_ends_the_daemon_by_its_name(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing() -> None:
        raise ZeroDivisionError

    @asynccontextmanager
    async def opens(_given: ConnectorContext) -> AsyncIterator[EventSource]:
        async with background(failing()):
            yield HandEvents()

    installed(packages, monkeypatch, group="verdictd.sources", row=Connector[EventSource](name="theirs", open=opens))
    with pytest.raises(Defect, match="the source theirs of the package somebody"):
        async with open_connectors(context()):
            await asyncio.Event().wait()


async def test_a_cancellation_that_is_asked_for_passes(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def opens(_given: ConnectorContext) -> AsyncIterator[EventSource]:
        await asyncio.Event().wait()
        yield HandEvents()

    installed(packages, monkeypatch, group="verdictd.sources", row=Connector[EventSource](name="theirs", open=opens))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await opened()


@pytest.mark.parametrize(
    ("error", "code"),
    [(SystemExit(0), 70), (ZeroDivisionError(), 70), (OURS[0], 64), (InvalidInput("no"), 64), (Unavailable("x"), 69)],
)
@pytest.mark.live
def test_run_ends_by_the_code_that_the_table_of_codes_says_and_tells_whose_it_was(
    packages: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
) -> None:
    installed(packages, monkeypatch, group="verdictd.sources", row=Connector[EventSource](name="theirs", open=raising(error)))
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"nats": {"data_dir": str(tmp_path / "nats")}, "http": {"listen": "127.0.0.1:0"}}))
    monkeypatch.setattr("daemon.logs.set_up", lambda **_: None)
    reasons: list[str] = []
    monkeypatch.setattr(app.log, "error", lambda message, *, extra, exc_info=None: reasons.append(extra["reason"]))
    assert main(["run", "--config", str(file)]) == code
    assert len(reasons) == 1
    assert ("the source theirs of the package somebody" in reasons[0]) == (code == 70)
    capsys.readouterr()


async def test_a_mesh_that_cannot_be_made_is_told_with_its_package(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_settings: object, /, *, kube: object, name: str) -> Any:
        raise ImportError(f"{name} needs {kube is not None}")

    installed(packages, monkeypatch, group="verdictd.meshes", row=replace(MADE_UP, router=broken))
    document = {"telemetry": {"t": {"kind": "prometheus", "url": "http://h:1", "dialect": "made-up"}}}
    settings = settings_of({**document, "meshes": {"m": {"kind": "made-up", "telemetry": "t"}}}, source="test")
    with pytest.raises(Defect, match="a defect of the mesh m, of the kind made-up of the package somebody: ImportError: m needs"):
        async with AsyncExitStack() as stack:
            KubeClients(settings, stack).open_mesh(settings.meshes["m"], name="m")


@pytest.mark.parametrize("called", ["gardener", "another"])
def test_an_owner_that_cannot_be_made_or_bears_another_name_is_told_with_its_package(
    packages: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, called: str
) -> None:
    def made(_kube: object, /) -> Any:
        if called == "gardener":
            raise SystemExit(0)
        return SimpleNamespace(name=called)

    installed(packages, monkeypatch, group=owners.GROUP, row=replace(GARDENER, owner=made))
    with pytest.raises(Defect, match="a defect of the owner gardener of the package somebody"):
        owners.owners_in(Cluster(tmp_path / "kubeconfig").client())


def test_two_of_one_name_are_refused_with_both_packages(packages: Path) -> None:
    module = "tests.connectors.made_up_settings"
    install(packages, {"verdictd.sinks": {"s": f"{module}:JOURNAL"}, "verdictd.owners": {"o": "tests.delivery.made_up:GARDENER"}})
    others = {"verdictd.sinks": {"s": f"{module}:JOURNAL"}, "verdictd.owners": {"o": "tests.delivery.made_up:GARDENER"}}
    install(packages, others, name="another")
    with pytest.raises(ConfigError) as caught:
        settings_of({}, source="test")
    said = [str(fault) for fault in caught.value.faults]
    assert len(said) == 2
    for kind, line in zip(("an owner of the kind gardener", "a sink called journal"), said, strict=True):
        assert kind in line
        assert "somebody" in line
        assert "another" in line


def test_what_a_connector_opens_and_asks_is_set_aside(packages: Path) -> None:
    module = "tests.connectors.made_up_settings"
    install(packages, {"verdictd.sources": {"s": f"{module}:WATCHED"}, "verdictd.sinks": {"s": f"{module}:JOURNAL"}})
    idle = settings_of({}, source="test")
    pods = {"kind": "pods", "cluster": "default"}
    busy = settings_of({"sources": {"a": pods, "b": pods}}, source="test")
    assert (connections(idle), ask_api_servers(idle)) == (0, False)
    assert (connections(busy), ask_api_servers(busy)) == (4, True)
    assert set_aside(busy, all_clusters=True) == set_aside(busy) + QUESTIONS + WATCHES
    assert made_up_settings.WATCHED.connections == 2


async def test_a_mesh_in_no_cluster_is_opened_also_where_only_other_clusters_can_be_reached(tmp_path: Path) -> None:
    document = {
        "kubernetes": {"east": {"auth": "kubeconfig"}},
        "telemetry": {"t": {"kind": "prometheus", "url": "http://h:1", "dialect": "envoy"}},
        "meshes": {"m": {"kind": "envoy", "telemetry": "t", "routes_file": str(tmp_path / "r"), "admin": "http://h:1"}},
    }
    settings = settings_of(document, source="test")
    async with AsyncExitStack() as stack:
        kubes = KubeClients(settings, stack)
        assert list(kubes.open_mesh(settings.meshes["m"], name="m")) == ["default"]
        assert list(kubes.clients) == ["east"]


def test_a_row_that_could_not_be_told_or_named_is_refused() -> None:
    with pytest.raises(TypeError, match="are no ConnectorSettings"):
        Connector[EventSource](name="a", open=raising(ZeroDivisionError()), settings=IstioMesh)  # type: ignore[arg-type]  # as said
    with pytest.raises(ValueError, match="no name of a connector"):
        Connector[EventSource](name="a: b", open=raising(ZeroDivisionError()))
