"""Announcements without arms: they wait for their canaries at the routes, and become one release with what is noticed there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daemon.errors import InvalidInput, Refused, Unavailable
from daemon.model import ArmSpec, Outline, Release
from daemon.ports.durable import Kept
from daemon.ports.events import Announcement
from daemon.watcher.awaited import MOST_AWAITED, AwaitedCanaries
from daemon.watcher.notices import AwaitedNotice
from tests.hand.clock import HandClock, PatientClock
from tests.hand.ports import MemoryStore
from tests.watcher.world import NAMESPACE, World, deployment, destination_rule, service, two_versions, virtual_service

NEW = Outline(service="web", namespace=NAMESPACE, artifact="reg/web:green", policy="strict", callback="https://ci.example.com/7")
ID = "web-0123456789abcdef"


class Waiting(World):
    """A world in which announcements are sent, and who sent what became a release is seen."""

    def __init__(self, **given: Any) -> None:
        self.moved = PatientClock()
        self.senders: dict[str, str] = {}
        super().__init__(clock=self.moved, **given)

    async def announce(self, outline: Outline = NEW, *, release_id: str = ID, sender: str = "event /ci") -> None:
        await self.awaited.keep(outline, release_id=release_id, sender=sender, since=self.clock.now())

    async def take(self, notice: Announcement) -> None:
        if isinstance(notice, AwaitedNotice):
            assert notice.release_id is not None
            self.senders[notice.release_id] = notice.sender
        await super().take(notice)

    async def passes(self, seconds: float) -> None:
        await self.turns()
        self.moved.passes(seconds)
        await self.turns()

    @property
    def is_waiting(self) -> bool:
        return self.awaited.find(ID) is not None


@pytest.fixture
def world() -> Waiting:
    world = Waiting()
    world.cluster.around_objects += two_versions()
    return world


async def test_an_announcement_that_comes_minutes_before_its_canary_takes_traffic_is_the_release_once_it_does(
    world: Waiting,
) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.announce()
        for _ in range(30):
            await world.passes(10.0)
        assert not world.submitted
        assert world.is_waiting
        assert world.awaited.why(ID) == "VirtualService shop/web: green runs what is announced, and gets nothing yet"
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
        (kept,) = world.kept()
    release = world.submitted.pop(ID)
    assert not world.submitted  # whoever watches the route has noticed no other one
    assert (release.baseline.subset, release.canary.subset, release.mesh) == ("blue", "green", "istio")
    assert (release.artifact, release.policy, release.callback) == ("reg/web:green", "strict", "https://ci.example.com/7")
    assert not release.observe
    assert world.senders == {ID: "event /ci"}
    assert not world.is_waiting
    assert not world.waiting.data
    assert kept is not None
    assert [one.release_id for one in kept.opened] == [ID]
    assert not world.letters.kept


async def test_one_that_was_noticed_first_is_joined_with_its_arms(world: Waiting) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=30, green=70))  # by now it looks like a baseline
        await world.settled()
        await world.announce()
        await world.turns()
    first, second = world.releases
    assert (first.baseline, first.canary) == (second.baseline, second.canary)
    assert (first.observe, second.observe, second.policy) == (True, False, "strict")
    assert list(world.submitted)[1] == ID
    assert not world.is_waiting


async def test_the_canary_of_an_application_s_images_is_the_one_that_alone_runs_one_of_them(world: Waiting) -> None:
    world.cluster.routes.put(virtual_service(blue=90, green=10))
    async with world.running():
        await world.announce(Outline(service="web", namespace=NAMESPACE, images=("reg/proxy:9", "reg/web:green")))
        await world.settled()
        await world.turns()
    assert (world.submitted[ID].canary.subset, world.submitted[ID].artifact) == ("green", "reg/web:green")


async def test_it_waits_over_a_restart(world: Waiting) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.announce()
        await world.settled()
    world.awaited = AwaitedCanaries(world.waiting, lapsed=world.lapsed, clock=world.clock, wait_seconds=1_800.0)
    world.cluster.routes.put(virtual_service(blue=90, green=10))
    async with world.running():
        await world.settled()
        await world.turns()
    assert list(world.submitted) == [ID]


async def test_the_version_may_be_deployed_only_after_it_was_announced(world: Waiting) -> None:
    world.cluster.around_objects[:] = [
        service(),
        destination_rule("blue", "green"),
        deployment("web-blue", image="reg/web:blue", version="blue"),
    ]
    world.cluster.routes.put(virtual_service(blue=90, green=10))  # nobody is there yet
    async with world.running():
        await world.announce()
        await world.passes(10.0)
        assert not world.submitted
        world.cluster.around_objects.append(deployment("web-green", image="reg/web:green", version="green"))
        await world.passes(15.0)
    assert world.submitted[ID].canary.subset == "green"


async def test_one_that_lapses_is_a_dead_letter_with_what_was_missing_and_is_told_to_who_asks(world: Waiting) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.announce(Outline(service="web", namespace=NAMESPACE, artifact="reg/web:red"))
        await world.passes(1_790.0)
        assert world.is_waiting
        await world.passes(20.0)
    (letter,) = world.letters.kept
    assert letter.reason == (
        "$: no canary of web that is reg/web:red took traffic in 1800 s: VirtualService shop/web: none of blue (100 %) and "
        "green (0 %) is known to run reg/web:red; annotate the route with verdictd.io/canary, or announce the release with "
        "baseline and canary"
    )
    assert (letter.key, letter.sent_to, json.loads(letter.body)["artifact"]) == (f"awaited-{ID}", "event /ci", "reg/web:red")
    assert not world.is_waiting
    over = await world.awaited.over(ID)
    assert over is not None
    assert over.why == letter.reason


async def test_one_whose_time_was_over_while_no_daemon_ran_is_looked_for_once_more(world: Waiting) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.settled()
    await world.announce()
    await world.announce(Outline(service="till", namespace=NAMESPACE, version="2"), release_id="till-1")
    world.moved.passes(4_000.0)
    world.cluster.routes.put(virtual_service(blue=90, green=10))
    async with world.running():
        await world.settled()
        await world.turns()
        assert list(world.submitted) == [ID]
        assert not world.letters.kept
        await world.passes(80.0)
    assert [one.key for one in world.letters.kept] == ["awaited-till-1"]


async def test_of_a_service_without_a_route_that_is_what_is_said(world: Waiting) -> None:
    async with world.running():
        await world.announce(Outline(service="till", namespace=NAMESPACE, version="2"))
        await world.passes(1_810.0)
    assert "no route sends to two versions of till in shop" in world.letters.reasons[0]


async def test_one_whose_letter_is_not_taken_now_lapses_once_it_is(world: Waiting) -> None:
    world.letters.failing = Unavailable("away")
    async with world.running():
        await world.announce(Outline(service="till", namespace=NAMESPACE, version="2"))
        await world.passes(1_810.0)
        assert world.is_waiting
        world.letters.failing = None
        await world.passes(80.0)
    assert len(world.letters.kept) == 1
    assert not world.is_waiting


async def test_a_question_of_one_that_somebody_cancels_is_over_also_where_that_was_before_a_restart(world: Waiting) -> None:
    world.cluster.around_objects[:] = [
        service(),
        destination_rule("blue", "green"),
        *(deployment(f"web-{color}", image="reg/web:green", version=color) for color in ("blue", "green")),
    ]
    world.cluster.routes.put(virtual_service(annotations={"verdictd.io/watch": "observe"}, blue=60, green=40))

    async def asked() -> bool:
        return "blue (60 %) and green (40 %) all run what is announced: which is new?" in [
            one.question for one in await world.questions()
        ]

    async with world.running():
        await world.settled()
        await world.announce()
        await world.turns()
        assert await asked()
        await world.awaited.forget(ID, why="cancelled by ann")
        await world.turns()
        assert not await asked()
        await world.announce()
        await world.turns()
        assert await asked()
    await world.awaited.forget(ID, why="cancelled by ann")
    assert await asked()
    async with world.running():
        await world.turns()
        assert not await asked()


async def test_what_only_somebody_can_say_is_an_open_question_until_he_does(world: Waiting) -> None:
    world.cluster.around_objects[:] = [
        service(),
        destination_rule("blue", "green"),
        *(deployment(f"web-{color}", image="reg/web:green", version=color) for color in ("blue", "green")),
    ]
    world.cluster.routes.put(virtual_service(annotations={"verdictd.io/watch": "observe"}, blue=60, green=40))
    async with world.running():
        await world.settled()
        await world.announce()
        await world.turns()
        assert "blue (60 %) and green (40 %) all run what is announced: which is new?" in [
            one.question for one in await world.questions()
        ]
        assert world.is_waiting
        said = {"verdictd.io/watch": "observe", "verdictd.io/canary": "green"}
        world.cluster.routes.put(virtual_service(annotations=said, blue=60, green=40))
        await world.settled()
        await world.turns()
        assert not [one.question for one in await world.questions()]
    assert world.submitted[ID].canary.subset == "green"
    assert world.submitted[ID].observe  # as the route says
    assert list(world.submitted) == [ID]


@pytest.mark.parametrize("named", [{"canary": ArmSpec(subset="green")}, {"baseline": ArmSpec(workload="web-blue")}])
async def test_an_announcement_with_the_missing_field_alone_answers_a_question(world: Waiting, named: dict[str, Any]) -> None:
    world.cluster.routes.put(virtual_service(blue=60, green=40))
    async with world.running():
        await world.settled()
        assert [one.question for one in await world.questions()]
        await world.announce(Outline(service="web", namespace=NAMESPACE, **named))
        await world.settled()
        await world.turns()
        assert not [one.question for one in await world.questions()]
    release = world.submitted[ID]
    assert (release.baseline.subset, release.canary.subset) == ("blue", "green")
    assert len(world.submitted) == 1


async def test_a_commit_that_stands_nowhere_is_what_begins_to_take_traffic_while_it_waits(world: Waiting) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.settled()
        revision = "main@sha1:f95f852bd8fca8fcc58a9a2d6c842781e32a215e"
        await world.announce(Outline(service="web", namespace=NAMESPACE, revision=revision))
        await world.turns()
        assert not world.submitted
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
    assert list(world.submitted) == [ID]
    assert world.submitted[ID].artifact == "reg/web:green"


async def test_the_announcement_of_another_version_does_not_join_what_is_watched(world: Waiting) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
        await world.announce(Outline(service="web", namespace=NAMESPACE, artifact="reg/web:red"))
        await world.turns()
        assert "green is being watched, and is not known to run reg/web:red" in world.awaited.why(ID)
    assert len(world.submitted) == 1
    assert ID not in world.submitted


async def test_what_already_serves_is_asked_about_and_never_watched_by_itself(world: Waiting) -> None:
    world.cluster.routes.put(virtual_service(blue=5, green=95))
    async with world.running():
        await world.announce()
        await world.settled()
        await world.turns()
        assert "green runs what is announced and already has 95 %: is there anything new to watch?" in [
            one.question for one in await world.questions()
        ]
    assert not world.submitted


async def test_a_route_that_is_not_to_be_watched_is_not_for_an_announcement_either(world: Waiting) -> None:
    world.cluster.routes.put(virtual_service(annotations={"verdictd.io/watch": "off"}, blue=90, green=10))
    async with world.running():
        await world.announce()
        await world.settled()
        await world.turns()
        assert "it is not to be watched (verdictd.io/watch: off)" in world.awaited.why(ID)
    assert not world.submitted


async def test_what_the_engine_refuses_is_a_dead_letter_and_the_release_is_noticed_without_it(world: Waiting) -> None:
    def refuse(release: Release) -> None:
        if release.policy == "strict":
            raise InvalidInput("no policy 'strict'", path="$.policy", fix="use one of: default")

    world.refuse = refuse
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.settled()
        await world.announce()
        await world.turns()
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.turns(3_000)
    assert world.letters.reasons == ["$.policy: no policy 'strict'; use one of: default"]
    assert [one.policy for one in world.releases] == ["default"]
    assert not world.is_waiting


async def test_two_announcements_of_one_canary_are_each_answered_under_their_own_ids(world: Waiting) -> None:
    world.cluster.routes.put(virtual_service(blue=100, green=0))
    async with world.running():
        await world.announce()
        await world.announce(Outline(service="web", namespace=NAMESPACE, version="green"), release_id="web-2", sender="argocd")
        await world.settled()
        world.cluster.routes.put(virtual_service(blue=90, green=10))
        await world.settled()
        await world.turns()
    assert world.senders == {ID: "event /ci", "web-2": "argocd"}
    assert len({(one.baseline.subset, one.canary.subset) for one in world.releases}) == 1
    assert not world.waiting.data


async def test_the_same_announcement_twice_waits_once_and_more_than_can_wait_are_refused() -> None:
    store, clock = MemoryStore(), HandClock()
    awaited = AwaitedCanaries(store, lapsed=MemoryStore(), clock=clock, wait_seconds=60.0)
    for number in range(MOST_AWAITED):
        await awaited.keep(NEW, release_id=f"web-{number}", sender="", since=0.0)
    again = await awaited.keep(NEW, release_id="web-7", sender="another", since=5.0)
    assert (again.sender, len(awaited.all())) == ("", MOST_AWAITED)
    with pytest.raises(Refused, match="1000 announcements wait for their canaries already"):
        await awaited.keep(NEW, release_id="web-more", sender="", since=0.0)


async def test_where_no_routes_are_watched_none_waits() -> None:
    awaited = AwaitedCanaries(
        MemoryStore(), lapsed=MemoryStore(), clock=HandClock(), wait_seconds=60.0, namespaces=("rest", "till")
    )
    with pytest.raises(InvalidInput, match=r"\$\.namespace: routes are watched in rest, till, and arms are found nowhere else"):
        await awaited.keep(NEW, release_id=ID, sender="", since=0.0)


async def test_what_comes_and_goes_while_the_store_is_read_is_neither_lost_nor_back_again() -> None:
    store = MemoryStore()
    awaited = AwaitedCanaries(store, lapsed=MemoryStore(), clock=HandClock(), wait_seconds=60.0)
    await awaited.keep(NEW, release_id="web-old", sender="", since=0.0)
    read = await store.items()

    class Slow(MemoryStore):
        async def items(self) -> list[tuple[str, Kept]]:
            await awaited.forget("web-old")
            await awaited.keep(NEW, release_id="web-new", sender="", since=0.0)
            return read

    awaited._store = Slow()
    await awaited.load()
    assert [one.release_id for one in awaited.all()] == ["web-new"]


async def test_what_is_kept_in_a_form_that_is_not_known_is_told_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    awaited = AwaitedCanaries(store, lapsed=MemoryStore(), clock=HandClock(), wait_seconds=60.0)
    await awaited.keep(NEW, release_id=ID, sender="", since=0.0)
    store.data["web-2"] = b"{"
    await awaited.load()
    assert [one.release_id for one in awaited.all()] == [ID]
    assert "an announcement that was kept cannot be read" in caplog.text
