"""Who applies an object by itself, and who wrote it last: by the marks of Argo CD, Flux and controllers."""

from typing import Any

import pytest

from daemon.kube.applying import applied_by, controlled_by, put_back_by, written, wrote_last

ID = "argocd.argoproj.io/tracking-id"
MINE = "networking.istio.io/VirtualService:shop/web"
KUSTOMIZE = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
HELM = {"helm.toolkit.fluxcd.io/name": "web", "helm.toolkit.fluxcd.io/namespace": "shop"}


def route(*managers: dict[str, str], **metadata: Any) -> dict[str, Any]:
    return {"kind": "VirtualService", "metadata": {"namespace": "shop", "name": "web", "managedFields": [*managers], **metadata}}


@pytest.mark.parametrize(
    ("item", "who"),
    [
        (route(annotations={ID: f"shop-app:{MINE}"}), "Argo CD (Application shop-app)"),
        (route(annotations={ID: f"team_shop:{MINE}"}), "Argo CD (Application team/shop)"),
        (route(labels={"argocd.argoproj.io/instance": "shop"}), "Argo CD (Application shop)"),
        (route({"manager": "argocd-controller"}, labels={"app.kubernetes.io/instance": "shop"}), "Argo CD (Application shop)"),
        (route(labels=KUSTOMIZE), "Flux (Kustomization flux-system/apps)"),
        (route(labels=HELM), "Flux (HelmRelease shop/web)"),
    ],
)
def test_what_git_applies_says_by_what(item: dict[str, Any], who: str) -> None:
    assert str(applied_by(item)) == who
    assert put_back_by(item) == applied_by(item)


@pytest.mark.parametrize(
    "item",
    [
        route(),
        route(labels=None, annotations=None),
        route(annotations={ID: "shop-app:networking.istio.io/VirtualService:other/web"}),
        route(annotations={ID: "shop-app:networking.istio.io/DestinationRule:shop/web"}),
        route({"manager": "helm"}, labels={"app.kubernetes.io/instance": "shop"}),
        route(labels={"kustomize.toolkit.fluxcd.io/namespace": "flux-system"}),
    ],
)
def test_a_mark_that_is_about_another_object_counts_for_nothing(item: dict[str, Any]) -> None:
    assert applied_by(item) is None
    assert put_back_by(item) is None


@pytest.mark.parametrize(
    ("item", "mark"),
    [
        (
            route(labels=KUSTOMIZE, annotations={"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}),
            "kustomize.toolkit.fluxcd.io/reconcile: disabled",
        ),
        (
            route(labels=KUSTOMIZE, annotations={"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}),
            "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent",
        ),
        (route(labels={**KUSTOMIZE, "kustomize.toolkit.fluxcd.io/ssa": "ignore"}), "kustomize.toolkit.fluxcd.io/ssa: ignore"),
        (
            route(labels=HELM, annotations={"helm.toolkit.fluxcd.io/driftDetection": "disabled"}),
            "helm.toolkit.fluxcd.io/driftDetection: disabled",
        ),
    ],
)
def test_what_git_applies_and_is_told_to_leave_alone_puts_nothing_back(item: dict[str, Any], mark: str) -> None:
    applier = applied_by(item)
    assert applier is not None
    assert applier.left_alone == mark
    assert put_back_by(item) is None


def test_a_mark_for_one_of_fluxs_tools_is_none_for_the_other() -> None:
    assert put_back_by(route(labels=HELM, annotations={"kustomize.toolkit.fluxcd.io/ssa": "Ignore"})) is not None


def test_an_object_that_a_controller_made_says_for_what() -> None:
    mine = {"kind": "Canary", "name": "web", "controller": True}
    assert controlled_by(route(ownerReferences=[{"kind": "Team", "name": "shop"}, mine])) == "Canary web"
    assert controlled_by(route(ownerReferences=[{"kind": "Team", "name": "shop"}])) == ""
    assert controlled_by(route()) == ""


def test_who_wrote_it_last_is_the_newest_of_those_who_manage_it_and_not_us() -> None:
    entries = (
        {"manager": "kubectl", "time": "2026-01-01T00:00:00Z"},
        {"manager": "rollouts-controller", "time": "2026-01-02T00:00:00Z"},
        {"manager": "verdictd", "time": "2026-01-03T00:00:00Z"},
        {"manager": "pilot-discovery", "time": "2026-01-04T00:00:00Z", "subresource": "status"},
    )
    assert written(route(*entries)) == "rollouts-controller at 2026-01-02T00:00:00Z"
    assert written(route(entries[2])) == ""


def wrote(manager: str, *, at: int = 1, field: str = "f:spec", **more: str) -> dict[str, Any]:
    return {"manager": manager, "time": f"2026-01-0{at}T00:00:00Z", "fieldsV1": {field: {}}, **more}


@pytest.mark.parametrize(
    ("entries", "ours"),
    [
        ([], False),
        ([wrote("kubectl")], False),
        ([wrote("verdictd")], True),
        ([wrote("kubectl"), wrote("verdictd", at=2)], True),
        ([wrote("kubectl", at=2), wrote("verdictd", at=1)], False),
        ([wrote("kubectl"), wrote("verdictd")], True),
        ([wrote("kubectl", at=3, field="f:metadata"), wrote("verdictd")], True),
        ([wrote("istiod", at=3, subresource="status"), wrote("verdictd")], True),
        ([wrote("kubectl"), wrote("verdictd", at=3, field="f:metadata")], False),
    ],
)
def test_what_we_wrote_last_is_ours_until_somebody_else_writes_it(entries: list[dict[str, Any]], ours: bool) -> None:
    assert wrote_last(route(*entries)) is ours
