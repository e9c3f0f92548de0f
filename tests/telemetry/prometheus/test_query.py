"""Queries: one per family for all releases, and no name breaks out of its string."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.policy import Failures
from daemon.meshes.envoy.telemetry import SCHEMA as ENVOY
from daemon.meshes.istio.telemetry import SCHEMA as ISTIO
from daemon.telemetry.outcomes import Outcomes
from daemon.telemetry.prometheus.query import Asked, queries, quoted
from daemon.telemetry.schema import Begins, Ended, Is, Rule
from daemon.telemetry.wire import literal

USUAL = [Outcomes(ISTIO, Failures())]


def test_one_query_for_each_metric_family_whatever_the_number_of_releases() -> None:
    selectors = [(("envoy_cluster_name", f"web-v{n}"),) for n in range(1000)]
    asked = queries(ENVOY, {ENVOY.views[0]: selectors}, outcomes=USUAL, requests_seconds=3.0, latencies_seconds=3.0)
    assert [len(family) for family in asked] == [1, 1]
    assert asked.requests[0].startswith(
        '{__name__=~"envoy_cluster_upstream_rq_xx|envoy_cluster_grpc(_.+)?_(2|4|12|13|14|15)",envoy_cluster_name=~"web-v0|web-v1|'
    )
    assert asked.latencies[0].startswith(
        '{__name__=~"envoy_cluster_upstream_rq_time_bucket|envoy_cluster_upstream_rq_time_sum|envoy_cluster_upstream_rq_time",envoy'
    )
    assert all(query.endswith("}[3000ms]") for family in asked for query in family)


def test_istio_is_asked_for_one_reporter_and_for_latencies_of_successes_only() -> None:
    selector = (("destination_workload", "web-v1"), ("destination_workload_namespace", "shop"))
    (count,), (latency,) = queries(ISTIO, {ISTIO.views[0]: [selector]}, outcomes=USUAL, requests_seconds=0.5, latencies_seconds=0.5)
    assert count == (
        '{__name__="istio_requests_total",reporter="destination",'
        'destination_workload=~"web-v1",destination_workload_namespace=~"shop"}[500ms]'
    )
    assert 'response_code!~"0|403|5.*",grpc_response_status!~"2|4|12|13|14|15|7",reporter="destination"' in latency
    assert 'response_flags!~"(.*,)?(FI)(,.*)?"' in latency


def test_releases_whose_policies_differ_are_asked_for_together_with_all_that_any_of_them_looks_at() -> None:
    selectors = [(("destination_workload", f"web-v{n}"),) for n in range(100)]
    policies = [Failures(), Failures(status=("4xx",)), Failures(status=(503, 404), grpc_status=("INTERNAL",), excused_flags=())]
    asked = queries(
        ISTIO,
        {ISTIO.views[0]: selectors},
        outcomes=[Outcomes(ISTIO, one) for one in policies],
        requests_seconds=1,
        latencies_seconds=1,
    )
    assert [len(family) for family in asked] == [1, 1]
    (latency,) = asked.latencies
    assert 'response_code!~"0|403",' in latency
    assert 'grpc_response_status!~"13|' not in latency
    assert "response_flags" not in latency


def test_arms_known_by_other_labels_have_queries_of_their_own() -> None:
    selectors = [(("a", "x"),), (("a", "y"), ("b", "z"))]
    assert [
        len(family)
        for family in queries(ISTIO, {ISTIO.views[0]: selectors}, outcomes=USUAL, requests_seconds=1, latencies_seconds=1)
    ] == [
        2,
        2,
    ]


def test_a_query_that_would_be_too_long_is_cut() -> None:
    selectors = [(("envoy_cluster_name", f"web-v{n:04}"),) for n in range(200)]
    asked = queries(
        ENVOY, {ENVOY.views[0]: selectors}, outcomes=USUAL, requests_seconds=3.0, latencies_seconds=3.0, longest_bytes=2000
    ).requests
    assert len(asked) > 1
    assert all(len(query) < 2500 for query in asked)
    assert all(any(f"web-v{n:04}" in query for query in asked) for n in range(200))


def test_matchers_are_worked_out_anew_for_other_arms_and_other_bounds_only() -> None:
    selectors = {ENVOY.views[0]: [(("envoy_cluster_name", f"web-v{n}"),) for n in range(9)]}
    asked = Asked()
    first = asked.matchers(selectors, longest_bytes=2000)
    assert asked.matchers(selectors, longest_bytes=2000) is first
    assert len(asked.matchers(selectors, longest_bytes=20)[ENVOY.views[0]]) == 9
    assert asked.matchers({}, longest_bytes=20) == {}


def test_nothing_watched_asks_nothing() -> None:
    assert queries(ISTIO, {}, outcomes=USUAL, requests_seconds=1, latencies_seconds=1) == ([], [])


def unquote(text: str) -> str:
    """What PromQL reads in a double-quoted string of ours."""
    assert text[0] == text[-1] == '"'
    inside = text[1:-1]
    assert re.fullmatch(r'(?:[^"\\\n]|\\["\\n])*', inside), f"{text!r} breaks out"
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], inside)


@pytest.mark.parametrize(
    "name", ['x"} or vector(1) #', "a|b", ".*", "a\\", 'a\\"b', "a\nb", "[a-z]+", "v1.2", "a{2}", "^a$", "(?i)a"]
)
def test_names_made_to_break_out_stay_names(name: str) -> None:
    query = queries(
        ENVOY, {ENVOY.views[0]: [(("envoy_cluster_name", name),)]}, outcomes=USUAL, requests_seconds=1, latencies_seconds=1
    ).requests[0]
    start = query.index("envoy_cluster_name=~") + len("envoy_cluster_name=~")
    pattern = unquote(query[start : query.rindex("}[")])
    assert re.fullmatch(pattern, name)
    assert not re.fullmatch(pattern, name + "x")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
)
def test_a_literal_matches_itself_and_nothing_else(name: str, other: str) -> None:
    pattern = unquote(quoted(literal(name)))
    assert (re.fullmatch(pattern, other) is not None) == (name == other)


def test_what_an_earlier_rule_lets_pass_is_not_left_out_of_latencies() -> None:
    rules = (
        Rule(when=(Is("tls", ("no",)), Is("code", ("1",))), ended=Ended.FAILED),
        Rule(when=(Begins("code", ("5.",)),), ended=Ended.FAILED),
        Rule(when=(Is("code", ("404",)),), ended=Ended.SERVED),
        Rule(when=(Begins("code", ("4",)),), ended=Ended.FAILED),
    )
    mesh = replace(ISTIO, outcome=rules, told=None)
    asked = queries(
        mesh, {ISTIO.views[0]: [(("a", "b"),)]}, outcomes=[Outcomes(mesh, Failures())], requests_seconds=1, latencies_seconds=1
    )
    (latency,) = asked.latencies
    assert r',code!~"5\\..*",reporter' in latency
    assert "tls" not in latency
    assert "4" not in latency
