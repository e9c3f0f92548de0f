"""What targets say of themselves: denials of one scrape, ages remembered."""

import re

import pytest

from daemon.errors import InvalidInput
from daemon.meshes.envoy.telemetry import SCHEMA as ENVOY
from daemon.meshes.istio.telemetry import SCHEMA as ISTIO
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.snapshot import TargetMetadata
from daemon.telemetry.prometheus.metadata import Ages
from daemon.telemetry.prometheus.query import MAX_INSTANCES, metadata_query
from tests.telemetry.support import series


def test_denials_are_those_of_the_scrape_asked_for() -> None:
    metadata = TargetMetadata()
    for at, value in ((1.0, 5.0), (2.0, 7.0), (3.0, 11.0)):
        metadata.deny(series("a"), value, at=at)
    metadata.deny(series("b"), 1.0, at=3.0)
    assert metadata.denied_at(2.0001, scraper="") == {"a": 7}
    assert metadata.denied_at(3.0, scraper="") == {"a": 11, "b": 1}
    assert metadata.denied_at(4.0, scraper="") == {}
    assert metadata.denied_at(3.0, scraper="other") == {}, "its copies are not added"


def test_a_count_that_is_none_is_refused_with_its_series() -> None:
    metadata = TargetMetadata()
    metadata.deny(series("a"), float("inf"), at=1.0)
    with pytest.raises(InvalidInput) as caught:
        metadata.denied_at(1.0, scraper="")
    assert caught.value.path == "a"


def test_ages_are_due_for_new_targets_and_after_a_while() -> None:
    ages = Ages(refresh_seconds=60.0)
    assert ages.due({"a"}, now=0.0)
    ages.asked({"a", "mute"}, {"a": TargetMetadata(born=-5.0), "mute": TargetMetadata()}, now=0.0)
    assert not ages.due({"a", "mute"}, now=59.0), "one that did not say is not asked at every tick"
    assert ages.due({"a", "b"}, now=1.0)
    assert ages.due({"a"}, now=60.0)
    into = {"b": TargetMetadata()}
    ages.into(into)
    assert (into["a"].born, into["b"].born) == (-5.0, None)


def test_what_a_target_said_is_forgotten_when_it_no_longer_says_it() -> None:
    ages = Ages(refresh_seconds=60.0)
    ages.asked({"a"}, {"a": TargetMetadata(born=1.0)}, now=0.0)
    ages.asked({"a"}, {}, now=60.0)
    into: dict[str, TargetMetadata] = {}
    ages.into(into)
    assert into == {}


@pytest.mark.parametrize(
    ("name", "labels", "counted"),
    [
        ("envoy_http_rbac", {"authz_enforce_result": "denied", "http_conn_manager_prefix": "inbound_0.0.0.0_8080"}, True),
        ("envoy_http_rbac", {"authz_enforce_result": "denied"}, True),
        ("envoy_http_rbac", {"authz_enforce_result": "allowed", "http_conn_manager_prefix": "inbound_0.0.0.0_8080"}, False),
        ("envoy_http_rbac", {"authz_enforce_result": "denied", "http_conn_manager_prefix": "outbound_0.0.0.0_80"}, False),
        ("envoy_http_rbac", {"authz_dry_run_action": "deny", "authz_dry_run_result": "denied"}, False),
        ("envoy_http_inbound_0_0_0_0_80_rbac", {"authz_enforce_result": "denied"}, True),
        ("envoy_http_rbac_denied", {"envoy_http_conn_manager_prefix": "inbound_0.0.0.0_8080"}, True),
        ("envoy_http_rbac_denied", {"envoy_http_conn_manager_prefix": "outbound_0.0.0.0_80"}, False),
        ("envoy_http_rbac", {}, False),
    ],
)
def test_which_series_count_denied_requests(name: str, labels: dict[str, str], counted: bool) -> None:
    found = [counter for counter in ISTIO.about.denials if re.fullmatch(counter.names, name) and counter.counts(labels)]
    assert len(found) == counted


def test_only_the_targets_are_asked_while_they_are_few_and_all_have_a_name() -> None:
    few = metadata_query(ISTIO.about, {"10.0.0.7:15020", 'x"}'}, ages=False, window_seconds=2.0)
    assert few == (
        '{__name__=~"envoy_http_(.+_)?rbac_denied|envoy_http_(.+_)?rbac",authz_enforce_result=~"denied|",'
        'instance=~"10\\\\.0\\\\.0\\\\.7:15020|x\\"\\\\}"}[2000ms]'
    )
    assert "instance" not in (metadata_query(ISTIO.about, {"a", ""}, ages=False, window_seconds=2.0) or "instance")
    many = {f"pod-{n}" for n in range(MAX_INSTANCES + 1)}
    assert "instance" not in (metadata_query(ISTIO.about, many, ages=True, window_seconds=2.0) or "instance")


def test_a_target_that_says_the_same_for_two_arms_is_kept_once() -> None:
    collected, other = Collection(), Collection()
    other.metadata["a"] = TargetMetadata(born=1.0)
    collected.merge(other)
    assert collected.metadata == {"a": TargetMetadata(born=1.0)}


def test_telemetry_that_knows_nothing_of_the_kind_asks_nothing() -> None:
    assert metadata_query(ENVOY.about, {"a"}, ages=True, window_seconds=2.0) is None
