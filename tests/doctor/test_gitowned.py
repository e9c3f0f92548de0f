"""Routes that Git applies: a warning with its mend where a revert is undone there, a note where their weights are left alone."""

import pytest
from msgspec.structs import replace

from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.doctor.gitowned import examine
from daemon.engine.dependencies import MeshCluster
from daemon.errors import Forbidden
from daemon.placement import Applier, ObjectName, RouteReference
from daemon.ports.routing import GitSource, Spared
from tests.engine.test_gitsources import ARGO, FLUX, SOURCE, HandGit
from tests.hand.ports import HandRouter

WEB = ObjectName(kind="VirtualService", namespace="shop", name="web")
WEIGHTS = ".spec.http[].route[].weight"
HELM = Applier(tool="Flux", object=ObjectName(kind="HelmRelease", namespace="shop", name="web"))
THING = Applier(tool="Other", object=replace(FLUX.object, kind="Thing"))


def route(applier: Applier | None, *, cluster: str = "") -> RouteReference:
    return RouteReference(object=WEB, kind="weight", percent=10.0, applier=applier, cluster=cluster)


async def examined(applier: Applier | None, answer: GitSource | Exception = SOURCE) -> list[Diagnosis]:
    there = {"only": MeshCluster(router=HandRouter(), git=HandGit(answer))}
    return await examine([route(applier), route(applier)], there, where="shop/web", seconds=1.0)


async def test_of_a_route_that_git_does_not_apply_nothing_is_said() -> None:
    assert await examined(None) == []


@pytest.mark.parametrize(
    ("applier", "fix"),
    [
        (FLUX, 'kustomize.toolkit.fluxcd.io/ssa: "IfNotPresent"'),
        (HELM, 'helm.toolkit.fluxcd.io/driftDetection: "disabled"'),
        (
            ARGO,
            'jqPathExpressions: [".spec.http[]?.route[]?.weight"]}\nsyncPolicy:\n  syncOptions: [RespectIgnoreDifferences=true]',
        ),
        (
            replace(FLUX, tool="Other", object=replace(FLUX.object, kind="Thing")),
            "have Other (Thing flux-system/apps) leave it alone",
        ),
    ],
)
async def test_one_that_is_applied_again_is_warned_of_with_what_must_change_and_how_its_tool_leaves_it_alone(
    applier: Applier, fix: str
) -> None:
    [one] = await examined(applier)
    assert (one.code, one.severity, one.where) == (Code.GIT_PUTS_BACK, "warning", "shop/web")
    assert one.found.startswith(f"a revert is undone in VirtualService shop/web, applied by {applier}, whose source must change: ")
    assert one.found.endswith("at revision main@sha1:4f2a; it is applied again")
    assert one.fix.endswith(fix)


async def test_one_whose_tool_leaves_it_alone_by_its_mark_is_noted() -> None:
    [one] = await examined(replace(FLUX, left_alone="kustomize.toolkit.fluxcd.io/ssa: IfNotPresent"))
    assert (one.code, one.severity, one.fix) == (Code.GIT_LEAVES_ALONE, "note", "")
    assert one.found.endswith("leaves it as it is in the cluster (kustomize.toolkit.fluxcd.io/ssa: IfNotPresent)")


async def test_one_whose_differences_are_ignored_is_noted_with_their_paths() -> None:
    [one] = await examined(ARGO, replace(SOURCE, spares=(Spared(paths=(WEIGHTS,), kind="VirtualService"),)))
    assert (one.code, one.found) == (
        Code.GIT_LEAVES_ALONE,
        f"VirtualService shop/web is of Argo CD (Application shop), which leaves alone there: {WEIGHTS}",
    )


async def test_ignoring_them_is_not_enough_where_a_sync_writes_them_all_the_same() -> None:
    spares = (Spared(paths=(WEIGHTS,), kind="VirtualService"),)
    [one] = await examined(ARGO, replace(SOURCE, spares=spares, unspared="a sync writes them all the same"))
    assert one.code is Code.GIT_PUTS_BACK
    assert one.found.endswith(f"{WEIGHTS} are ignored there, but a sync writes them all the same")


async def test_differences_of_other_objects_do_not_count() -> None:
    [one] = await examined(ARGO, replace(SOURCE, spares=(Spared(paths=(WEIGHTS,), name="other"),)))
    assert one.code is Code.GIT_PUTS_BACK


async def test_one_whose_source_may_not_be_read_is_warned_of_all_the_same() -> None:
    [one] = await examined(ARGO, Forbidden("may not list applications"))
    assert one.code is Code.GIT_PUTS_BACK
    assert one.found.endswith("whose source must change, which is not known (may not list applications)")


async def test_each_cluster_is_asked_of_its_own_routes() -> None:
    east, west = HandGit(), HandGit()
    there = {"east": MeshCluster(router=HandRouter(), git=east), "west": MeshCluster(router=HandRouter(), git=west)}
    await examine([route(FLUX, cluster="east"), route(ARGO, cluster="west")], there, where="shop/web", seconds=1.0)
    assert (east.asked, west.asked) == ([FLUX], [ARGO])
