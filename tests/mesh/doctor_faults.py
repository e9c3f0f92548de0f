"""What can be wrong, a row each, and what must be found of it."""

from collections.abc import Mapping, Sequence

from daemon.doctor.diagnosis import Code
from tests.mesh.doctor_world import BCRYPT, Fault, Sidecar

HEALTHY = Fault(name="Nothing is wrong")

_BOTH_PORTS: Sequence[Mapping[str, str]] = ({"endpoint": "15090"}, {"endpoint": "15020"})
_BOTH_CLUSTERS: Sequence[Mapping[str, str]] = ({"cluster": "prod"}, {"cluster": "staging"})


def _dropping(label: str) -> tuple[Mapping[str, object], ...]:
    return ({"action": "labeldrop", "regex": label},)


def _without(series: str) -> tuple[Mapping[str, object], ...]:
    return ({"action": "drop", "source_labels": ["__name__"], "regex": series},)


_REJECTED = ("istiod_uptime_seconds 9", 'pilot_total_xds_rejects{type="cds"} 3')
"""What an istiod shows that has just begun, and whose configuration proxies have refused."""

FAULTS: tuple[Fault, ...] = (
    Fault(
        name="The sidecars' series are missing",
        found=((Code.NO_SERIES, "there is no istio_requests_total"),),
        relabel=_without("istio_.*"),
    ),
    Fault(
        name="Only clients' sidecars are scraped",
        found=((Code.NO_SERIES, 'there is {reporter="source"}'),),
        relabel=({"target_label": "reporter", "replacement": "source", "source_labels": ["reporter"], "regex": "destination"},),
    ),
    Fault(
        name="A label that tells the arms is dropped",
        found=((Code.ARM_WITHOUT_SERIES, "no label destination_workload"),),
        relabel=_dropping("destination_workload"),
    ),
    Fault(
        name="The status is dropped",
        found=((Code.LABEL_MISSING, "response_code"),),
        relabel=_dropping("response_code"),
    ),
    Fault(name="Pods are scraped twice", found=((Code.PODS_TWICE, "web-v1-0"),), jobs=_BOTH_PORTS),
    Fault(
        name="Counters are summed over pods",
        found=((Code.SUMMED_COUNTERS, "sums over"),),
        relabel=_dropping("pod|instance"),
    ),
    Fault(
        name="One store holds two clusters",
        found=((Code.MIXED_CLUSTERS, "'prod', 'staging'"),),
        jobs=_BOTH_CLUSTERS,
    ),
    Fault(
        name="Scrapes are far apart",
        found=((Code.SLOW_SAMPLES, "samples are 2"),),
        interval="21s",
        scrapes=2,
        # How far apart they are is known at once; that nothing is counted before the next one is no fault.
        also=(Code.OBSERVED_TOO_SHORT,),
        observe_seconds=5.0,
    ),
    Fault(
        name="Samples come late",
        found=((Code.LATE_SAMPLES, "samples come up to 1"),),
        sidecars=lambda: (Sidecar("v1", late_seconds=15.0), Sidecar("v2", late_seconds=15.0)),
        observe_seconds=40.0,
    ),
    Fault(
        name="Samples are too old",
        found=((Code.STALE_DATA, "s old: none of them counts"),),
        sidecars=lambda: (Sidecar("v1", late_seconds=40.0), Sidecar("v2", late_seconds=40.0)),
        telemetry={"stale_after_seconds": 30.0},
    ),
    Fault(
        name="Our clock is ahead",
        found=((Code.CLOCK_OFF, "behind ours"),),
        ahead_seconds=15.0,
        observe_seconds=40.0,
    ),
    Fault(
        name="Our clock is far ahead",
        # By whole seconds, and by how long the question took: 599 or 601 may be said too.
        found=((Code.CLOCK_SKEW, "s behind ours: all its samples are taken for too old"),),
        ahead_seconds=600.0,
    ),
    Fault(
        name="Buckets are blunt",
        found=((Code.BLUNT_BUCKETS, "cannot be told by these buckets"),),
        sidecars=lambda: tuple(Sidecar(version, bounds_ms=("10", "1000")) for version in ("v1", "v2")),
        policy={"tolerances": {"latency": {"typical": 1.1, "slow_end": 1.1}}},
    ),
    Fault(
        name="There is no latency",
        found=((Code.NO_LATENCY, "there is no histogram"),),
        relabel=_without("istio_request_duration_.*"),
    ),
    Fault(
        name="Ages of pods are unknown",
        found=((Code.AGES_UNKNOWN, "since when pods run"),),
        relabel=_without("envoy_server_uptime"),
    ),
    Fault(name="Denials are unknown", found=((Code.DENIALS_UNKNOWN, "denied by policy"),), relabel=_without(".*rbac.*")),
    Fault(
        name="The canary gets no request",
        found=((Code.NO_REQUESTS, "the canary was sent no request"),),
        sidecars=lambda: (Sidecar("v1"), Sidecar("v2", idle=True)),
    ),
    Fault(
        name="It was looked for too short a time",
        found=((Code.OBSERVED_TOO_SHORT, "too short for anything to be counted"),),
        observe_seconds=0.1,
    ),
    Fault(
        name="Sidecars are read by the daemon only",
        found=((Code.SIDECARS_UNSEEN, "telemetry.mesh is watched in their place"),),
        sidecars_entry=True,
    ),
    Fault(
        name="The control plane is not scraped",
        found=((Code.CONTROL_PLANE_UNSEEN, "istio_build"),),
        scrapes_istiod=False,
    ),
    Fault(
        name="The control plane is broken",
        found=((Code.CONTROL_PLANE_BROKEN, "proxies have rejected configuration of istiod"),),
        sidecars=lambda: (Sidecar("v1"), Sidecar("v2", beside=_REJECTED)),
    ),
    Fault(
        name="The server asks for a password",
        found=((Code.TELEMETRY_FORBIDDEN, "answered 401"),),
        web={"basic_auth_users": {"verdictd": BCRYPT}},
    ),
    Fault(
        name="Nobody answers at the telemetry's address",
        found=((Code.TELEMETRY_UNREACHABLE, "Connect"),),
        telemetry={"url": "http://127.0.0.1:9"},
    ),
    Fault(
        name="Nobody answers at the API server's address",
        found=((Code.CLUSTER_UNREACHABLE, "GET /version"),),
        also=(Code.NOT_EXAMINED, Code.ARMS_BY_NAME),
        api_dead=True,
    ),
    Fault(
        name="The API server does not know us",
        found=((Code.CLUSTER_FORBIDDEN, "401"),),
        also=(Code.NOT_EXAMINED, Code.ARMS_BY_NAME),
        account="stranger",
    ),
    Fault(
        name="Rights are missing",
        found=(
            (Code.PERMISSION_MISSING, "may not patch virtualservices"),
            (Code.PERMISSION_NARROW, "in all namespaces"),
        ),
        also=(Code.NOT_EXAMINED, Code.ARMS_BY_NAME, Code.PERMISSION_MISSING),
        account="bare",
    ),
    Fault(
        name="The canary's subset chooses no pod",
        found=((Code.ARM_WITHOUT_PODS, "canary: no pod is behind it (chosen by app=web, version=typo)"),),
        release={"service": "api"},
    ),
    Fault(
        name="Nobody is behind the baseline",
        found=((Code.NO_BASELINE, "a revert would be blocked"),),
        also=(Code.ARM_WITHOUT_PODS,),
        release={"service": "api", "baseline": {"subset": "v2"}, "canary": {"subset": "v1"}},
    ),
    Fault(
        name="No route names the canary",
        found=((Code.NO_ROUTE, ""),),
        also=(Code.ARMS_BY_NAME, Code.ARM_WITHOUT_SERIES),
        release={"canary": {"subset": "v9"}},
    ),
    Fault(
        name="Nobody answers at the broker's address",
        found=((Code.BROKER_UNREACHABLE, "127.0.0.1:9"),),
        settings={"nats": {"url": "nats://127.0.0.1:9", "connect_timeout_seconds": 2.0}},
    ),
)
