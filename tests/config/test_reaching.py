"""How a Prometheus is reached: what cannot go together is refused where it stands, and no refusal holds a secret."""

from typing import Any

import pytest

from config.errors import ConfigError
from config.settings import PrometheusTelemetry
from daemon.settings import settings_of

SECRET = "s3cret"


def telemetry(**more: Any) -> Any:
    document = {"telemetry": {"prom": {"kind": "prometheus", "url": "http://prometheus:9090", "dialect": "istio", **more}}}
    return settings_of(document, source="s.yaml").telemetry["prom"]


@pytest.mark.parametrize(
    ("given", "path", "fix"),
    [
        ({"username": "u"}, "password_file", "add it, or remove username"),
        ({"password_file": "/p"}, "username", "add it, or remove password_file"),
        ({"username": "a:b", "password_file": "/p"}, "username", "correct it"),
        ({"username": "u", "password_file": "/p", "token_file": "/t"}, "username", "remove one of them"),
        ({"client_key_file": "/k"}, "client_certificate_file", "add it, or remove client_key_file"),
        ({"headers": {"X-Key": f"{SECRET}\n"}}, "headers.X-Key", "is there a line break at its end?"),
        ({"headers": {"X Key": SECRET}}, "headers", "write letters, digits and '-'"),
        ({"headers": {"Authorization": SECRET}, "token_file": "/t"}, "headers.Authorization", "remove it"),
        ({"query": {"time": "0"}}, "query.time", "remove it"),
        ({"method": "put"}, "method", ""),
    ],
)
def test_what_cannot_go_together_is_refused_where_it_stands(given: dict[str, Any], path: str, fix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        telemetry(**given)
    (fault,) = caught.value.faults
    assert fault.path == f"telemetry.prom.{path}"
    assert fix in fault.fix
    assert SECRET not in str(caught.value)


def test_what_goes_together_is_taken() -> None:
    made = telemetry(
        client_certificate_file="/c",
        token_file="/t",
        headers={"X-Scope-OrgID": "a|b"},
        query={"dedup": "true", "replicaLabels[]": "replica"},
        method="get",
    )
    assert isinstance(made, PrometheusTelemetry)
    assert made.query["replicaLabels[]"] == "replica"
