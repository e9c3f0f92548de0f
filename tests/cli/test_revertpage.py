"""docs/revert.md shows what the commands print: each example is run, in its order, on routes and pods as the page has them."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from tests.meshes.cluster import Cluster, cluster
from tests.meshes.objects import behind, pod, service, to, versions, virtual_service

_PAGE = Path(__file__).parents[2] / "docs" / "revert.md"
_EXAMPLE = re.compile(r"```sh\n(verdictd [^\n]+)\n```\n\n```text\n(.*?)```", re.DOTALL)
_SECONDS = re.compile(r"^ +\d+\.\d{3} s", re.MULTILINE)
SOMEBODY = "verdictd restore --from undo.json --yes"
"""Of the two examples with it the second one is after somebody has changed the weights."""


@pytest.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as running:
        canaries = ["web-v2-0", "web-v2-1", "web-v2-2"]
        objects = [
            virtual_service(to("web", "v1", 10), to("web", "v2", 90)),
            versions("v1", "v2"),
            service("web", app="web"),
            pod("web-v1-0", app="web", version="v1"),
            *(pod(name, app="web", version="v2") for name in canaries),
            behind("web", "web-v1-0", *canaries),
        ]
        for resource, item in objects:
            running.put(resource, item)
        monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig))
        monkeypatch.chdir(tmp_path)
        yield running


def examples() -> list[tuple[str, str]]:
    return _EXAMPLE.findall(_PAGE.read_text(encoding="utf-8"))


async def test_every_example_prints_what_the_page_says(api: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    shown = examples()
    assert len(shown) == 5
    for number, (command, printed) in enumerate(shown):
        if number == len(shown) - 1:
            api.put(*virtual_service(to("web", "v1", 60), to("web", "v2", 40)))
        await asyncio.to_thread(main, shlex.split(command)[1:])
        told = capsys.readouterr()
        assert _SECONDS.sub("", told.out + told.err) == _SECONDS.sub("", printed), command
    weights = [one["weight"] for one in api.get(VIRTUAL_SERVICES, "shop", "web")["spec"]["http"][0]["route"]]
    assert weights == [60, 40]
