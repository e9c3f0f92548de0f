"""An owner that a package brings is asked and told before the routes are patched. No file of ours changes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from config.errors import ConfigError
from daemon.cli import main
from daemon.delivery import owners
from tests.delivery.made_up import GARDENER, GARDENERS, Gardener
from tests.docs import rbac
from tests.hand.packages import install, packages
from tests.kube.stub import status
from tests.meshes.cluster import Cluster, cluster
from tests.meshes.made_up import MADE_UP
from tests.meshes.objects import service, to, two_versions, versions, virtual_service

__all__ = ["packages"]

ARMS = ["--service", "web", "--namespace", "shop", "--baseline", "subset=v1", "--canary", "subset=v2"]
ROUTE = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/web"
TENDED = "/apis/made-up.example/v1/namespaces/shop/gardeners/tom"


@pytest.fixture
def gardener(packages: Path) -> None:
    install(packages, {owners.GROUP: {"gardener": "tests.delivery.made_up:GARDENER"}})


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as running:
        running.listed |= {"gardeners"}
        for resource, item in (
            virtual_service(to("web", "v1", 50), to("web", "v2", 50)),
            versions("v1", "v2"),
            service("web", app="web"),
            *two_versions(),
        ):
            running.put(resource, item)
        yield running


def tended(api: Cluster, **spec: object) -> None:
    metadata = {"name": "tom", "namespace": "shop"}
    api.put(GARDENERS, {"metadata": metadata, "spec": {"tends": "web", **spec}})


async def revert(api: Cluster, folder: Path, *argv: str, **limited: float) -> int:
    file = folder / "settings.json"
    telemetry = {"t": {"kind": "prometheus", "url": "http://127.0.0.1:9", "dialect": "istio"}}
    kube = {"auth": "kubeconfig", "kubeconfig": str(api.kubeconfig)}
    limits = {"revert_attempts": 2, "confirm_seconds": 20.0, "guard_seconds": 2.0, **limited}
    meshes = {"mesh": {"kind": "istio", "telemetry": "t"}}
    file.write_text(json.dumps({"kubernetes": kube, "telemetry": telemetry, "meshes": meshes, "limits": limits}))
    return await asyncio.to_thread(main, ["revert", "--config", str(file), *ARMS, *argv])


def patched(api: Cluster) -> list[str]:
    return [path for method, path in api.requests if method == "PATCH"]


@pytest.mark.usefixtures("gardener")
async def test_it_is_told_first_and_then_the_route_is_patched(
    api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tended(api)
    assert await revert(api, tmp_path, "--yes") == 0
    assert patched(api) == [TENDED, ROUTE]
    told = capsys.readouterr().out
    assert "shop/web http #0: 50 % of the traffic (owned by gardener (shop/tom))" in told
    assert "gardener (shop/tom) was told to give the canary up" in told
    assert "owner_told" in told


@pytest.mark.usefixtures("gardener")
async def test_a_dry_run_says_whose_the_route_is_and_tells_nobody_anything(
    api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tended(api)
    assert await revert(api, tmp_path, "--dry-run", "--json") == 0
    assert patched(api) == []
    routes = json.loads(capsys.readouterr().out)["routes"]
    assert routes == ["shop/web http #0: 50 % of the traffic (owned by gardener (shop/tom))"]


@pytest.mark.usefixtures("gardener")
async def test_the_command_looks_on_for_as_long_as_an_owner_may_take_to_undo_it(
    api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tended(api, reacts=0.5)
    assert await revert(api, tmp_path, "--yes") == 0
    told = capsys.readouterr()
    assert "the traffic is back; looking for 0.5 s whether the routes' owner undoes that" in told.err
    assert "it stayed so for 0.5 s (put back 0 times and taken back each time; 0 looks failed)" in told.out
    assert "guard_ended" in told.out


@pytest.mark.usefixtures("gardener")
@pytest.mark.parametrize("spec", [{"stopped": True}, {"tends": "another"}])
async def test_one_that_has_stopped_already_or_tends_something_else_is_told_nothing(
    api: Cluster, tmp_path: Path, spec: dict[str, object]
) -> None:
    tended(api, **spec)
    assert await revert(api, tmp_path, "--yes") == 0
    assert patched(api) == [ROUTE]


@pytest.mark.usefixtures("gardener")
async def test_one_that_undoes_patches_and_cannot_be_told_keeps_its_route_and_the_revert_fails(
    api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tended(api)
    api.faults["PATCH"] = [status(403, "may not stop it")]
    assert await revert(api, tmp_path, "--yes") == 69
    assert patched(api) == [TENDED]
    told = capsys.readouterr().out
    assert "failed: the traffic could not be taken back: gardener (shop/tom) could not be told to give the canary up" in told
    assert "may not stop it" in told
    assert "it would undo what is written there" in told


@pytest.mark.usefixtures("gardener")
async def test_one_that_surely_leaves_the_route_alone_and_cannot_be_told_does_not_keep_it(
    api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tended(api, lazy=True)
    api.faults["PATCH"] = [status(403, "may not stop it")]
    assert await revert(api, tmp_path, "--yes") == 0
    assert patched(api) == [TENDED, ROUTE]
    assert "could not be told to give the canary up" in capsys.readouterr().out


@pytest.mark.usefixtures("gardener")
async def test_one_that_cannot_be_asked_holds_nothing_up_and_that_is_said(
    api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tended(api)
    api.forbidden.add("/apis/made-up.example/v1/namespaces/shop/gardeners")
    assert await revert(api, tmp_path, "--yes") == 0
    assert patched(api) == [ROUTE]
    assert "whether gardener owns the routes could not be asked" in capsys.readouterr().out


@pytest.mark.usefixtures("gardener")
async def test_a_cluster_that_does_not_know_its_kind_is_reverted_as_any_other(api: Cluster, tmp_path: Path) -> None:
    api.listed.remove("gardeners")
    assert await revert(api, tmp_path, "--yes") == 0
    assert patched(api) == [ROUTE]


async def test_without_it_nobody_is_asked(api: Cluster, tmp_path: Path) -> None:
    tended(api)
    assert await revert(api, tmp_path, "--yes") == 0
    assert patched(api) == [ROUTE]
    assert not any("gardeners" in path for _, path in api.requests)


@pytest.mark.usefixtures("gardener")
def test_there_is_one_for_each_cluster_of_a_mesh(tmp_path: Path) -> None:
    rollouts, flagger, made = owners.owners_in(Cluster(tmp_path / "kubeconfig").client())
    assert isinstance(made, Gardener)
    assert (rollouts.name, flagger.name) == ("Argo Rollouts", "Flagger")


def test_its_rights_are_in_the_manifest() -> None:
    roles = {one["metadata"]["name"]: one for one in yaml.safe_load_all(rbac.manifest([MADE_UP, GARDENER])) if "rules" in one}
    patching = {"apiGroups": ["made-up.example"], "resources": ["gardeners"], "verbs": ["patch"]}
    assert patching["resources"][0] in str(roles["verdictd-enforce"]["rules"])
    assert {**patching, "verbs": ["list"]} in roles["verdictd-observe"]["rules"]


def test_a_package_whose_owner_cannot_be_used_is_refused_with_its_name(packages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(packages, {owners.GROUP: {"theirs": "tests.delivery.made_up:GARDENERS"}})
    with pytest.raises(ConfigError) as caught:
        owners.kinds()
    [fault] = caught.value.faults
    assert (fault.path, fault.fix) == ("verdictd.owners.theirs", "mend or remove somebody")
    assert "is no OwnerKind but a Resource" in fault.message
    settings = packages / "settings.json"
    settings.write_text("{}")
    assert main(["check", str(settings)]) != 0
    assert "verdictd.owners.theirs" in capsys.readouterr().out
