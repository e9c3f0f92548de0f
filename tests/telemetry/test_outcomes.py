"""What counts as a failed request: the team's word in the policy, read from the labels of each mesh."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from config.policy import Failures
from daemon.measurements import Watch
from daemon.meshes.consul.telemetry import SCHEMA as CONSUL
from daemon.meshes.envoy.telemetry import SCHEMA as ENVOY
from daemon.meshes.envoygateway.telemetry import SCHEMA as GATEWAY
from daemon.meshes.istio.telemetry import SCHEMA as ISTIO
from daemon.meshes.linkerd.telemetry import SCHEMA as LINKERD
from daemon.meshes.osm.telemetry import SCHEMA as OSM
from daemon.model import ArmSpec, Release
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.deltas import deltas
from daemon.telemetry.counters.readings import make_arm
from daemon.telemetry.counters.series import CANARY, SeriesIndex
from daemon.telemetry.outcomes import Ending, Outcomes, cannot_tell
from daemon.telemetry.schema import Ended, Schema
from tests.telemetry.made_up import LINKED

USUAL = Failures()
ALL_THERE = {"response_flags": "-", "request_protocol": "http"}


def ended(labels: Mapping[str, str], failures: Failures = USUAL, schema: Schema = ISTIO) -> Ended:
    """How requests with these labels ended."""
    return Outcomes(schema, failures).of(Ending(labels))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"response_code": "200"}, Ended.SERVED),
        ({"response_code": "404"}, Ended.SERVED),
        ({"response_code": "429"}, Ended.SERVED),
        ({"response_code": "503", "response_flags": "-"}, Ended.FAILED),
        ({"response_code": "503", "response_flags": "UF,URX"}, Ended.FAILED),
        ({"response_code": "503", "response_flags": "FI"}, Ended.EXCUSED),
        ({"response_code": "0", "response_flags": "UR"}, Ended.FAILED),
        ({"response_code": "200", "response_flags": "DC"}, Ended.SERVED),
        ({"response_code": "200", "grpc_response_status": "0"}, Ended.SERVED),
        ({"response_code": "200", "grpc_response_status": ""}, Ended.SERVED),
        ({"response_code": "200", "grpc_response_status": "5"}, Ended.SERVED),
        ({"response_code": "200", "grpc_response_status": "7"}, Ended.FORBIDDEN),
        ({"response_code": "403", "response_flags": "-"}, Ended.FORBIDDEN),
        ({"response_code": "403", "response_flags": "FI"}, Ended.EXCUSED),
        ({"response_code": "200", "grpc_response_status": "13"}, Ended.FAILED),
        ({"response_code": "200", "grpc_response_status": "14"}, Ended.FAILED),
    ],
)
def test_by_default_a_failure_is_what_it_always_was(labels: dict[str, str], expected: Ended) -> None:
    assert ended(labels) is expected


@pytest.mark.parametrize(
    "labels",
    [
        {"response_code": "0", "response_flags": "DC"},
        {"response_code": "0", "response_flags": "UPE,DC"},
        {"response_code": "499", "response_flags": "DC"},
        {"response_code": "200", "response_flags": "DC", "request_protocol": "grpc"},
    ],
)
def test_clients_that_gave_up_are_no_failures_but_a_signal_of_their_own(labels: dict[str, str]) -> None:
    assert ended(labels) is Ended.UNANSWERED
    assert ended(labels, Failures(gave_up="failures")) is Ended.FAILED
    assert ended(labels, Failures(gave_up="excused")) is Ended.EXCUSED


def test_without_flags_nobody_is_blamed_for_a_request_without_a_response() -> None:
    """Both arms' shares are held against each other, unless the policy takes clients and servers for the same anyway."""
    assert ended({"response_code": "0"}) is Ended.UNANSWERED
    assert ended({"response_code": "0"}, Failures(gave_up="failures")) is Ended.FAILED
    assert ended({"response_code": "0"}, Failures(gave_up="excused")) is Ended.UNANSWERED
    assert ended({"response_code": "0", "response_flags": "UC"}, Failures(resets="unanswered")) is Ended.UNANSWERED


@pytest.mark.parametrize(
    ("failures", "failed", "served"),
    [
        (Failures(status=("5xx", 404)), ("404", "500"), ("400", "429", "200")),
        (Failures(status=("4xx", "5xx"), not_status=(404,)), ("400", "429", "503"), ("404", "200")),
        (Failures(status=("5xx",), not_status=(501, 503)), ("500", "502"), ("501", "503")),
        (Failures(status=(429,), not_status=("4xx",)), ("429",), ("400", "500")),
        (Failures(status=(503,)), ("503",), ("500", "404")),
    ],
)
def test_status_codes_and_classes_are_the_teams_to_name(
    failures: Failures, failed: tuple[str, ...], served: tuple[str, ...]
) -> None:
    """A code that is named by itself counts, whatever is said of its class."""
    assert [ended({**ALL_THERE, "response_code": code}, failures) for code in failed] == [Ended.FAILED] * len(failed)
    assert [ended({**ALL_THERE, "response_code": code}, failures) for code in served] == [Ended.SERVED] * len(served)


def test_grpc_statuses_and_flags_are_too() -> None:
    exhausted = {"response_code": "200", "grpc_response_status": "8", "response_flags": "-"}
    assert ended(exhausted) is Ended.SERVED
    assert ended(exhausted, Failures(grpc_status=("RESOURCE_EXHAUSTED", "UNAUTHENTICATED"))) is Ended.FAILED
    assert ended({**exhausted, "grpc_response_status": "13"}, Failures(grpc_status=("UNAUTHENTICATED",))) is Ended.SERVED
    late = {"response_code": "504", "response_flags": "UT"}
    assert ended(late, Failures(status=(500,))) is Ended.SERVED
    assert ended(late, Failures(status=(500,), flags=("UT",))) is Ended.FAILED
    assert ended({"response_code": "503", "response_flags": "RL"}, Failures(excused_flags=("FI", "RL"))) is Ended.EXCUSED
    assert ended({"response_code": "503", "response_flags": "FI"}, Failures(excused_flags=())) is Ended.FAILED


@pytest.mark.parametrize(
    ("failures", "code", "grpc"),
    [
        (USUAL, Ended.FORBIDDEN, Ended.FORBIDDEN),
        (Failures(status=("4xx", "5xx")), Ended.REFUSED, Ended.FORBIDDEN),
        (Failures(status=(403,)), Ended.REFUSED, Ended.FORBIDDEN),
        (Failures(status=("4xx",), not_status=(403,)), Ended.FORBIDDEN, Ended.FORBIDDEN),
        (Failures(grpc_status=("PERMISSION_DENIED",)), Ended.FORBIDDEN, Ended.REFUSED),
    ],
)
def test_what_looks_like_a_denial_stays_one_until_the_filter_says_how_many_it_denied(
    failures: Failures, code: Ended, grpc: Ended
) -> None:
    assert ended({"response_code": "403", "response_flags": "-"}, failures) is code
    assert ended({"response_code": "200", "grpc_response_status": "7", "response_flags": "-"}, failures) is grpc


@pytest.mark.parametrize(
    ("labels", "failures", "missing"),
    [
        ({"response_flags": "-"}, USUAL, ["grpc_response_status", "response_code"]),
        ({"response_code": "200", "request_protocol": "grpc", "response_flags": "-"}, USUAL, ["grpc_response_status"]),
        ({"response_code": "200"}, Failures(flags=("UT",)), ["response_flags"]),
        ({"response_code": "503"}, Failures(mirrored="excused"), ["request_host"]),
    ],
)
def test_a_label_that_is_absent_is_no_good_news(labels: dict[str, str], failures: Failures, missing: list[str]) -> None:
    outcomes = Outcomes(ISTIO, failures)
    assert [outcomes.counted(Ending({**labels, "more": str(n)})) for n in range(3)] == [Ended.UNCLASSIFIED] * 3
    assert sorted(outcomes.missing) == missing


def test_the_meshes_that_say_themselves_what_failed_have_no_good_news_without_their_word() -> None:
    assert ended({"direction": "inbound", "status_code": "200"}, schema=LINKERD) is Ended.UNCLASSIFIED
    assert ended({"classification": "success", "status_code": "200"}, schema=LINKERD) is Ended.SERVED
    assert ended({}, schema=OSM) is Ended.UNCLASSIFIED
    assert ended({"response_code": "200"}, schema=OSM) is Ended.SERVED
    assert ended({"envoy_response_code_class": "2"}, schema=OSM) is Ended.SERVED
    assert [ended({}, schema=schema) for schema in (CONSUL, GATEWAY)] == [Ended.UNCLASSIFIED] * 2


def test_what_only_counters_tell_is_not_missed_of_latencies() -> None:
    outcomes = Outcomes(ENVOY, USUAL)
    assert outcomes.of(Ending({})) is Ended.UNCLASSIFIED
    assert not outcomes.missing
    assert outcomes.counted(Ending({}, Ended.FAILED_AMONG)) is Ended.FAILED_AMONG
    assert not outcomes.missing


def test_a_failure_that_is_told_is_one_whatever_else_is_absent() -> None:
    assert ended({"grpc_response_status": "13"}) is Ended.FAILED
    assert ended({"response_code": "503"}, Failures(flags=("UT",))) is Ended.FAILED
    assert ended({"grpc_response_status": "0"}) is Ended.SERVED
    assert ended({"response_code": "200", "request_protocol": "grpc"}, Failures(grpc_status=())) is Ended.SERVED
    assert ended({}, Failures(status=(), flags=("UT",))) is Ended.UNCLASSIFIED


@pytest.mark.parametrize(
    ("host", "mirrored"), [("web-shadow", True), ("web-shadow:8080", True), ("web", False), ("a-shadow.b", False)]
)
def test_copies_that_a_route_makes_are_left_out_where_they_can_be_told(host: str, mirrored: bool) -> None:
    labels = {"response_code": "503", "request_host": host}
    assert ended(labels, Failures(mirrored="excused")) is (Ended.EXCUSED if mirrored else Ended.FAILED)
    assert ended(labels) is Ended.FAILED


def test_envoy_fails_by_class() -> None:
    by_class = {code: ended({"envoy_response_code_class": code}, schema=ENVOY) for code in "2345"}
    assert by_class == {"2": Ended.SERVED, "3": Ended.SERVED, "4": Ended.SERVED, "5": Ended.FAILED}
    assert ended({"envoy_response_code_class": "4"}, Failures(status=("4xx",)), ENVOY) is Ended.FAILED
    assert ended({}, schema=ENVOY) is Ended.UNCLASSIFIED


def test_a_mesh_that_says_itself_what_failed_has_the_last_word() -> None:
    assert ended({"classification": "failure"}, schema=LINKED) is Ended.FAILED
    assert ended({"classification": "success"}, Failures(status=("2xx",)), LINKED) is Ended.SERVED


def test_a_mesh_that_has_a_status_of_its_own_kind_and_a_word_of_its_own_uses_both() -> None:
    own = replace(LINKED, told=replace(ISTIO.told, status="status_code", flags=None)) if ISTIO.told else LINKED
    assert ended({"classification": "failure", "status_code": "200"}, schema=own) is Ended.FAILED
    assert ended({"classification": "success", "status_code": "404"}, Failures(status=(404,)), own) is Ended.FAILED


@pytest.mark.parametrize(
    ("schema", "failures", "said"),
    [
        (ISTIO, Failures(status=(404,), flags=("UT",), mirrored="excused", gave_up="excused"), []),
        (ENVOY, Failures(status=("4xx",)), []),
        (ENVOY, Failures(status=(404,)), ["failures.status: envoy telemetry has classes only and cannot tell 404; write 4xx"]),
        (
            ENVOY,
            Failures(not_status=(501,)),
            ["failures.not_status: envoy telemetry has classes only and cannot tell 501; write 5xx"],
        ),
        (ENVOY, Failures(grpc_status=("ABORTED",)), ["failures.grpc_status: envoy telemetry has none; leave it out"]),
        (
            ENVOY,
            Failures(flags=("UT",), gave_up="failures", mirrored="excused"),
            [
                "failures.flags: envoy telemetry has no response flags; leave it out",
                "failures.gave_up: envoy telemetry has no response flags; leave it out",
                "failures.mirrored: envoy telemetry cannot tell copies from other requests; leave it out",
            ],
        ),
        (LINKED, USUAL, []),
        (
            LINKED,
            Failures(status=(404,)),
            ["failures.status: linked telemetry says itself what failed, and no status; leave it out"],
        ),
    ],
)
def test_what_a_policy_asks_and_a_mesh_never_tells_is_said_with_what_to_do(
    schema: Schema, failures: Failures, said: list[str]
) -> None:
    assert list(cannot_tell(schema, failures)) == said


def watch(release_id: str, failures: Failures = USUAL) -> Watch:
    baseline, canary = ArmSpec(workload="web-v1"), ArmSpec(workload="web-v2")
    return Watch(release_id=release_id, release=Release(service="web", baseline=baseline, canary=canary), failures=failures)


def shown(index: SeriesIndex, counts: Mapping[tuple[str, str], float], *, denied: float = 0.0) -> Collection:
    """The canary's pod with so many requests by code and flags; each of them took 1 ms."""
    into = Collection(denials_known=True)
    for (code, flags), value in counts.items():
        labels = {
            "reporter": "destination",
            "destination_workload": "web-v2",
            "destination_workload_namespace": "default",
            "response_code": code,
            "response_flags": flags,
        }
        for name, more in (
            ("istio_requests_total", {}),
            ("istio_request_duration_milliseconds_bucket", {"le": "5"}),
            ("istio_request_duration_milliseconds_bucket", {"le": "+Inf"}),
            ("istio_request_duration_milliseconds_sum", {}),
        ):
            series = index.learn((name, code, flags, str(more)), name, {**labels, **more})
            assert series is not None
            into.add(series, value, target="p", pod="p", at=5.0, spacing_seconds=1.0)
    series = index.learn("d", "envoy_http_rbac_denied", {"authz_enforce_result": "denied"})
    assert series is not None
    into.add_metadata(series, denied, target="p", at=5.0)
    return into


def counted(index: SeriesIndex, into: Collection, release_id: str) -> tuple[int, int, int, int, int, int]:
    """Requests, errors, denied, unanswered, unclassified, and those with a latency."""
    snapshots = into.snapshots(index.arms[release_id][CANARY])
    arm = make_arm(deltas({}, snapshots, begun={"p": 1.0}), None, server_side=True)
    timed = sum(histogram.total for histogram in snapshots["p"].histograms.values())
    return (arm.requests, arm.errors, arm.denied, arm.unanswered, arm.unclassified, timed)


def test_one_page_is_counted_by_each_releases_own_policy() -> None:
    """Two releases of the same arms under two policies, read once."""
    index = SeriesIndex(ISTIO)
    index.watch([watch("usual"), watch("strict", Failures(status=("4xx", "5xx"), gave_up="failures"))])
    page = {("200", "-"): 100.0, ("404", "-"): 10.0, ("503", "UF"): 3.0, ("0", "DC"): 7.0, ("", "-"): 5.0, ("503", "FI"): 50.0}
    into = shown(index, page)
    assert counted(index, into, "usual") == (118, 3, 0, 7, 5, 115)
    assert counted(index, into, "strict") == (125, 20, 0, 0, 5, 105)


@pytest.mark.parametrize(("denied", "failed"), [(0.0, 10), (4.0, 6), (10.0, 0), (30.0, 0)])
def test_where_403_is_a_failure_what_the_filter_denied_is_none(denied: float, failed: int) -> None:
    index = SeriesIndex(ISTIO)
    index.watch([watch("r", Failures(status=(403,)))])
    requests, errors, counted_denied, *_ = counted(
        index, shown(index, {("200", "-"): 90.0, ("403", "-"): 10.0}, denied=denied), "r"
    )
    assert (requests, errors, counted_denied) == (90 + failed, failed, min(denied, 10.0))


def test_what_was_learnt_is_forgotten_with_the_series_and_with_the_policy() -> None:
    index = SeriesIndex(ISTIO)
    index.watch([watch("a"), watch("b"), watch("c", Failures(status=(404,)))])
    assert len(index.outcomes) == 2
    first = index.outcomes[0]
    shown(index, {(str(code), "-"): 1.0 for code in range(200, 600)})
    assert len(first._known) == 400
    index.tidy(0)
    assert not first._known
    index.watch([watch("a")])
    assert list(index.outcomes) == [first]
