"""What is written to have routes watched: one line is enough, and what is wrong is said with its path and the fix."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from config.errors import ConfigError
from config.settings import Settings
from daemon.aio.clock import SystemClock
from daemon.connectors import ConnectorContext, ask_api_servers, open_connectors
from daemon.kube.client import KubeClient
from daemon.settings import settings_of
from daemon.watcher.settings import KubernetesSource, watched
from daemon.watcher.source import RouteWatcher
from tests.hand.ports import HandEvents, MemoryStore

PROMETHEUS = {"kind": "prometheus", "dialect": "istio", "url": "http://prometheus:9090"}
MESHES = {
    "istio": {"kind": "istio", "telemetry": "mesh"},
    "gamma": {"kind": "gateway-api", "telemetry": "mesh"},
    "nomad": {"kind": "nomad", "telemetry": "mesh", "address": "http://nomad:4646"},
}


def read(*there: str, **own: Any) -> Settings:
    document = {
        "telemetry": {"mesh": PROMETHEUS},
        "meshes": {name: MESHES[name] for name in there},
        "sources": {"cluster": {"kind": "kubernetes", **own}},
    }
    return settings_of(document, source="settings.yaml")


def faults(*there: str, **own: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(*there, **own)
    return [str(one) for one in caught.value.faults]


def source(settings: Settings) -> KubernetesSource:
    own = settings.sources["cluster"]
    assert isinstance(own, KubernetesSource)
    return own


def test_one_line_is_enough_and_observes_all_that_can_be_watched() -> None:
    settings = read("istio", "nomad", "gamma")
    assert source(settings).mode == "observe"
    assert list(watched(source(settings), settings)) == ["istio", "gamma"]
    assert ask_api_servers(settings)


def test_some_meshes_may_be_named() -> None:
    settings = read("istio", "gamma", meshes=["gamma"])
    assert list(watched(source(settings), settings)) == ["gamma"]


@pytest.mark.parametrize(
    ("there", "own", "said"),
    [
        (["istio"], {"meshes": ["ist"]}, "sources.cluster.meshes[0]: names 'ist', which is not under meshes; write one of istio"),
        (
            ["istio", "nomad"],
            {"meshes": ["nomad"]},
            "sources.cluster.meshes[0]: names 'nomad', and routes of nomad cannot be watched; write one of istio",
        ),
        (
            ["nomad"],
            {},
            "sources.cluster: finds no mesh whose routes can be watched; add one under meshes, or remove this source",
        ),
        (
            ["istio"],
            {"namespaces": [f"shop-{number}" for number in range(9)]},
            (
                "sources.cluster.namespaces: names 9, and each is watched by connections of its own to the API server; "
                "name at most 8, or none to watch the whole cluster"
            ),
        ),
        (["istio"], {"mode": "watch"}, 'sources.cluster.mode: "watch" is not one of them; write enforce or observe'),
    ],
)
def test_what_is_wrong_is_said_with_its_path_and_the_fix(there: list[str], own: dict[str, Any], said: str) -> None:
    assert faults(*there, **own) == [said]


async def test_it_is_opened_as_the_source_of_its_name() -> None:
    settings = read("istio", "gamma", namespaces=["shop"])
    stores = {name: MemoryStore() for name in ("routes", "updates", "serving", "questions", "awaited", "lapsed")}
    bus: Any = SimpleNamespace(events=HandEvents(), cdevents=object(), dead_letters=object(), **stores)
    clients = {name: KubeClient(cluster) for name, cluster in settings.clusters.items()}
    given = ConnectorContext(settings=settings, bus=bus, clock=SystemClock(), kubes=clients)
    async with open_connectors(given) as connected:
        watcher = connected.events["cluster"]
        assert isinstance(watcher, RouteWatcher)
        assert watcher.problem is None
