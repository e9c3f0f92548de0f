"""``kubernetes`` by the clusters' names, or of one cluster without a name; and which of them a mesh is in."""

import json
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.settings import Kubernetes, Settings
from daemon.meshes.istio.mesh import IstioMesh
from daemon.settings import load_settings, settings_of, settings_schema

TELEMETRY = {"t": {"kind": "prometheus", "url": "http://127.0.0.1:9090", "dialect": "istio"}}
MIXED = "write it below the name of its cluster, as kubernetes.east.auth"
TWO = {"east": {"context": "east"}, "west": {"context": "west"}}


def settings(kubernetes: Any, *, environ: dict[str, str] | None = None, **more: Any) -> Settings:
    return settings_of({"kubernetes": kubernetes, "telemetry": TELEMETRY, **more}, source="s.yaml", environ=environ)


def refused(kubernetes: Any, *, environ: dict[str, str] | None = None, **more: Any) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        settings(kubernetes, environ=environ, **more)
    return [(fault.path, fault.fix) for fault in caught.value.faults]


def mesh(**more: Any) -> dict[str, Any]:
    return {"m": {"kind": "istio", "telemetry": "t", **more}}


@pytest.mark.parametrize("kubernetes", [None, {}])
def test_without_a_word_on_it_there_is_the_daemons_own_cluster(kubernetes: Any) -> None:
    given = {} if kubernetes is None else {"kubernetes": kubernetes}
    assert settings_of({"cluster": "prod", **given}, source="s").clusters == {"prod": Kubernetes()}


def test_the_keys_of_one_cluster_stand_without_a_name_as_they_did(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("cluster: prod\nkubernetes:\n  auth: in-cluster\n  kubeconfig:\n", encoding="utf-8")
    assert load_settings(file).clusters == {"prod": Kubernetes(auth="in-cluster")}
    assert settings({"auth": "in-cluster"}).clusters == {"default": Kubernetes(auth="in-cluster")}


def test_a_variable_of_one_cluster_stands_without_a_name_and_of_several_with_it() -> None:
    assert settings({}, environ={"VERDICTD_KUBERNETES__CONTEXT": "east"}).clusters == {"default": Kubernetes(context="east")}
    environ = {"VERDICTD_KUBERNETES__EAST__CONTEXT": "there"}
    assert settings({"East": {"context": "east"}}, environ=environ).clusters == {"East": Kubernetes(context="there")}


@pytest.mark.parametrize(
    ("kubernetes", "faults"),
    [
        ({"auht": "in-cluster"}, [("kubernetes.auht", "did you mean auth?")]),
        ({"auth": "in_cluster"}, [("kubernetes.auth", "write in-cluster, or else auto or kubeconfig")]),
        (
            {"auth": "in-cluster", **TWO, "context": None},
            [
                ("kubernetes.auth", "write it below the name of its cluster, as kubernetes.east.auth"),
                ("kubernetes.context", "write it below the name of its cluster, as kubernetes.east.context"),
            ],
        ),
        ({"east": {"contxt": "east"}}, [("kubernetes.east.contxt", "did you mean context?")]),
        ({"-": {}}, [("kubernetes.-", "use 1 to 63 letters, digits, '-' or '_', beginning and ending with a letter or digit")]),
        ({"": {}}, [("kubernetes", "use 1 to 63 letters, digits, '-' or '_', beginning and ending with a letter or digit")]),
        ({"auth": "x", "east": {"contxt": ""}}, [("kubernetes.auth", MIXED), ("kubernetes.east.contxt", "did you mean context?")]),
        ("in-cluster", [("kubernetes", "write names and their values below it")]),
    ],
)
def test_what_is_written_wrongly_is_refused_where_it_stands(kubernetes: Any, faults: list[tuple[str, str]]) -> None:
    assert refused(kubernetes) == faults


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r"kubernetes\.auth: .* \(from VERDICTD_KUBERNETES__AUTH\)"):
        settings({}, environ={"VERDICTD_KUBERNETES__AUTH": "nobody"})
    mixed = r"kubernetes\.auth: is a key of a single cluster, and beside it stands a cluster by name \(east\) \(from VERDICTD_KUB"
    with pytest.raises(ConfigError, match=mixed):
        settings({**TWO}, environ={"VERDICTD_KUBERNETES__AUTH": "in-cluster"})


def test_a_name_that_cannot_be_used_is_said_once() -> None:
    with pytest.raises(ConfigError) as caught:
        settings({"a b": {}})
    assert str(caught.value).count("a b") == 1


def test_the_daemons_own_name_may_be_wrong_as_well() -> None:
    assert [path for path, _ in refused({"auht": 1}, cluster="-")] == ["kubernetes.auht", "cluster"]
    assert [path for path, _ in refused({"auht": 1}, cluster=5)] == ["kubernetes.auht", "cluster"]


@pytest.mark.parametrize(
    ("kubernetes", "cluster", "written", "clusters"),
    [
        ({"auth": "auto"}, "prod", {}, ("prod",)),
        ({"east": {}}, "prod", {}, ("east",)),
        (TWO, "west", {}, ("west",)),
        (TWO, "west", {"cluster": "east"}, ("east",)),
        (TWO, "prod", {"cluster": "east", "further_clusters": ["west"]}, ("east", "west")),
    ],
)
def test_a_mesh_is_in_the_cluster_it_names_or_the_daemons_own_or_the_only_one(
    kubernetes: Any, cluster: str, written: dict[str, Any], clusters: tuple[str, ...]
) -> None:
    read = settings(kubernetes, cluster=cluster, meshes=mesh(**written))
    assert read.clusters_of(read.meshes["m"]) == clusters
    assert isinstance(read.meshes["m"], IstioMesh)


@pytest.mark.parametrize(
    ("kubernetes", "written", "faults"),
    [
        (TWO, {}, [("meshes.m.cluster", "write one of east, west")]),
        ({"east": {}}, {"cluster": "esat"}, [("meshes.m.cluster", "write one of east")]),
        (
            TWO,
            {"cluster": "east", "further_clusters": ["west", "east", "north", "west"]},
            [
                ("meshes.m.further_clusters[1]", "remove it"),
                ("meshes.m.further_clusters[2]", "write one of east, west"),
                ("meshes.m.further_clusters[3]", "remove it"),
            ],
        ),
        ({}, {"cluster": "prod"}, [("meshes.m.cluster", "write one of default")]),
    ],
)
def test_a_cluster_that_is_not_there_is_refused(kubernetes: Any, written: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    assert refused(kubernetes, meshes=mesh(**written)) == faults


def test_the_schema_takes_both_forms() -> None:
    field = json.loads(json.dumps(settings_schema()))["$defs"]["Settings"]["properties"]["kubernetes"]
    by_name, alone = field["anyOf"]
    assert by_name["additionalProperties"] == alone == {"$ref": "#/$defs/Kubernetes"}
    assert (field["default"], "description" in field) == ({}, True)
