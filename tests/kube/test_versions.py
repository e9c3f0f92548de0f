"""In which version a kind is served: asked of an API server that changes."""

import pytest

from daemon.errors import Forbidden, NotFound, Unavailable
from daemon.kube.resources import Json, Resource
from daemon.kube.versions import ServedVersions, served_version

ROUTES = Resource(group="routes.example", version="v1", plural="routes", kind="Route", earlier=("v1beta1", "v1alpha2"))
PLAIN = Resource(group="routes.example", version="v1", plural="plains", kind="Plain")


class Server:
    """Kinds by version; who asks is counted."""

    def __init__(self, **kinds: list[str]) -> None:
        self.kinds = kinds
        self.error: Exception | None = None
        self.asked = 0
        self.seconds = 0.0

    async def document(self, path: str) -> Json:
        self.asked += 1
        if self.error is not None:
            raise self.error
        version = path.removeprefix("/apis/routes.example/")
        if version not in self.kinds:
            raise NotFound(path)
        return {"resources": [{"name": name} for name in self.kinds[version]]}

    @property
    def versions(self) -> ServedVersions:
        return ServedVersions(self.document, monotonic=lambda: self.seconds)


@pytest.mark.parametrize(
    ("kinds", "version"),
    [
        ({"v1": ["routes"], "v1beta1": ["routes"]}, "v1"),
        ({"v1": ["others"], "v1beta1": ["routes"]}, "v1beta1"),
        ({"v1alpha2": ["routes"]}, "v1alpha2"),
        ({"v1": ["others"]}, None),
        ({}, None),
    ],
)
async def test_the_first_version_that_is_served_is_taken_and_where_none_is_the_first_of_all(
    kinds: dict[str, list[str]], version: str | None
) -> None:
    server = Server(**kinds)
    assert (await server.versions.of(ROUTES)).version == (version or "v1")
    assert await served_version(server.document, ROUTES) == version


async def test_a_kind_of_one_version_is_never_asked_for() -> None:
    server = Server()
    assert await server.versions.of(PLAIN) is PLAIN
    assert server.asked == 0


async def test_it_is_asked_once_and_anew_after_it_was_forgotten() -> None:
    server = Server(v1beta1=["routes"])
    versions = server.versions
    assert [(await versions.of(ROUTES)).version for _ in range(3)] == ["v1beta1"] * 3
    assert server.asked == 2
    server.kinds = {"v1": ["routes"]}
    assert versions.forget(ROUTES)
    assert not versions.forget(ROUTES)
    assert (await versions.of(ROUTES)).version == "v1"


async def test_a_kind_that_is_not_there_is_asked_for_again_after_a_minute() -> None:
    server = Server()
    versions = server.versions
    await versions.of(ROUTES)
    server.kinds = {"v1alpha2": ["routes"]}
    server.seconds = 59.0
    assert (await versions.of(ROUTES)).version == "v1"
    server.seconds = 60.0
    assert (await versions.of(ROUTES)).version == "v1alpha2"


async def test_who_may_not_ask_takes_the_newest_version_and_an_api_server_that_is_away_is_an_error() -> None:
    server = Server(v1beta1=["routes"])
    versions = server.versions
    server.error = Forbidden("discovery")
    assert (await versions.of(ROUTES)).version == "v1"
    server.error = Unavailable("away")
    with pytest.raises(Unavailable):
        await versions.of(ROUTES)
    server.error = None
    assert (await versions.of(ROUTES)).version == "v1beta1"
