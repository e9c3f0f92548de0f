"""What would be written, shown: each value with its path, the object's owner, and what the baseline's ready pods are in for."""

import msgspec
import pytest

from daemon.armpods import ArmPod, ArmPods, PodsByArm
from daemon.cli import rendering, shownplan
from daemon.errors import Refused
from daemon.placement import ObjectName, Placement, PlannedObject, RouteChange, RouteReference, ValueChange

WEB = ObjectName(kind="VirtualService", name="web", namespace="shop")
PLANNED = PlannedObject(
    object=WEB,
    changes=(RouteChange(place="http #0", detail="weight 10 of v2 -> v1"),),
    values=(
        ValueChange(path="/spec/http/0/route/1/weight", before="10", after="0"),
        ValueChange(path="/spec/http/0/mirror", before='{"host":"web"}'),
        ValueChange(path="/metadata/labels/a.b~1c", after='"x"'),
    ),
)
OWNED = {("", WEB): "Flagger (shop/web)"}


def arm(ready: int, *, pods: int | None = None) -> ArmPods:
    there = range(ready if pods is None else pods)
    return ArmPods(pods=tuple(ArmPod(name=f"p{one}", namespace="shop", address="", ready=one < ready) for one in there))


def placement(percent: float, *, baseline: ArmPods, canary: ArmPods) -> Placement:
    return Placement(routes=(), canary_percent=percent, pods=PodsByArm(baseline=baseline, canary=canary))


def test_each_value_stands_on_a_line_of_its_own_with_its_whole_path() -> None:
    assert list(shownplan.lines([PLANNED], owned=OWNED)) == [
        "VirtualService shop/web, owned by Flagger (shop/web)",
        "  http #0: weight 10 of v2 -> v1",
        "  - spec.http[0].route[1].weight: 10",
        "  + spec.http[0].route[1].weight: 0",
        '  - spec.http[0].mirror: {"host":"web"}',
        "  + metadata.labels['a.b/c']: \"x\"",
    ]


def test_an_object_of_a_further_cluster_says_so_and_what_cannot_be_written_says_why() -> None:
    failed = PlannedObject(object=WEB, cluster="west", failure=Refused("its weights\x1b[2J are none"))
    assert list(shownplan.lines([failed], owned=OWNED)) == [
        "west: VirtualService shop/web",
        "  cannot be written: its weights?[2J are none",
    ]


def test_json_has_the_values_themselves_and_leaves_out_what_is_not_there() -> None:
    [shown] = msgspec.json.decode(rendering.as_json(shownplan.shown([PLANNED], owned=OWNED)))
    assert (shown["kind"], shown["namespace"], shown["owner"], shown["failure"]) == (
        "VirtualService",
        "shop",
        "Flagger (shop/web)",
        "",
    )
    assert shown["changes"] == ["http #0: weight 10 of v2 -> v1"]
    assert shown["values"] == [
        {"path": "/spec/http/0/route/1/weight", "before": 10, "after": 0},
        {"path": "/spec/http/0/mirror", "before": {"host": "web"}},
        {"path": "/metadata/labels/a.b~1c", "after": "x"},
    ]


def test_the_owner_is_the_one_that_the_routes_say() -> None:
    routes = [
        RouteReference(object=WEB, kind="weight", percent=10.0, owner="Flagger"),
        RouteReference(object=WEB, kind="pin", percent=1),
    ]
    assert shownplan.owners(routes) == {("", WEB): "Flagger"}


@pytest.mark.parametrize(
    ("percent", "baseline", "canary", "growth"),
    [
        (10.0, 9, 1, 1.111),
        (100.0, 1, 10, 10.0),
        (90.0, 1, 9, 10.0),
        (50.0, 1, 1, 2.0),
        (0.0, 3, 0, 1.0),
        (10.0, 0, 1, None),
    ],
)
def test_the_load_of_a_ready_pod_is_compared_with_the_busiest_of_now(
    percent: float, baseline: int, canary: int, growth: float | None
) -> None:
    ready = shownplan.ready_pods(placement(percent, baseline=arm(baseline), canary=arm(canary)))
    assert ready is not None
    assert ready.growth == (None if growth is None else pytest.approx(growth, rel=0.01))


def test_one_pod_for_the_traffic_of_ten_is_remarked_on() -> None:
    said = str(shownplan.ready_pods(placement(100.0, baseline=arm(1, pods=2), canary=arm(10))))
    assert said.startswith("ready pods: 1 of the baseline's 2, 10 of the canary's 10; CAREFUL: with all of the traffic")
    assert said.endswith("will get 10 times what the busiest pod gets now")
    assert "CAREFUL" not in str(shownplan.ready_pods(placement(10.0, baseline=arm(9), canary=arm(1))))
    assert str(shownplan.ready_pods(placement(10.0, baseline=arm(0), canary=arm(1)))).endswith(
        "CAREFUL: none could take what comes back"
    )


def test_of_pods_that_are_not_known_nothing_is_said() -> None:
    assert shownplan.ready_pods(Placement(routes=(), canary_percent=10.0)) is None
    assert shownplan.ready_pods(placement(10.0, baseline=ArmPods(unknown="not asked"), canary=arm(1))) is None
