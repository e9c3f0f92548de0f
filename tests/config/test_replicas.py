"""Several daemons need a NATS that all of them reach."""

import pytest

from config.errors import ConfigError
from daemon.settings import settings_of


def test_replicas_on_an_embedded_broker_are_refused_with_what_to_name() -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of({"replicas": {"count": 2}}, source="s.yaml")
    assert [(fault.path, fault.fix) for fault in caught.value.faults] == [("nats.url", "name it, or leave replicas out")]


def test_replicas_share_a_broker_that_is_named() -> None:
    settings = settings_of({"replicas": {"count": 2}, "nats": {"url": "nats://nats:4222"}}, source="s.yaml")
    assert (settings.replicas.count, settings.replicas.lease_seconds) == (2, 3.0)
