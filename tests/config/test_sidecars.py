"""Telemetry of the kind ``sidecars``: what it may name, and who may name it."""

from typing import Any

import pytest

from config.errors import ConfigError
from config.settings import PrometheusTelemetry, Settings, SidecarTelemetry, Telemetry
from daemon.http.capacity import set_aside
from daemon.settings import settings_of

PROMETHEUS = {"kind": "prometheus", "url": "http://127.0.0.1:9090", "dialect": "istio"}
ISTIO = {"kind": "istio", "telemetry": "mesh"}


def settings(*, mesh: dict[str, Any] = ISTIO, **entry: Any) -> Settings:
    telemetry = {"mesh": {"kind": "sidecars", "dialect": "istio", **entry}, "prom": PROMETHEUS}
    return settings_of({"telemetry": telemetry, "meshes": {"m": mesh}}, source="s.yaml", environ={})


def refused(**given: Any) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        settings(**given)
    [fault] = caught.value.faults
    return fault.path, f"{fault.message}; {fault.fix}"


def test_an_entry_names_its_dialect_and_has_the_rest_from_its_mesh() -> None:
    assert settings().telemetry["mesh"] == SidecarTelemetry(dialect="istio")
    found = settings(port=15020, fallback="prom", tick_seconds=0.25).telemetry
    assert found["mesh"] == SidecarTelemetry(dialect="istio", port=15020, fallback="prom", tick_seconds=0.25)
    assert isinstance(found["prom"], PrometheusTelemetry)


def test_a_fallback_that_is_not_there_or_cannot_stand_in_is_refused_where_it_stands() -> None:
    path, said = refused(fallback="nothing")
    assert path == "telemetry.mesh.fallback"
    assert "is no prometheus entry under telemetry (prom)" in said
    assert "is no prometheus entry" in refused(fallback="mesh")[1]


def test_a_fallback_of_another_dialect_is_refused() -> None:
    path, said = refused(dialect="envoy", fallback="prom")
    assert path == "telemetry.mesh.fallback"
    assert "both must be the same mesh's" in said


def test_a_mesh_without_an_api_server_has_nobody_who_could_name_pods() -> None:
    path, said = refused(mesh={"kind": "envoy", "telemetry": "mesh", "routes_file": "/r", "admin": "http://127.0.0.1:9901"})
    assert path == "meshes.m.telemetry"
    assert "not of an API server" in said


def test_a_port_that_is_none_is_refused() -> None:
    assert refused(port=0)[0] == "telemetry.mesh.port"


def test_descriptors_are_set_aside_for_every_pod_and_for_what_stands_in() -> None:
    bare = set_aside(Settings())
    assert set_aside(Settings(telemetry={"t": SidecarTelemetry(dialect="istio", max_pods=30)})) == bare + 30
    with_fallback: dict[str, Telemetry] = {
        "t": SidecarTelemetry(dialect="istio", max_pods=30, fallback="p"),
        "p": PrometheusTelemetry(url="x", dialect="istio"),
    }
    assert set_aside(Settings(telemetry=with_fallback)) > bare + 30
