"""What targets say of themselves: denials of one scrape, ages remembered."""

from typing import cast

import pytest

from daemon.errors import InvalidInput
from daemon.telemetry.counters.asides import Ages, Aside
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.prometheus.query import MAX_INSTANCES, aside_query
from daemon.telemetry.schema import ENVOY, ISTIO, Denials

DENIALS = cast("Denials", ISTIO.denials)


def test_denials_are_those_of_the_scrape_asked_for() -> None:
    aside = Aside()
    for at, value in ((1.0, 5.0), (2.0, 7.0), (3.0, 11.0)):
        aside.deny("a", value, at=at)
    aside.deny("b", 1.0, at=3.0)
    assert aside.denied_at(2.0001) == {"a": 7}
    assert aside.denied_at(3.0) == {"a": 11, "b": 1}
    assert aside.denied_at(4.0) == {}


def test_a_count_that_is_none_is_refused_with_its_series() -> None:
    aside = Aside()
    aside.deny("a", float("inf"), at=1.0)
    with pytest.raises(InvalidInput) as caught:
        aside.denied_at(1.0)
    assert caught.value.path == "a"


def test_ages_are_due_for_new_targets_and_after_a_while() -> None:
    ages = Ages(refresh_seconds=60.0)
    assert ages.due({"a"}, now=0.0)
    ages.asked({"a", "mute"}, {"a": Aside(born=-5.0), "mute": Aside()}, now=0.0)
    assert not ages.due({"a", "mute"}, now=59.0), "one that did not say is not asked at every tick"
    assert ages.due({"a", "b"}, now=1.0)
    assert ages.due({"a"}, now=60.0)
    into = {"b": Aside()}
    ages.into(into)
    assert (into["a"].born, into["b"].born) == (-5.0, None)


def test_what_a_target_said_is_forgotten_when_it_no_longer_says_it() -> None:
    ages = Ages(refresh_seconds=60.0)
    ages.asked({"a"}, {"a": Aside(born=1.0)}, now=0.0)
    ages.asked({"a"}, {}, now=60.0)
    into: dict[str, Aside] = {}
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
    assert DENIALS.counted(name, labels) is counted


def test_only_the_targets_are_asked_while_they_are_few_and_all_have_a_name() -> None:
    few = aside_query(ISTIO, {"10.0.0.7:15020", 'x"}'}, ages=False, window_seconds=2.0)
    assert few == (
        '{__name__=~"envoy_http_(.+_)?rbac(_denied)?",authz_enforce_result=~"denied|",'
        'instance=~"10\\\\.0\\\\.0\\\\.7:15020|x\\"\\\\}"}[2000ms]'
    )
    assert "instance" not in (aside_query(ISTIO, {"a", ""}, ages=False, window_seconds=2.0) or "instance")
    many = {f"pod-{n}" for n in range(MAX_INSTANCES + 1)}
    assert "instance" not in (aside_query(ISTIO, many, ages=True, window_seconds=2.0) or "instance")


def test_a_target_that_says_the_same_for_two_arms_is_kept_once() -> None:
    collected, other = Collection(), Collection()
    other.asides["a"] = Aside(born=1.0)
    collected.merge(other)
    assert collected.asides == {"a": Aside(born=1.0)}


def test_telemetry_that_knows_nothing_of_the_kind_asks_nothing() -> None:
    assert aside_query(ENVOY, {"a"}, ages=True, window_seconds=2.0) is None
