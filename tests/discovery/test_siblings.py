"""A second workload behind one Service."""

from __future__ import annotations

from daemon.discovery import siblings
from daemon.discovery.openings import Asks, Opens, Outcome, Quiet
from daemon.discovery.surroundings import Workload
from tests.discovery.hand import around, workload

OLD = workload("web", runs="reg/web:1", replicas=3, version="v1")


def comes(new: Workload, *beside: Workload, before: tuple[Workload, ...] = (OLD,)) -> Outcome:
    return siblings.outcome(around(*before), around(OLD, new, *beside), namespace="shop", service="web")


def quiet(found: Outcome) -> str:
    assert isinstance(found, Quiet), found
    return found.why


def test_another_version_of_the_same_image_opens_and_is_only_observed() -> None:
    found = comes(workload("web-v2", runs="reg/web:2", version="v2"))
    assert isinstance(found, Opens)
    said = found.found
    assert (said.canary.name, said.canary.percent, said.baseline.percent) == ("web-v2", 25.0, 75.0)
    assert (said.canary.destination, said.confidence) == (None, "medium")
    assert said.by == ("before", "versions")


def test_another_digest_or_version_label_does_too() -> None:
    assert isinstance(comes(workload("web-b", runs="reg/web:1", version="v2")), Opens)
    assert isinstance(comes(workload("web-b", runs="reg/web@sha256:" + "0c" * 32, version="v1")), Opens)


def test_one_that_had_no_replicas_has_come() -> None:
    new = workload("web-v2", runs="reg/web:2", version="v2")
    asleep = workload("web-v2", runs="reg/web:2", version="v2", replicas=0)
    assert isinstance(comes(new, before=(OLD, asleep)), Opens)


def test_standing_pairs_open_nothing() -> None:
    new = workload("web-v2", runs="reg/web:2", version="v2")
    assert quiet(comes(new, before=(OLD, new))) == "no workload has come"
    assert "was not seen" in quiet(siblings.outcome(None, around(OLD, new), namespace="shop", service="web"))


def test_the_first_workload_of_a_service_opens_nothing() -> None:
    assert "beside" in quiet(siblings.outcome(around(), around(OLD), namespace="shop", service="web"))


def test_a_service_that_selects_nothing_opens_nothing() -> None:
    assert quiet(siblings.outcome(around(), around(OLD), namespace="shop", service="other")) == "no workload has come"


def test_places_and_roles_open_nothing() -> None:
    assert "place" in quiet(comes(workload("web-b", runs="reg/web:2", zone="2")))
    assert "place" in quiet(comes(workload("web-b", runs="reg/web:2", more={"kubernetes.io/arch": "arm64"})))
    assert "place" in quiet(comes(workload("web-b", runs="reg/web:2", role="worker")))


def test_another_application_under_the_same_label_opens_nothing() -> None:
    assert "another application" in quiet(comes(workload("web-b", runs="reg/travels:2")))
    assert "another application" in quiet(comes(workload("web-b")))


def test_the_same_image_and_version_open_nothing() -> None:
    assert "the same image" in quiet(comes(workload("web-b", runs="reg/web:1", version="v1", pool="b")))


def test_more_than_two_are_asked_about() -> None:
    found = comes(workload("web-b", runs="reg/web:2"), workload("web-c", runs="reg/web:3"))
    assert isinstance(found, Asks)
    assert [one.name for one in found.ask.candidates] == ["web", "web-b", "web-c"]


def test_an_older_version_that_comes_is_asked_about() -> None:
    assert isinstance(comes(workload("web-v0", runs="reg/web:0", version="v0")), Asks)
