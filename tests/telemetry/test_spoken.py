"""A store's own names, matchers, reporter and parameters: a schema like the mesh's, and what cannot be meant refused by path."""

from typing import Any

import pytest

from config.errors import ConfigError
from config.policy import Failures
from config.settings import PrometheusTelemetry
from daemon.measurements import Watch
from daemon.meshes.envoy.telemetry import SCHEMA as ENVOY
from daemon.meshes.istio.telemetry import SCHEMA as ISTIO
from daemon.settings import settings_of
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.outcomes import Ending, Outcomes
from daemon.telemetry.prometheus.query import metadata_query, queries
from daemon.telemetry.schema import Ended, Schema
from daemon.telemetry.spoken import labels_of, spoken
from tests.telemetry.support import workloads


def schema(**settings: Any) -> Schema:
    return spoken(ISTIO, PrometheusTelemetry(url="http://store:9090", dialect="istio", **settings))


def requests(made: Schema) -> str:
    index = SeriesIndex(made)
    index.watch([workloads()])
    return queries(made, index.selectors, outcomes=index.outcomes, requests_seconds=15.0, latencies_seconds=15.0).requests[0]


def test_with_nothing_said_the_schema_is_the_meshs() -> None:
    assert requests(schema()) == requests(ISTIO)
    made = schema()
    assert (made.outcome, made.told, made.about, made.target, made.scrapers) == (
        ISTIO.outcome,
        ISTIO.told,
        ISTIO.about,
        ISTIO.target,
        ISTIO.scrapers,
    )


def test_matchers_are_in_every_query_and_take_nothing_for_a_pattern() -> None:
    made = schema(matchers={"cluster": 'pr.*od"', "env": "live"})
    assert 'cluster="pr.*od\\"",env="live",reporter="destination"' in requests(made)
    about = metadata_query(made.about, {"10.0.0.7:15020"}, ages=True, window_seconds=2.0)
    assert about is not None
    assert 'cluster="pr.*od\\"",env="live"' in about


def test_a_series_of_another_cluster_is_not_ours_even_where_a_store_answers_with_it() -> None:
    index = SeriesIndex(schema(matchers={"cluster": "prod"}))
    index.watch([workloads()])
    labels = {"reporter": "destination", "destination_workload": "web-v2", "destination_workload_namespace": "default"}
    assert index.learn("staging", "istio_requests_total", {**labels, "cluster": "staging"}) is None
    assert index.learn("prod", "istio_requests_total", {**labels, "cluster": "prod"}) is not None


def test_a_matcher_on_a_label_of_the_mesh_is_asked_of_requests_only() -> None:
    made = schema(reporter="gateway", matchers={"source_workload": "public-gateway"})
    assert made.views[0].always == (("reporter", "source"), ("source_workload", "public-gateway"))
    assert made.about.always == ()


@pytest.mark.parametrize("reporter", ["destination", "source", "waypoint"])
def test_a_reporter_is_asked_for_and_only_its_own_pods_are_the_arms_pods(reporter: str) -> None:
    made = schema(reporter=reporter)
    assert f'reporter="{reporter}"' in requests(made)
    assert [view.server_side for view in made.views] == [reporter == "destination"] * 2, "of requests and of connections"


def test_a_label_that_the_store_calls_otherwise_is_so_wherever_it_is_read() -> None:
    names = {"response_code": "code", "destination_workload": "dst", "pod": "kubernetes_pod_name", "instance": "target"}
    made = schema(labels=names)
    assert 'dst=~"web-v1|web-v2"' in requests(made)
    assert Outcomes(made, Failures()).of(Ending({"code": "503"})) is Ended.FAILED
    assert "target=~" in (metadata_query(made.about, {"a:1"}, ages=True, window_seconds=2.0) or "")
    index = SeriesIndex(made)
    index.watch([workloads()])
    labels = {"reporter": "destination", "dst": "web-v2", "destination_workload_namespace": "default", "kubernetes_pod_name": "p"}
    series = index.learn("x", "istio_requests_total", labels)
    assert series is not None
    assert (series.pod, len(series.label_set.arms)) == ("p", 1)
    assert not labels_of(made) & names.keys()


def test_replicas_told_apart_by_a_label_of_ones_own_are_scrapers_of_one_pod() -> None:
    def scrapers(**settings: Any) -> set[str]:
        index = SeriesIndex(schema(**settings))
        index.watch([workloads()])
        labels = {"reporter": "destination", "destination_workload": "web-v2", "destination_workload_namespace": "default"}
        copies = [index.learn(name, "istio_requests_total", {**labels, "collector": name}) for name in ("a", "b")]
        return {one.scraper for one in copies if one is not None}

    assert scrapers() == {""}
    assert scrapers(replica_labels=["collector"]) == {"a", "b"}


def test_what_a_proxy_says_of_a_request_is_so_by_the_stores_names_too() -> None:
    """Series that differ in it only are of one form: callers and answers come and go."""
    index = SeriesIndex(schema(labels={"response_code": "code"}))
    index.watch([workloads()])
    labels = {"reporter": "destination", "destination_workload": "web-v2", "destination_workload_namespace": "default"}
    series = [index.learn(code, "istio_requests_total", {**labels, "code": code}) for code in ("200", "503")]
    assert len({one.form for one in series if one is not None}) == 1


def refused(**entry: Any) -> list[tuple[str, str, str]]:
    telemetry = {"prom": {"kind": "prometheus", "url": "http://store:9090", "dialect": "istio", **entry}}
    with pytest.raises(ConfigError) as caught:
        settings_of({"telemetry": telemetry}, source="verdictd.yaml")
    return [(fault.path, fault.message, fault.fix) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("entry", "path", "fix"),
    [
        ({"reporter": "client"}, "telemetry.prom.reporter", "write one of destination, gateway, source, waypoint"),
        ({"dialect": "envoy", "reporter": "source"}, "telemetry.prom.reporter", "leave it out"),
        (
            {"labels": {"destination_worklod": "dst"}},
            "telemetry.prom.labels.destination_worklod",
            "did you mean destination_workload?",
        ),
        ({"labels": {"pod": "not a label"}}, "telemetry.prom.labels", "use the name of a label"),
        ({"matchers": {"clus-ter": "prod"}}, "telemetry.prom.matchers", "use the name of a label"),
        ({"matchers": {"reporter": "source"}}, "telemetry.prom.matchers.reporter", "choose it by telemetry.prom.reporter"),
        ({"matchers": {"__name__": "x"}}, "telemetry.prom.matchers.__name__", "leave it out"),
        ({"replica_labels": ["replica-1"]}, "telemetry.prom.replica_labels[0]", "use the name of a label"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_path_and_the_fix(entry: dict[str, Any], path: str, fix: str) -> None:
    found = refused(**entry)
    assert any(at.startswith(path) and fix in mend for at, _, mend in found), found


def test_every_reporter_of_a_mesh_tells_its_arms_by_the_meshs_labels() -> None:
    assert set(ISTIO.reporters) == {"destination", "source", "waypoint", "gateway"}
    assert ENVOY.reporters == {}
    for view, _ in ISTIO.reporters.values():
        index = SeriesIndex(spoken(ISTIO, PrometheusTelemetry(url="http://x:1", dialect="istio")))
        index.watch([Watch(release_id="r", release=workloads().release)])
        assert index.unknowable == {}
        assert view.arms.namespace == "destination_workload_namespace"
