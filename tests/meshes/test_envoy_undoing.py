"""A routes file is put back as it was before the traffic was taken back, as far as nobody has changed it since."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.meshes.envoy.router import EnvoyRouter
from daemon.model import ArmSpec, Release
from daemon.placement import Undo
from tests.meshes.test_envoy_live import routes_document

RELEASE = Release(service="web", baseline=ArmSpec(service="v1"), canary=ArmSpec(service="v2"))


@pytest.fixture(params=["routes.yaml", "routes.json"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    write(path, routes_document())
    return path


@pytest.fixture
async def router(file: Path) -> AsyncIterator[EnvoyRouter]:
    router = EnvoyRouter(routes_file=str(file), admin="http://127.0.0.1:1")
    yield router
    await router.close()


def write(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document) if path.suffix == ".json" else yaml.safe_dump(document, sort_keys=False))


def raw(path: Path) -> bytes:
    return path.read_bytes()


def inode(path: Path) -> int:
    return path.stat().st_ino


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


async def reverted(router: EnvoyRouter) -> list[Undo]:
    return [part.undo for part in (await router.revert(RELEASE)).parts if part.undo is not None]


async def test_what_a_revert_would_write_is_what_it_writes(file: Path, router: EnvoyRouter) -> None:
    before = raw(file)
    [planned] = await router.plan(RELEASE)
    assert raw(file) == before
    assert str(planned) == "RouteConfiguration edge"
    assert "weight 30 of v2 -> v1, now 100" in [one.detail for one in planned.changes]
    [undo] = await reverted(router)
    assert undo.values == planned.values
    assert await router.plan(RELEASE) == ()


async def test_what_was_taken_back_is_put_back_as_it_was(file: Path, router: EnvoyRouter) -> None:
    undos = await reverted(router)
    taken_back = raw(file)
    [shown] = await router.plan_restore(undos)
    assert (shown.failure, raw(file)) == (None, taken_back)
    [one] = await router.restore(undos)
    assert one.failure is None
    assert read(file) == routes_document()


async def test_what_somebody_has_changed_since_stays_and_the_file_is_not_written(file: Path, router: EnvoyRouter) -> None:
    undos = await reverted(router)
    document = read(file)
    document["resources"][0]["virtual_hosts"][0]["routes"][2]["route"]["weighted_clusters"]["clusters"][1]["weight"] = 5
    write(file, document)
    before = inode(file)
    for answer in (await router.plan_restore(undos), await router.restore(undos)):
        assert "weighted_clusters/clusters/1/weight is 5, and was left at 0" in str(answer[0].failure)
    assert (read(file), inode(file)) == (document, before)


async def test_a_route_configuration_that_is_gone_is_told(file: Path, router: EnvoyRouter) -> None:
    undos = await reverted(router)
    document = read(file)
    document["resources"][0]["name"] = "other"
    write(file, document)
    assert [str(one.failure) for one in await router.restore(undos)] == ["edge is not in the file any more"]
