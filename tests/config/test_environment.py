"""Settings laid over the file by environment variables."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.settings import PrometheusTelemetry
from daemon.meshes.istio.mesh import IstioMesh
from daemon.settings import load_settings


def test_two_underscores_separate_levels_and_values_are_yaml_scalars(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("http: {listen: '127.0.0.1:1', max_body_bytes: 2048}", encoding="utf-8")
    settings = load_settings(path, environ={"VERDICTD_HTTP__LISTEN": "127.0.0.1:2", "VERDICTD_NATS__REPLICAS": "3", "HOME": "/x"})
    assert settings.http.listen == "127.0.0.1:2"
    assert settings.http.max_body_bytes == 2048
    assert settings.nats.replicas == 3


def test_entries_of_mappings_are_made_in_lower_case() -> None:
    settings = load_settings(
        None,
        environ={
            "VERDICTD_TELEMETRY__PROM__KIND": "prometheus",
            "VERDICTD_TELEMETRY__PROM__URL": "http://p",
            "VERDICTD_TELEMETRY__PROM__DIALECT": "istio",
            "VERDICTD_MESHES__ISTIO": "{kind: istio, telemetry: prom}",
        },
    )
    assert settings.telemetry == {"prom": PrometheusTelemetry(url="http://p", dialect="istio")}
    assert settings.meshes == {"istio": IstioMesh(telemetry="prom")}


def test_an_entry_of_the_file_is_found_whatever_its_case_and_dashes(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("policies: {Slow-Lane: {alpha: 0.1}}", encoding="utf-8")
    settings = load_settings(path, environ={"VERDICTD_POLICIES__SLOW_LANE__ALPHA": "0.2"})
    assert {name: policy.alpha for name, policy in settings.policies.items()} == {"Slow-Lane": 0.2}


def test_an_empty_section_of_the_file_can_be_filled(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("http:\n", encoding="utf-8")
    assert load_settings(path, environ={"VERDICTD_HTTP__LISTEN": "127.0.0.1:2"}).http.listen == "127.0.0.1:2"


def test_variables_that_kubernetes_and_the_commands_set_are_no_settings() -> None:
    load_settings(
        None,
        environ={
            "VERDICTD_SERVICE_HOST": "10.0.0.1",
            "VERDICTD_SERVICE_PORT_HTTP": "8484",
            "VERDICTD_PORT": "tcp://10.0.0.1:8484",
            "VERDICTD_PORT_8484_TCP_ADDR": "10.0.0.1",
            "VERDICTD_NATS_PORT_4222_TCP": "tcp://10.0.0.2:4222",
            "VERDICTD_SERVER": "http://127.0.0.1:8484",
            "VERDICTD_TOKEN_FILE": "/token",
            "VERDICTD_TOKEN": "secret",
            "VERDICTD_CA_FILE": "/ca.pem",
        },
    )


@pytest.mark.parametrize(
    ("name", "value", "path", "message"),
    [
        ("VERDICTD_HTP__LISTEN", "x", "htp", "is not a known key (from VERDICTD_HTP__LISTEN)"),
        ("VERDICTD_LIMITS__MAX_RELEASES", "many", "limits.max_releases", "not a whole number (from VERDICTD_LIMITS__MAX_RELEASES)"),
        ("VERDICTD_HTTP__LISTEN", "0.0.0.0:1", "http.token_file", "is not set, and http.listen (0.0.0.0:1)"),
        ("VERDICTD_HTTP____LISTEN", "x", "http..listen", "VERDICTD_HTTP____LISTEN does not fit"),
        ("VERDICTD_CLUSTER__NAME", "x", "cluster.name", "VERDICTD_CLUSTER__NAME does not fit"),
        ("VERDICTD_CLUSTER", "[", "cluster", "has a form that cannot be used"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(tmp_path: Path, name: str, value: str, path: str, message: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("cluster: here", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(file, environ={name: value})
    told = {problem.path: problem.message for problem in caught.value.faults}
    assert message in told[path]


@pytest.mark.parametrize("name", ["CLUSTER", "NATS__DATA_DIR", "LIMITS__MAX_RELEASES", "FOO", "CL\udcff"])
def test_bytes_that_are_no_text_are_refused_with_the_variable(name: str) -> None:
    with pytest.raises(ConfigError, match="holds bytes that are not UTF-8") as caught:
        load_settings(None, environ={f"VERDICTD_{name}": "\udcff"})
    assert caught.value.faults[0].path == name.replace("__", ".").lower()
