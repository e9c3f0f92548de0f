"""Rolling updates as their Deployments and ReplicaSets say them."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.discovery.updates import REVISION, Template, deployment, templates, under_way
from daemon.errors import Refused

Json = dict[str, Any]


def deployed(
    number: int | str = 2, *, replicas: int = 3, updated: int = 1, generation: int = 2, observed: int = 2, owner: str = ""
) -> Json:
    """A Deployment with a status as its controller writes it."""
    metadata = {"name": "web", "namespace": "shop", "uid": "d-1", "generation": generation, "annotations": {REVISION: str(number)}}
    if owner:
        metadata["ownerReferences"] = [{"uid": owner, "controller": True}]
    template = {"metadata": {"labels": {"app": "web"}}}
    status = {"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"template": template}, "status": status}


def replica_set(number: int, *, pods: int, image: str = "", of: str = "d-1", **more: Any) -> Json:
    metadata = {
        "name": f"web-{number}",
        "namespace": "shop",
        "uid": f"s-{number}",
        "labels": {"app": "web", "pod-template-hash": f"h{number}"},
        "annotations": {REVISION: str(number)},
        "ownerReferences": [{"uid": of, "controller": True}],
        **more,
    }
    containers = [{"name": "web", "image": image or f"reg/web:{number}"}]
    return {
        "kind": "ReplicaSet",
        "metadata": metadata,
        "spec": {"template": {"spec": {"containers": containers}}},
        "status": {"replicas": pods},
    }


def found(*sets: Json, of: Json | None = None) -> tuple[str, str] | None:
    seen = deployment(of or deployed())
    update = under_way(seen, templates(seen, sets))
    return None if update is None else (update.old.hash, update.new.hash)


def test_two_templates_with_pods_are_an_update_to_the_one_that_the_deployment_names() -> None:
    assert found(replica_set(1, pods=2), replica_set(2, pods=1)) == ("h1", "h2")


def test_of_several_older_templates_it_is_compared_with_the_one_that_has_most_pods() -> None:
    assert found(replica_set(1, pods=3), replica_set(2, pods=1), replica_set(3, pods=1), of=deployed(3)) == ("h1", "h3")


@pytest.mark.parametrize(
    "sets",
    [
        [],
        [replica_set(2, pods=3)],
        [replica_set(1, pods=0), replica_set(2, pods=3)],
        [replica_set(1, pods=3), replica_set(2, pods=0)],
        [replica_set(1, pods=2), replica_set(2, pods=1, labels={})],
        [replica_set(1, pods=2, of="another"), replica_set(2, pods=1)],
    ],
    ids=["nothing", "one", "the old one is gone", "the new one has no pods yet", "no hash", "another's"],
)
def test_pods_of_one_template_are_no_update(sets: list[Json]) -> None:
    assert found(*sets) is None


def test_a_template_that_the_deployment_does_not_know_yet_is_waited_for() -> None:
    assert found(replica_set(1, pods=2), replica_set(2, pods=1), of=deployed(1)) is None


def test_the_one_image_that_is_new_is_the_artifact_and_of_several_or_none_there_is_none() -> None:
    def artifact(image: str) -> str:
        seen = deployment(deployed())
        update = under_way(seen, templates(seen, [replica_set(1, pods=2), replica_set(2, pods=1, image=image)]))
        assert update is not None
        return update.artifact

    assert artifact("reg/web:2") == "reg/web:2"
    assert artifact("reg/web:1") == ""


@pytest.mark.parametrize(
    ("item", "is_updating"),
    [
        (deployed(replicas=3, updated=3), False),
        (deployed(replicas=4, updated=3), True),
        (deployed(replicas=3, updated=3, generation=3), True),
        (deployed(replicas=0, updated=0), False),
    ],
)
def test_whether_older_pods_may_be_there_is_told_by_the_deployment_alone(item: Json, is_updating: bool) -> None:
    assert deployment(item).is_updating is is_updating


def test_one_that_a_controller_writes_is_known_and_a_revision_that_is_no_number_is_none() -> None:
    assert deployment(deployed(owner="c-1")).is_owned
    assert not deployment(deployed()).is_owned
    assert deployment(deployed("one")).number == 0
    assert str(deployment(deployed())) == "Deployment shop/web"


def test_an_object_of_another_form_is_refused() -> None:
    with pytest.raises(Refused, match="Deployment"):
        deployment({"metadata": {"name": "web"}, "status": {"replicas": "many"}})
    with pytest.raises(Refused, match="ReplicaSet"):
        templates(deployment(deployed()), [{"metadata": []}])
    assert Template(uid="", hash="", number=0, pods=0, images=()).images == ()
