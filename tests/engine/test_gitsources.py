"""What in Git must change: said in the verdict and beside the route, read in bounded time, and in nobody's way."""

import asyncio
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from daemon.engine import fanout
from daemon.engine.dependencies import MeshCluster, clusters_of
from daemon.engine.gitsources import of_workload, revision_and_who, sources
from daemon.errors import Forbidden, VerdictdError
from daemon.model import Action, Release
from daemon.placement import Applier, ObjectName, PatchReceipt, Placement, RouteReference
from daemon.ports.routing import Claim, GitSource, Spared
from tests.engine.test_handover import HandOwner, procedure
from tests.engine.test_reverting import RELEASE
from tests.hand.clock import HandClock
from tests.hand.ports import HandRouter
from tests.hand.routers import FakeRouter, written

FLUX = Applier(tool="Flux", object=ObjectName(kind="Kustomization", namespace="flux-system", name="apps"))
ARGO = Applier(tool="Argo CD", object=ObjectName(kind="Application", name="shop"))
SOURCE = GitSource(of="GitRepository flux-system/apps, ./shop", revision="main@sha1:4f2a", applied_again="it is applied again")
WEB = ObjectName(kind="Route", name="web")


@dataclass
class HandGit:
    """Answers with one source, an error, or never."""

    answer: GitSource | Exception | None = SOURCE
    asked: list[Applier] = field(default_factory=list)
    applies: Applier | VerdictdError | None = None
    """What applies the canary's workload."""

    async def source(self, applier: Applier) -> GitSource:
        self.asked.append(applier)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer

    async def applier(self, workload: ObjectName) -> Applier | None:
        assert workload.namespace == RELEASE.namespace
        if isinstance(self.applies, Exception):
            raise self.applies
        return self.applies


class Marked(HandRouter):
    """Its route is applied out of Git."""

    applier = FLUX

    async def locate(self, release: Release) -> Placement:
        placement = await super().locate(release)
        routes = (replace(one, owner=str(self.applier), applier=self.applier) for one in placement.routes)
        return replace(placement, routes=tuple(routes))


def receipt(clock: HandClock, *appliers: Applier | None) -> PatchReceipt:
    parts = tuple(replace(written(clock, f"web-{number}"), applier=one) for number, one in enumerate(appliers))
    return PatchReceipt(parts=parts, sent_at=clock.time, acknowledged_at=clock.time)


async def reason(clock: HandClock, git: HandGit, *appliers: Applier | None) -> str:
    router = FakeRouter(clock, patches=[receipt(clock, *appliers)])
    outcome = await procedure(clock).run(router, RELEASE, git=git)
    assert outcome.action is Action.REVERT
    assert router.calls == ["baseline", "patch", "look"]
    return outcome.reason


async def test_the_verdict_names_the_source_and_the_revision_that_must_change_once_for_all_its_objects(clock: HandClock) -> None:
    git = HandGit()
    said = await reason(clock, git, FLUX, None, FLUX)
    assert (
        "web-0, web-2: applied by Flux (Kustomization flux-system/apps), whose source must change: "
        "GitRepository flux-system/apps, ./shop, at revision main@sha1:4f2a; it is applied again; until then the traffic"
    ) in said
    assert git.asked == [FLUX]


async def test_what_nobody_applies_is_asked_of_nobody(clock: HandClock) -> None:
    git = HandGit()
    assert "whose source must change" not in await reason(clock, git, None)
    assert git.asked == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Forbidden("may not get kustomizations"), "(may not get kustomizations)"),
        (KeyError("status"), "(through a defect of verdictd: KeyError)"),
        (None, "(it did not answer within 0.01 s)"),
    ],
)
async def test_a_source_that_is_not_known_is_said_so_and_the_revert_stands(
    clock: HandClock, answer: Exception | None, said: str
) -> None:
    told = await reason(clock, HandGit(answer), ARGO)
    assert f"applied by Argo CD (Application shop), whose source must change, which is not known {said}; until then" in told


async def test_a_cluster_whose_git_nobody_reads_is_told_of_without_it() -> None:
    assert await sources(None, [FLUX], seconds=1.0) == {}


async def test_beside_the_route_stands_where_it_is_applied_from(clock: HandClock) -> None:
    there = {"east": MeshCluster(router=Marked(), git=HandGit())}
    [route] = (await fanout.locate(there, RELEASE)).routes
    assert route.owner == (
        "Flux (Kustomization flux-system/apps, from GitRepository flux-system/apps, ./shop, at revision main@sha1:4f2a)"
    )


async def test_which_revision_is_applied_and_who_had_it_applied_is_known_where_the_routes_are() -> None:
    applied = replace(SOURCE, initiated_by="ana")
    there = {"east": MeshCluster(router=Marked(), git=HandGit(applied)), "west": MeshCluster(router=Marked(), git=HandGit(SOURCE))}
    found = await fanout.locate(there, RELEASE)
    assert (found.revision, found.initiated_by) == ("main@sha1:4f2a", "ana"), "of the first, which is where it is judged"
    there = {"east": MeshCluster(router=Marked(), git=HandGit(replace(applied, deployed="main@sha1:77")))}
    assert (await fanout.locate(there, RELEASE)).revision == "main@sha1:77"
    assert (await fanout.locate({"east": MeshCluster(router=HandRouter(), git=HandGit(applied))}, RELEASE)).initiated_by == ""


@pytest.mark.parametrize(
    ("applies", "revision"),
    [
        (ARGO, "of the workload"),
        (None, ""),
        (Forbidden("may not get deployments"), "of the routes"),
        (ValueError("a defect"), "of the routes"),
    ],
)
async def test_what_applies_the_canary_s_workload_says_the_revision_and_not_what_applies_its_routes(
    applies: Applier | VerdictdError | None, revision: str
) -> None:
    class Both(HandGit):
        async def source(self, applier: Applier) -> GitSource:
            return replace(SOURCE, revision="of the workload" if applier == ARGO else "of the routes")

    named = replace(RELEASE, canary=replace(RELEASE.canary, workload="web-v2"))
    found = await fanout.locate({"east": MeshCluster(router=Marked(), git=Both(applies=applies))}, named)
    assert found.revision == revision
    assert (await fanout.locate({"east": MeshCluster(router=Marked(), git=Both(applies=applies))}, RELEASE)).revision == (
        "of the routes"
    ), "which workload it is, is not known"


async def test_arms_that_no_route_tells_apart_have_the_revision_of_their_workload() -> None:
    there = {"east": MeshCluster(router=Marked(), pods=HandRouter(), git=HandGit(applies=ARGO))}
    named = replace(RELEASE, strategy="pods", canary=replace(RELEASE.canary, workload="web"))
    assert (await fanout.locate(clusters_of(there, "pods"), named)).revision == "main@sha1:4f2a"


async def test_a_workload_whose_applier_never_answers_holds_up_no_watch() -> None:
    git = HandGit(answer=None, applies=ARGO)
    assert await of_workload(git, ObjectName(kind="workload", namespace=RELEASE.namespace, name="web-v2"), seconds=0.01) is None


def test_where_several_apply_it_only_what_all_say_is_known() -> None:
    one = replace(SOURCE, initiated_by="ana")
    assert revision_and_who({}) == ("", "")
    assert revision_and_who({ARGO: one, FLUX: one}) == ("main@sha1:4f2a", "ana")
    assert revision_and_who({ARGO: one, FLUX: replace(one, revision="main@sha1:77")}) == ("", "ana")
    assert revision_and_who({ARGO: one, FLUX: "it did not answer within 1 s"}) == ("", "")


async def test_a_source_that_cannot_be_read_stands_under_what_could_not_be() -> None:
    there = {"east": MeshCluster(router=Marked(), git=HandGit(Forbidden("may not get kustomizations")))}
    found = await fanout.locate(there, RELEASE)
    assert [route.owner for route in found.routes] == ["Flux (Kustomization flux-system/apps)"]
    assert found.unread == ("the source of Flux (Kustomization flux-system/apps) (may not get kustomizations)",)


async def test_of_what_is_told_to_leave_a_route_alone_nothing_is_asked() -> None:
    class Spare(Marked):
        applier = replace(FLUX, left_alone="kustomize.toolkit.fluxcd.io/ssa: IfNotPresent")

    git = HandGit()
    await fanout.locate({"east": MeshCluster(router=Spare(), git=git)}, RELEASE)
    assert git.asked == []


async def test_who_owns_the_routes_is_known_by_its_object(clock: HandClock) -> None:
    canary = Claim(object=ObjectName(kind="Canary", namespace="shop", name="web"))
    owners = (HandOwner(FakeRouter(clock), answers=[canary]),)
    placement = await fanout.locate({"east": MeshCluster(router=HandRouter(), owners=owners)}, RELEASE)
    assert placement.owners == (canary.object,)


def test_what_is_spared_is_so_in_the_objects_that_all_expressions_fit() -> None:
    spared = Spared(paths=("/spec",), kind="Virtual.*", namespace="shop")
    assert spared.is_in(ObjectName(kind="VirtualService", namespace="shop", name="web"))
    assert not spared.is_in(ObjectName(kind="VirtualService", namespace="shopping", name="web"))
    assert not Spared(paths=("/spec",), name="(").is_in(WEB)


def test_a_reference_says_its_owner_whole() -> None:
    assert str(RouteReference(object=WEB, kind="pin", percent=100.0, owner=str(FLUX))).endswith(
        "(owned by Flux (Kustomization flux-system/apps))"
    )
