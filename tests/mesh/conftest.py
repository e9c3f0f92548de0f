"""The worlds that the tests of this folder are played in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.hand import istio_objects
from tests.mesh.istio_world import IstioWorld
from tests.mesh.istio_world import istio_world as world


@pytest_asyncio.fixture
async def istio_world(tmp_path: Path) -> AsyncIterator[IstioWorld]:
    """A whole Istio of this test's own, up in about 15 seconds."""
    async with world(tmp_path) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_istio_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IstioWorld]:
    """One for all tests of a file, which must be marked ``pytest.mark.asyncio(loop_scope="module")``."""
    async with world(tmp_path_factory.mktemp("istio")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def shared_istio_world(module_istio_world: IstioWorld) -> IstioWorld:
    """The file's world as it was in the beginning."""
    module_istio_world.break_canary()
    await module_istio_world.replace_spec(istio_objects.virtual_service()["spec"])
    async with module_istio_world.traffic(per_second=50.0) as seen:
        await seen.until(lambda traffic: traffic.counts().get("v2", 0) > 0, within=60.0)
    return module_istio_world
