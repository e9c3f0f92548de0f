"""Second Deployments behind a Service: observed by their pods beside what served before, until either is gone."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.aio.tasks import background
from daemon.errors import InvalidInput, Unavailable
from daemon.kube.resources import PODS, REPLICA_SETS, SERVICES
from daemon.model import ArmSpec, Release
from daemon.watcher.deployed import DEPLOYMENTS
from tests.watcher.world import Json, World, destination_rule, service, virtual_service


def put(
    world: World,
    name: str,
    *,
    image: str = "reg/web:1",
    number: int = 1,
    wanted: int = 1,
    ready: int | None = None,
    updated: int | None = None,
    proxy: str = "istio-proxy",
    said: dict[str, str] | None = None,
    owner: str = "",
    uid: str = "",
    **labels: str,
) -> None:
    """A Deployment as its controller has brought it so far, with its newest ReplicaSet and a pod of that."""
    uid = uid or f"d-{name}"
    told = {"app": "web", **labels}
    hashed = {**told, "pod-template-hash": f"{name}-{number}"}
    template = {"metadata": {"labels": told}, "spec": {"containers": [{"name": "web", "image": image}]}}
    revision = {"deployment.kubernetes.io/revision": str(number)}
    owners = [{"uid": owner, "controller": True}] if owner else []
    metadata = {"name": name, "namespace": "shop", "uid": uid, "generation": 1, "annotations": {**revision, **(said or {})}}
    status = {"observedGeneration": 1, "replicas": wanted, "updatedReplicas": wanted if updated is None else updated}
    status["readyReplicas"] = wanted if ready is None else ready
    owned = {
        "name": f"{name}-{number}",
        "namespace": "shop",
        "uid": f"s-{name}-{number}",
        "labels": hashed,
        "annotations": revision,
        "ownerReferences": [{"uid": uid, "controller": True}],
    }
    world.cluster.feed(REPLICA_SETS).put(
        {"kind": "ReplicaSet", "metadata": owned, "spec": {"template": template}, "status": {"replicas": wanted}}
    )
    pod = {"name": f"{name}-{number}-1", "namespace": "shop", "labels": hashed}
    world.cluster.feed(PODS).put({"kind": "Pod", "metadata": pod, "spec": {"containers": [{"name": "web"}, {"name": proxy}]}})
    world.cluster.feed(DEPLOYMENTS).put(
        {
            "kind": "Deployment",
            "metadata": {**metadata, "ownerReferences": owners},
            "spec": {"replicas": wanted, "template": template},
            "status": status,
        }
    )


def serve(world: World, name: str = "web", annotations: dict[str, str] | None = None, **selector: str) -> None:
    item: Json = service(name, annotations)
    item["spec"]["selector"] = {"app": "web", **selector}
    world.cluster.feed(SERVICES).put(item)


def canary(world: World, **more: Any) -> None:
    put(world, **{"name": "web-canary", "image": "reg/web:2", "track": "canary", **more})


@pytest.fixture
async def world() -> World:
    """A Service that one Deployment served when it was looked at last."""
    world = World(pairs_by="istio", updates_by="istio")
    serve(world)
    put(world, "web", wanted=3)
    async with world.running():
        await world.turns()
    assert world.releases == []
    return world


def reasons(world: World) -> list[str]:
    return [command.reason for _, command in world.ended]


async def test_a_second_deployment_is_one_release_by_its_pods_once_they_are_ready_and_over_when_they_are_gone(world: World) -> None:
    async with world.running():
        canary(world, ready=0)
        await world.turns()
        assert world.releases == []
        for ready in (1, 0, 1):
            canary(world, ready=ready)
            await world.turns()
        (release,) = world.releases
        assert world.ended == []
        canary(world, wanted=0)
        await world.turns()
    assert (release.service, release.namespace, release.mesh, release.policy) == ("web", "shop", "istio", "default")
    assert (release.strategy, release.observe, release.artifact) == ("pods", True, "reg/web:2")
    assert release.baseline == ArmSpec(workload="web", labels={"pod-template-hash": "web-1"})
    assert release.canary == ArmSpec(workload="web-canary", labels={"pod-template-hash": "web-canary-1"})
    assert [release_id for release_id, _ in world.ended] == list(world.submitted)
    assert reasons(world) == ["Deployment web-canary has no pods behind it any more"]


@pytest.mark.parametrize("gone", ["the canary", "the baseline", "the service", "all of it", "not chosen any more"])
async def test_over_restarts_it_is_the_same_release_and_ends_also_where_it_did_while_no_daemon_ran(world: World, gone: str) -> None:
    canary(world)
    for _ in range(2):
        async with world.running():
            await world.turns()
    assert len(world.submitted) == 1
    deployments = world.cluster.feed(DEPLOYMENTS)
    match gone:
        case "the canary":
            deployments.remove("web-canary")
        case "the baseline":
            deployments.remove("web")
        case "the service":
            world.cluster.feed(SERVICES).remove("web")
        case "all of it":
            world.cluster.feed(SERVICES).remove("web")
            for name in ("web", "web-canary"):
                deployments.remove(name)
        case _:
            serve(world, track="stable")
    for _ in range(2):
        async with world.running():
            await world.turns()
    assert len(world.ended) == len(world.releases) == 1
    assert bool(world.serving.data) is (gone in {"the canary", "the baseline"})


async def test_what_is_kept_of_a_service_goes_with_its_deployments(world: World) -> None:
    async with world.running():
        assert len(world.serving.data) == 1
        world.cluster.feed(DEPLOYMENTS).remove("web")
        await world.turns()
    assert not world.serving.data


async def test_a_static_picture_and_deployments_that_come_together_open_nothing_whichever_is_ready_first() -> None:
    world = World(pairs_by="istio")
    serve(world)
    async with world.running():
        put(world, "web", ready=0)
        await world.turns()
        canary(world, ready=0)
        await world.turns()
        put(world, "web")
        await world.turns()
        canary(world)
        await world.turns()
    assert world.releases == []
    world.serving.data.clear()
    async with world.running():
        await world.turns()
    assert world.releases == []


async def test_one_that_came_while_no_daemon_ran_is_noticed_and_one_that_comes_again_is_another_attempt(world: World) -> None:
    canary(world)
    async with world.running():
        await world.turns()
        assert len(world.releases) == 1
        canary(world, wanted=0)
        await world.turns()
        canary(world)
        await world.turns()
    assert len(world.releases) == 2
    assert len(world.ended) == 1


async def test_a_canary_that_stands_is_compared_when_it_runs_another_version_and_its_own_update_is_no_release(world: World) -> None:
    async with world.running():
        canary(world, image="reg/web:1")
        await world.turns()
        assert world.releases == [], "the same version"
        canary(world, image="reg/web:2", number=2, wanted=2, updated=1)
        old: Json = world.cluster.feed(REPLICA_SETS).objects["web-canary-1"]
        world.cluster.feed(REPLICA_SETS).put({**old, "status": {"replicas": 1}})
        await world.turns()
        assert world.releases == [], "its pods are of two templates"
        canary(world, image="reg/web:2", number=2)
        await world.turns()
        (release,) = world.releases
        assert release.canary.labels == {"pod-template-hash": "web-canary-2"}
        canary(world, image="reg/web:3", number=3)
        await world.turns()
    assert [one.artifact for one in world.releases] == ["reg/web:2", "reg/web:3"]
    assert reasons(world) == ["Deployment web-canary has another template by now"]


async def test_a_promotion_by_the_older_ones_image_ends_it_and_opens_no_second_one(world: World) -> None:
    async with world.running():
        canary(world)
        await world.turns()
        put(world, "web", image="reg/web:2", number=2, wanted=3)
        await world.turns()
        canary(world, wanted=0)
        await world.turns()
    assert len(world.releases) == 1
    assert reasons(world) == ["Deployment web has another template by now"]


async def test_an_older_one_that_is_merely_restarted_is_another_attempt_once_that_is_over(world: World) -> None:
    async with world.running():
        canary(world)
        await world.turns()
        put(world, "web", number=2, wanted=4, updated=1)
        old: Json = world.cluster.feed(REPLICA_SETS).objects["web-1"]
        world.cluster.feed(REPLICA_SETS).put(old)
        await world.turns()
        put(world, "web", number=2, wanted=3)
        await world.turns()
    arms = [tuple(arm.labels["pod-template-hash"] for arm in (one.baseline, one.canary)) for one in world.releases]
    assert arms == [("web-1", "web-canary-1"), ("web-1", "web-2"), ("web-2", "web-canary-1")]


async def test_an_update_of_a_standing_pairs_older_one_is_a_rolling_update(world: World) -> None:
    async with world.running():
        canary(world, image="reg/web:1")
        await world.turns()
        put(world, "web", image="reg/web:2", number=2, wanted=3, updated=1)
        old: Json = world.cluster.feed(REPLICA_SETS).objects["web-1"]
        world.cluster.feed(REPLICA_SETS).put(old)
        await world.turns()
        put(world, "web", image="reg/web:2", number=2, wanted=3)
        await world.turns()
        canary(world, image="reg/web:3", number=2)
        await world.turns()
    assert [(one.baseline.workload, one.canary.workload) for one in world.releases] == [("web", "web"), ("web", "web-canary")]


CASES: dict[str, dict[str, Any]] = {
    "another application": {"image": "reg/travels:2"},
    "no proxy": {"proxy": "side"},
    "off": {"said": {"verdictd.io/watch": "off"}},
    "owned": {"owner": "c-1"},
    "another place": {"zone": "2"},
    "left out": {},
    "off on the service": {},
    "a route by subsets": {},
    "a third one": {},
}


@pytest.mark.parametrize("case", CASES)
async def test_what_could_not_be_counted_or_is_no_canary_or_is_not_to_be_watched_is_not_announced(world: World, case: str) -> None:
    match case:
        case "left out":
            world.pairs_by = None
        case "off on the service":
            serve(world, annotations={"verdictd.io/watch": "off"})
        case "a route by subsets":
            world.cluster.around_objects.append(destination_rule("v1", "canary"))
            world.cluster.routes.put(virtual_service(v1=100))
        case _:
            pass
    async with world.running():
        await world.turns()
        if case == "a third one":
            put(world, "web-v3", image="reg/web:3")
        canary(world, **({"track": "canary", "version": "canary"} | CASES[case]))
        await world.turns()
    assert world.releases == []


async def test_a_route_that_tells_them_apart_from_now_on_takes_its_place(world: World) -> None:
    async with world.running():
        world.cluster.routes.put(virtual_service("other", all=100))
        canary(world, version="green")
        await world.turns()
        assert len(world.releases) == 1
        world.cluster.around_objects.append(destination_rule("blue", "green"))
        world.cluster.routes.put(virtual_service(blue=100, green=0))
        await world.turns()
    assert len(world.releases) == 1
    assert reasons(world) == ["VirtualService shop/web tells web and web-canary apart from now on"]


async def test_of_several_services_that_choose_both_it_is_of_the_one_with_the_older_ones_name(world: World) -> None:
    serve(world, "a-web")
    serve(world, "web-test", track="canary")
    async with world.running():
        await world.turns()
        canary(world)
        await world.turns()
    assert [one.service for one in world.releases] == ["web"]


async def test_annotations_name_the_policy_and_which_is_new_of_several(world: World) -> None:
    async with world.running():
        put(world, "web-v3", image="reg/web:3")
        canary(world, said={"verdictd.io/policy": "strict"})
        await world.turns()
        assert world.releases == []
        serve(world, annotations={"verdictd.io/canary": "web-canary"})
        await world.turns()
        (release,) = world.releases
        put(world, "web-next", image="reg/web:4")
        await world.turns()
    assert len(world.releases) == 1, "another one is the canary"
    assert (release.policy, release.baseline.workload, release.canary.workload) == ("strict", "web", "web-canary")


async def test_the_older_one_may_be_named_on_it(world: World) -> None:
    put(world, "web", wanted=3, said={"verdictd.io/baseline": "web"})
    async with world.running():
        await world.turns()
        put(world, "web-old", image="reg/travels:1")
        await world.turns()
    assert [one.canary.workload for one in world.releases] == ["web-old"]


async def test_what_cannot_be_read_or_kept_or_taken_now_is_tried_again_until_it_can(world: World) -> None:
    world.unwilling = 2
    watcher = world.watcher()
    async with background(world.follow(watcher=watcher)):
        await world.turns()
        world.cluster.failing = Unavailable("away")
        canary(world)
        await world.turns()
        assert watcher.problem == "what stands around second Deployments: away"
        world.cluster.failing = None
        world.serving.failing = Unavailable("no store")
        await world.turns(2_000)
        assert not watcher.problem
        assert len(world.submitted) == 1
        world.serving.failing = None
        await world.turns(2_000)
        assert not world.unwilling
        world.unwilling = 2
        world.serving.failing = Unavailable("no store")
        canary(world, wanted=0)
        await world.turns(2_000)
        world.serving.failing = None
        await world.turns(2_000)
    assert len(world.submitted) == 1
    assert {release_id for release_id, _ in world.ended} == set(world.submitted)


async def test_one_that_is_refused_is_kept_with_the_reason_once(world: World) -> None:
    def refuse(_release: Release) -> None:
        raise InvalidInput("no policy 'default'", path="$.policy", fix="name one")

    world.refuse = refuse
    async with world.running():
        for ready in (1, 2):
            canary(world, wanted=2, ready=ready)
            await world.turns()
    assert world.letters.reasons == ["$.policy: no policy 'default'; name one"]


async def test_what_cannot_be_read_is_taken_for_nothing_that_is_gone_and_said(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.running():
        canary(world)
        await world.turns()
        deployments, services = world.cluster.feed(DEPLOYMENTS), world.cluster.feed(SERVICES)
        good = dict(deployments.objects["web-canary"])
        deployments.put({**good, "status": {"replicas": "many"}})
        services.put({**services.objects["web"], "spec": {"selector": "none"}})
        await world.turns()
        assert world.ended == []
        deployments.put(good)
        serve(world)
        await world.turns()
    assert len(world.releases) == 1
    assert world.ended == []
    assert {one.message for one in caplog.records} >= {"a Deployment cannot be read", "a Service cannot be read"}


async def test_a_watch_of_services_that_cannot_be_had_is_a_problem_and_rolling_updates_are_noticed_all_the_same(
    world: World,
) -> None:
    def cut(_where: str) -> None:
        raise Unavailable("not yet")

    world.cluster.feed(SERVICES).cut = cut
    watcher = world.watcher()
    async with background(world.follow(watcher=watcher)):
        await world.turns()
        assert watcher.problem == "watch of services in home: not yet"
        put(world, "web", image="reg/web:2", number=2, wanted=3, updated=1)
        old: Json = world.cluster.feed(REPLICA_SETS).objects["web-1"]
        world.cluster.feed(REPLICA_SETS).put(old)
        await world.turns(2_000)
    assert [one.artifact for one in world.releases] == ["reg/web:2"]


async def test_a_deployment_whose_replica_set_is_not_there_yet_is_waited_for_and_one_of_another_form_is_passed_over(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.running():
        canary(world)
        sets = world.cluster.feed(REPLICA_SETS)
        there: Json = sets.objects["web-canary-1"]
        sets.remove("web-canary-1")
        await world.turns()
        assert world.releases == []
        sets.put(there)
        await world.turns(2_000)
        assert len(world.releases) == 1
        canary(world, wanted=0)
        await world.turns()
        sets.put({**there, "spec": {"template": "none"}})
        world.cluster.feed(DEPLOYMENTS).put({**world.cluster.feed(DEPLOYMENTS).objects["web-canary"], "spec": {}})
        canary_again: Json = dict(world.cluster.feed(DEPLOYMENTS).objects["web"])
        canary_again["metadata"] = {**canary_again["metadata"], "name": "web-v2", "uid": "d-web-v2"}
        canary_again["spec"] = {"template": {**canary_again["spec"]["template"], "spec": {"containers": [{"image": "reg/web:3"}]}}}
        world.cluster.feed(DEPLOYMENTS).put(canary_again)
        await world.turns()
    assert len(world.releases) == 1
    assert "a second Deployment cannot be observed" in caplog.text


async def test_what_was_kept_in_a_form_that_is_not_known_counts_as_not_known(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.serving.data = dict.fromkeys(world.serving.data, b"{}")
    canary(world)
    async with world.running():
        await world.turns()
    assert world.releases == []
    assert "what was kept of a Service cannot be read" in caplog.text


async def test_a_daemon_beside_this_one_that_has_kept_it_is_believed(world: World) -> None:
    async with world.running():
        canary(world)
        async with world.running():
            await world.turns()
        canary(world, wanted=0)
        await world.turns()
    assert len(world.submitted) == 1
    assert {release_id for release_id, _ in world.ended} == set(world.submitted)


async def asked(world: World) -> list[tuple[str, str, str]]:
    return [(one.about, one.question, one.answer) for one in await world.questions()]


OF_SEVERAL = (
    "Service shop/web",
    "which of web and web-canary and web-v3 is the new one, and beside which?",
    (
        "annotate the Service with verdictd.io/canary: web-canary or web-v3, or with verdictd.io/watch: off; "
        "two Deployments behind it answer too"
    ),
)


@pytest.mark.parametrize("answer", ["an annotation", "one less", "off", "the service is gone", "the service is gone meanwhile"])
async def test_of_more_than_two_somebody_is_asked_until_an_annotation_or_their_number_tells(world: World, answer: str) -> None:
    async with world.running():
        put(world, "web-v3", image="reg/web:3")
        canary(world)
        await world.turns()
        assert await asked(world) == [OF_SEVERAL]
        [question] = await world.questions()
        assert question.annotations == ("verdictd.io/canary", "verdictd.io/watch")
        assert (question.namespace, question.fields) == ("shop", ())
        assert world.releases == []
        match answer:
            case "an annotation":
                serve(world, annotations={"verdictd.io/canary": "web-canary"})
            case "one less":
                put(world, "web-v3", image="reg/web:3", wanted=0)
            case "off":
                serve(world, annotations={"verdictd.io/watch": "off"})
            case "the service is gone":
                world.cluster.feed(SERVICES).remove("web")
            case _:
                pass
        if answer != "the service is gone meanwhile":
            await world.turns()
    if answer == "the service is gone meanwhile":
        world.cluster.feed(SERVICES).remove("web")
        async with world.running():
            await world.turns()
    assert await asked(world) == []
    assert [one.canary.workload for one in world.releases] == ["web-canary"] * (answer in {"an annotation", "one less"})


async def test_a_question_of_several_stays_as_it_was_asked_first_over_updates_and_restarts(world: World) -> None:
    async with world.running():
        put(world, "web-v3", image="reg/web:3")
        canary(world)
        await world.turns()
    [before] = await world.questions()
    world.clock.time += 60.0
    async with world.running():
        await world.turns()
        put(world, "web-v3", image="reg/web:4", number=2, wanted=3, updated=1)
        await world.turns()
        assert await world.questions() == [before]
        put(world, "web-v3", image="reg/web:4", number=2, wanted=3)
        await world.turns()
        assert await world.questions() == [before]
        put(world, "web-v4", image="reg/web:4")
        await world.turns()
        [other] = await world.questions()
    assert other.id == before.id
    assert "web-canary, web-v3 or web-v4" in other.answer


async def test_where_several_served_it_is_asked_beside_which() -> None:
    world = World(pairs_by="istio")
    serve(world)
    for name in ("web", "web-b"):
        put(world, name)
    async with world.running():
        await world.turns()
        canary(world)
        await world.turns()
        [(_, _, answer)] = await asked(world)
        assert answer.startswith("annotate the Service with verdictd.io/baseline: web or web-b, or with")
        put(world, "web", said={"verdictd.io/baseline": "web"})
        await world.turns()
    assert await asked(world) == []
    assert [(one.baseline.workload, one.canary.workload) for one in world.releases] == [("web", "web-canary")]


async def test_one_that_is_the_older_by_its_names_is_asked_about_too(world: World) -> None:
    async with world.running():
        put(world, "web", wanted=3, version="v2")
        await world.turns()
        put(world, "web-stable", image="reg/web:0", version="v1")
        await world.turns()
        [(_, question, answer)] = await asked(world)
    assert question == "web-stable came beside web, and by its names is the older one: is it a release?"
    assert answer == "annotate the Service with verdictd.io/canary: web-stable, or with verdictd.io/watch: off"


async def test_of_other_applications_beside_several_nobody_is_asked(world: World) -> None:
    async with world.running():
        put(world, "web-batch", image="reg/batch:1")
        await world.turns()
        put(world, "web-mail", image="reg/mail:1")
        await world.turns()
    assert await asked(world) == []
    assert world.releases == []


async def test_what_cannot_be_asked_now_is_asked_later(world: World) -> None:
    world.asked.failing = Unavailable("no store")
    async with world.running():
        put(world, "web-v3", image="reg/web:3")
        canary(world)
        await world.turns()
        world.asked.failing = None
        assert await asked(world) == []
        await world.turns(2_000)
    assert await asked(world) == [OF_SEVERAL]
