"""Who reads at the same time as others reads with them: each gets its own objects, read after it asked."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from daemon.errors import Forbidden, NotFound, Unavailable, VerdictdError
from daemon.kube.client import KubeClient, Listing
from daemon.kube.resources import PODS, SERVICES, Json, Resource
from daemon.kube.sharedreads import SharedReads


def item(name: str, **labels: str) -> Json:
    return {"metadata": {"name": name, "namespace": "shop", "labels": labels}}


def pods(number: int) -> list[Json]:
    return [item(f"web-{n}-{version}", app=f"web-{n}", version=version) for n in range(number) for version in ("v1", "v2")]


@dataclass
class Kube(KubeClient):
    """Gives all that it has, whatever labels are wanted; each listing waits until it may go on."""

    items: list[Json]
    error: VerdictdError | None = None
    waits: bool = False
    listed: list[tuple[str | None, str]] = field(default_factory=list)
    got: list[str] = field(default_factory=list)
    may: asyncio.Event = field(default_factory=asyncio.Event)

    async def list(self, resource: Resource, *, namespace: str | None = None, labels: str = "", fields: str = "") -> Listing:
        self.listed.append((namespace, labels))
        items = tuple(self.items)
        if self.waits:
            await self.may.wait()
        if self.error is not None:
            raise self.error
        return Listing(items=items, resource_version="1")

    async def get(self, resource: Resource, *, name: str, namespace: str | None = None) -> Json:
        self.got.append(name)
        return item(name)


def names(found: Sequence[Json]) -> list[str]:
    return [one["metadata"]["name"] for one in found]


async def begun(kube: Kube, *, listings: int) -> None:
    async with asyncio.timeout(20.0):
        while len(kube.listed) < listings:
            await asyncio.sleep(0)


@pytest.mark.parametrize("many", [1, 5, 100])
async def test_those_who_ask_at_once_ask_one_question_and_each_gets_its_own(many: int) -> None:
    kube = Kube(pods(many))
    reads = SharedReads(kube)
    answers = await asyncio.gather(*(reads.all(PODS, namespace="shop", either=[{"app": f"web-{n}"}]) for n in range(many)))
    assert [names(one) for one in answers] == [[f"web-{n}-v1", f"web-{n}-v2"] for n in range(many)]
    assert len(kube.listed) == 1


async def test_a_question_names_a_hundred_sets_of_labels_at_most_and_those_of_other_keys_apart() -> None:
    kube = Kube([*pods(150), item("odd", team="x")])
    reads = SharedReads(kube)
    both = [{"version": "v1", "app": "web-7"}, {"team": "x"}]
    asked = [reads.all(PODS, namespace="shop", either=[{"app": f"web-{n}"}]) for n in range(150)]
    *_, last = await asyncio.gather(*asked, reads.all(PODS, namespace="shop", either=both))
    assert names(last) == ["web-7-v1", "odd"]
    labels = sorted(labels for _, labels in kube.listed)
    assert len(labels) == 4
    assert labels[2:] == ["app=web-7,version=v1", "team=x"]


async def test_who_asks_while_a_question_is_under_way_gets_what_is_read_after_it_asked() -> None:
    kube = Kube([item("a", app="web")], waits=True)
    reads = SharedReads(kube)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(reads.all(PODS, namespace="shop", either=[{"app": "web"}]))
        await begun(kube, listings=1)
        kube.items.append(item("b", app="web"))
        later = [group.create_task(reads.all(PODS, namespace="shop", either=[{"app": "web"}])) for _ in range(50)]
        await asyncio.sleep(0)
        kube.may.set()
    assert names(first.result()) == ["a"]
    assert {tuple(names(one.result())) for one in later} == {("a", "b")}
    assert len(kube.listed) == 2


async def test_who_is_given_up_while_it_asks_for_others_is_asked_for_by_the_next() -> None:
    kube = Kube(pods(3), waits=True)
    reads = SharedReads(kube)
    first, second = (asyncio.create_task(reads.all(PODS, namespace="shop", either=[{"app": f"web-{n}"}])) for n in range(2))
    await begun(kube, listings=1)
    first.cancel()
    await begun(kube, listings=2)
    kube.may.set()
    assert names(await second) == ["web-1-v1", "web-1-v2"]
    assert all("web-1" in labels for _, labels in kube.listed)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_an_object_comes_of_the_listing_of_its_namespace_and_one_that_is_not_there_is_not_found() -> None:
    kube = Kube([item("web"), item("api")])
    reads = SharedReads(kube)
    web, api, gone = await asyncio.gather(
        *(reads.one(SERVICES, namespace="shop", name=name) for name in ("web", "api", "gone")), return_exceptions=True
    )
    assert (web, api) == (item("web"), item("api"))
    assert isinstance(gone, NotFound)
    assert 'services "gone" not found in namespace shop' in str(gone)
    assert (kube.listed, kube.got) == ([("shop", "")], [])


async def test_objects_of_a_namespace_that_may_not_be_listed_are_asked_for_by_themselves() -> None:
    kube = Kube([], error=Forbidden("services is forbidden"))
    reads = SharedReads(kube)
    found = await asyncio.gather(*(reads.one(SERVICES, namespace="shop", name=name) for name in ("web", "api")))
    assert found == [item("web"), item("api")]
    assert kube.got == ["web", "api"]


async def test_who_alone_wants_an_object_asks_for_no_listing_and_who_comes_meanwhile_does() -> None:
    kube = Kube([item("web"), item("api")])
    reads = SharedReads(kube)
    for _ in range(2):
        await reads.one(SERVICES, namespace="shop", name="web")
    await asyncio.gather(
        reads.one(SERVICES, namespace="shop", name="web"),
        reads.one(SERVICES, namespace="front", name="web"),
        reads.one(PODS, namespace="shop", name="web"),
    )
    assert (kube.listed, kube.got) == ([], ["web"] * 5)
    await asyncio.gather(*(reads.one(SERVICES, namespace="shop", name=name) for name in ("web", "api")))
    assert kube.listed == [("shop", "")]


async def test_what_fails_fails_for_all_who_asked_and_for_nobody_after_them() -> None:
    kube = Kube(pods(1), error=Unavailable("etcd is away"))
    reads = SharedReads(kube)
    answers = await asyncio.gather(*(reads.all(PODS, namespace="shop") for _ in range(9)), return_exceptions=True)
    assert {str(one) for one in answers} == {"etcd is away"}
    assert len(kube.listed) == 1
    kube.error = None
    assert names(await reads.all(PODS, namespace="shop")) == ["web-0-v1", "web-0-v2"]


async def test_namespaces_and_kinds_do_not_wait_for_each_other() -> None:
    kube = Kube([item("a")], waits=True)
    reads = SharedReads(kube)
    async with asyncio.TaskGroup() as group:
        for resource, namespace in ((PODS, "shop"), (PODS, "front"), (SERVICES, "shop"), (PODS, None)):
            group.create_task(reads.all(resource, namespace=namespace))
        await begun(kube, listings=4)
        kube.may.set()
