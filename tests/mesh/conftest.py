"""The worlds that the tests of this folder are played in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.mesh.istio_world import IstioWorld
from tests.mesh.istio_world import istio_world as world


@pytest_asyncio.fixture
async def istio_world(tmp_path: Path) -> AsyncIterator[IstioWorld]:
    """A whole Istio of this test's own, up in seconds."""
    async with world(tmp_path) as running:
        yield running
