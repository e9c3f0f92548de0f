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
        ({"headers": {"Authorization": SECRET}, "url": f"http://u:{SECRET}@h:1"}, "headers.Authorization", "remove it"),
        ({"token_file": "/t", "url": f"http://u:{SECRET}@h:1"}, "url", "take them out of it"),
        ({"username": "u", "password_file": "/p", "url": f"http://:{SECRET}@h:1"}, "url", "take them out of it"),
        ({"headers": {"Content-Length": "5"}}, "headers.Content-Length", "remove it"),
        ({"headers": {"accept-encoding": "br"}}, "headers.accept-encoding", "remove it"),
        ({"headers": {"X-Key": SECRET, "x-key": SECRET}}, "headers.x-key", "keep one of them"),
        ({"headers": {"X-Key": 12345678}}, "headers.X-Key", "write it in quotes"),
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


@pytest.mark.parametrize(
    "given",
    [
        {"url": f"http://u:pa/{SECRET}@h:1"},
        {"url": f"http://u:pa?{SECRET}@h:1"},
        {"url": f"http://u:1#{SECRET}@h:1"},
        {"url": f"http://u:{SECRET}@{SECRET}@h:port"},
        {"url": f"http://h:port/?api_key={SECRET}"},
        {"url": [f"http://u:{SECRET}@h:1"]},
        {"url": {"of": f"http://u:{SECRET}@h:1"}},
        {"headers": f"X-Key: {SECRET}"},
        {"headers": [f"X-Key: {SECRET}"]},
        {"headers": {"X-Key": [SECRET]}},
        {"query": f"key={SECRET}"},
        {"query": {"key": {"is": SECRET}}},
        {"query": {"key": ["http://x@" + SECRET]}},
    ],
)
def test_what_may_hold_a_secret_is_not_shown_in_whatever_form_it_is_written(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        telemetry(**given)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        {"telemetry": {"prom": f"http://u:{SECRET}@h:1"}},
        {"telemetry": {"prom": {"kind": "envoy", "endpoints": f"http://u:{SECRET}@h:1"}}},
        {"nats": {"url": [f"nats://u:{SECRET}@h:1"]}},
        {"nats": f"nats://u:{SECRET}@h:1,nats://u:{SECRET}@i:1"},
        {"nats": f"nats://u:{SECRET * 50}@h:1"},
    ],
)
def test_an_address_at_the_wrong_place_is_shown_without_its_password(document: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(document, source="s.yaml")
    assert SECRET not in str(caught.value)
    assert "//...@h:1" in str(caught.value) or "//...@i:1" in str(caught.value)


def test_servers_of_nats_are_all_asked_over_websockets_or_none_is() -> None:
    with pytest.raises(ConfigError, match=r"nats\.url: some servers of the list are asked over a websocket"):
        settings_of({"nats": {"url": "nats://a:4222,wss://b"}}, source="s.yaml")
    assert settings_of({"nats": {"url": "ws://a:80, wss://b"}}, source="s.yaml").nats.url


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
