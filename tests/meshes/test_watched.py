"""What is read of a route that is watched is worked out once, and anew as soon as the route is another one."""

from collections.abc import Iterator

import pytest

from daemon.meshes.gatewayapi.mesh import HTTP_ROUTES
from daemon.meshes.gatewayapi.rules import rules
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.meshes.istio.routes import destinations, routes, uses
from daemon.meshes.references import Json, read_once
from daemon.meshes.routereading import _route_only
from tests.hand import gateway_objects, istio_objects

ROUTE = istio_objects.virtual_service()


def watched(item: Json) -> Json:
    """As a watch keeps it."""
    seen = _route_only(VIRTUAL_SERVICES, item)
    assert isinstance(seen, dict)
    return seen


def test_a_route_that_is_watched_is_read_once_and_one_that_is_not_each_time() -> None:
    asked: list[str] = []

    def names(item: Json) -> Iterator[str]:
        asked.append(item["metadata"]["name"])
        yield item["metadata"]["name"]

    seen = watched(ROUTE)
    assert [read_once(item, names) for item in (seen, seen, ROUTE, ROUTE)] == [("web",)] * 4
    assert asked == ["web"] * 3


def test_what_is_read_of_it_is_the_same_either_way() -> None:
    for read in (routes, destinations, uses):
        assert read(watched(ROUTE)) == read(watched(ROUTE)) == read(ROUTE)
    item = gateway_objects.http_route()
    seen = _route_only(HTTP_ROUTES, item)
    assert isinstance(seen, dict)
    assert rules(seen) == rules(seen) == rules(item)


def test_a_changed_route_is_read_anew() -> None:
    before, after = watched(ROUTE), watched(istio_objects.virtual_service(canary_weight=0))
    assert len(uses(before)) == len(uses(after)) + 1


def test_a_route_that_cannot_be_read_is_not_remembered() -> None:
    answers = iter([ValueError("odd"), None])

    def odd(item: Json) -> tuple[str, ...]:
        if (error := next(answers)) is not None:
            raise error
        return (item["metadata"]["name"],)

    seen = watched(ROUTE)
    with pytest.raises(ValueError, match="odd"):
        read_once(seen, odd)
    assert read_once(seen, odd) == ("web",)
