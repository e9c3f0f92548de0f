"""``verdictd restore``: what a revert by hand has saved, or a daemon has in its record, is put back, and nothing else is."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.cli import main, undofile
from daemon.cli.undofile import UndoFile, UndoWriter
from daemon.engine.takenback import UNDO_NOT_KEPT
from daemon.meshes.istio.mesh import VIRTUAL_SERVICES
from daemon.model import Record, Stage, TimedStep
from daemon.placement import ObjectName, Undo, ValueChange
from tests.hand.api import Engine, serving, view
from tests.hand.samples import RELEASE
from tests.kube.stub import status
from tests.meshes.cluster import Cluster, cluster
from tests.meshes.objects import service, to, two_versions, versions, virtual_service

ARMS = ["--service", "web", "--namespace", "shop", "--baseline", "subset=v1", "--canary", "subset=v2"]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with cluster(tmp_path) as running:
        objects = [virtual_service(to("web", "v1", 90), to("web", "v2", 10)), versions("v1", "v2"), service("web", app="web")]
        for resource, item in (*objects, *two_versions()):
            running.put(resource, item)
        yield running


def weights(api: Cluster) -> list[int]:
    return [one["weight"] for one in api.get(VIRTUAL_SERVICES, "shop", "web")["spec"]["http"][0]["route"]]


def change(api: Cluster, edit: Callable[[Any], None]) -> None:
    item = json.loads(json.dumps(api.get(VIRTUAL_SERVICES, "shop", "web")))
    edit(item["spec"]["http"][0])
    api.put(VIRTUAL_SERVICES, item)


async def run(api: Cluster, *argv: str) -> int:
    command, *rest = argv
    return await asyncio.to_thread(main, [command, "--kubeconfig", str(api.kubeconfig), *rest])


@pytest.fixture
async def saved(api: Cluster, tmp_path: Path) -> str:
    file = str(tmp_path / "undo.json")
    assert await run(api, "revert", *ARMS, "--yes", "--save", file) == 0
    assert weights(api) == [100, 0]
    return file


async def test_what_a_revert_saved_is_put_back(api: Cluster, saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(api, "restore", "--from", saved, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "VirtualService shop/web\n" in out
    assert "  - spec.http[0].route[1].weight: 0\n  + spec.http[0].route[1].weight: 10\n" in out
    assert weights(api) == [100, 0]
    assert await run(api, "restore", "--from", saved, "--yes") == 0
    assert weights(api) == [90, 10]
    assert "shop/web: as it was before its traffic was taken back" in capsys.readouterr().out


async def test_what_somebody_has_changed_since_is_named_with_what_is_there_now(
    api: Cluster, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(api, lambda rule: rule["route"][1].update(weight=7))
    assert await run(api, "restore", "--from", saved, "--yes", "--json") == 69
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert answer["restored"] is None
    assert "shop/web was changed by somebody since: /spec/http/0/route/1/weight is 7, and was left at 0" in answer["failures"][0]
    assert "nothing was changed" in told.err
    assert weights(api) == [100, 7]


async def test_a_rule_that_was_changed_around_the_weights_is_left_alone(
    api: Cluster, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(api, lambda rule: rule.update(timeout="2s"))
    assert await run(api, "restore", "--from", saved, "--yes") == 69
    assert "beside the values themselves, in /spec/http/0" in capsys.readouterr().out
    assert weights(api) == [100, 0]


async def test_what_has_been_put_back_is_said_to_be_and_not_written_again(
    api: Cluster, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(api, "restore", "--from", saved, "--yes") == 0
    api.faults["PATCH"] = [status(403, "nothing is written any more")]
    assert await run(api, "restore", "--from", saved, "--yes") == 0
    assert "shop/web: as it was before its traffic was taken back, already" in capsys.readouterr().out
    assert weights(api) == [90, 10]


async def test_what_was_put_back_in_part_is_put_back_by_the_next_try(api: Cluster, tmp_path: Path) -> None:
    api.put(*virtual_service(to("web", "v1", 70), to("web", "v2", 30), name="beta"))
    file = str(tmp_path / "undo.json")
    assert await run(api, "revert", *ARMS, "--yes", "--save", file) == 0
    api.faults["PATCH"] = [status(500, "one of them fails")]
    assert await run(api, "restore", "--from", file, "--yes") == 69
    assert await run(api, "restore", "--from", file, "--yes") == 0
    beta = api.get(VIRTUAL_SERVICES, "shop", "beta")["spec"]["http"][0]["route"]
    assert (weights(api), [one["weight"] for one in beta]) == ([90, 10], [70, 30])


async def test_a_revert_without_the_right_to_write_says_so_by_its_code_too(api: Cluster, tmp_path: Path) -> None:
    api.faults["PATCH"] = [status(403, "not yours")]
    file = str(tmp_path / "undo.json")
    assert await run(api, "revert", *ARMS, "--yes", "--save", file) == 77
    api.faults["PATCH"] = []
    assert await run(api, "restore", "--from", file, "--yes") == 66
    assert weights(api) == [90, 10]


async def test_without_the_right_to_write_the_code_says_so(api: Cluster, saved: str) -> None:
    api.faults["PATCH"] = [status(403, "not yours")]
    assert await run(api, "restore", "--from", saved, "--yes", "--json") == 77
    assert weights(api) == [100, 0]


async def test_without_yes_and_nobody_to_ask_nothing_is_changed(api: Cluster, saved: str) -> None:
    assert await run(api, "restore", "--from", saved) == 64
    assert weights(api) == [100, 0]


async def test_what_was_saved_is_never_written_over(api: Cluster, saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(api, "restore", "--from", saved, "--yes") == 0
    before = contents(saved)
    assert await run(api, "revert", *ARMS, "--yes", "--save", saved) == 64
    assert "--save" in capsys.readouterr().err
    assert (contents(saved), weights(api)) == (before, [90, 10])


def contents(file: str) -> bytes:
    return Path(file).read_bytes()


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("", 64, "is no verdictd.undo/1"),
        ('{"format":"verdictd.undo/2"}', 64, "is no verdictd.undo/1"),
        (None, 64, "cannot be read"),
    ],
)
async def test_a_file_that_is_no_undo_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, code: int, said: str
) -> None:
    file = tmp_path / "undo.json"
    if text is not None:
        put(file, text)
    assert await asyncio.to_thread(main, ["restore", "--from", str(file), "--yes"]) == code
    assert said in capsys.readouterr().err


def put(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def test_a_disk_that_is_full_by_now_takes_nothing_of_what_was_saved(tmp_path: Path) -> None:
    file = tmp_path / "undo.json"
    web, api = (Undo(object=ObjectName(kind="VirtualService", name=name), values=()) for name in ("web", "api"))
    writer = UndoWriter(str(file), RELEASE, source="test")
    writer.noted([web])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        writer.noted([api])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "could not be saved" in writer.problem
    assert undofile.read(str(file)).undos == (web,)
    writer.noted([])
    assert undofile.read(str(file)).undos == (web, api)
    assert (file.stat().st_mode & 0o777, list(tmp_path.iterdir())) == (0o600, [file])


async def test_a_revert_that_wrote_nothing_has_nothing_to_put_back(
    api: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(api, lambda rule: rule["route"][1].update(weight=0))
    file = str(tmp_path / "undo.json")
    assert await run(api, "revert", *ARMS, "--yes", "--save", file) == 0
    assert await run(api, "restore", "--from", file, "--yes") == 66
    assert "nothing was written by that revert" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["web-1", "--from", "undo.json"]])
async def test_it_is_told_by_an_id_or_by_a_file(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(main, ["restore", *argv]) == 64
    assert "give the release's id, or --from FILE" in capsys.readouterr().err


def undo_of(saved: str) -> Undo:
    [undo] = msgspec.json.decode(contents(saved), type=UndoFile).undos
    return undo


@dataclass
class Daemon(Engine):
    """With more in its record."""

    undos: tuple[Undo, ...] = ()
    marks: tuple[TimedStep, ...] = ()

    async def record(self, release_id: str) -> Record | None:
        kept = await super().record(release_id)
        return None if kept is None else msgspec.structs.replace(kept, undos=self.undos, marks=self.marks)


async def restore_by_id(
    api: Cluster, *undos: Undo, stage: Stage = Stage.ENDED, marks: tuple[TimedStep, ...] = (), mesh: str | None = "istio"
) -> int:
    engine = Daemon(releases={"web-1": view("web-1", stage=stage)}, undos=undos, marks=marks)
    engine.end("web-1")
    async with serving(engine) as served:
        url = f"http://127.0.0.1:{served.server.address.port}"
        return await run(api, "restore", "web-1", "--server", url, *(("--mesh", mesh) if mesh else ()), "--yes")


async def test_what_the_daemons_record_says_is_put_back(api: Cluster, saved: str) -> None:
    assert await restore_by_id(api, undo_of(saved)) == 0
    assert weights(api) == [90, 10]


async def test_while_the_daemon_would_take_it_back_again_it_is_refused(
    api: Cluster, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await restore_by_id(api, undo_of(saved), stage=Stage.GUARDING) == 69
    assert "release web-1 is guarding" in capsys.readouterr().err
    assert weights(api) == [100, 0]


async def test_a_record_without_anything_written_says_why(api: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert await restore_by_id(api) == 66
    assert "nothing is kept of what was written for release web-1: its verdict is rollback" in capsys.readouterr().err
    assert await restore_by_id(api, marks=(TimedStep(step=UNDO_NOT_KEPT, at=1.0, detail="it is too much"),)) == 66
    assert "it is too much" in capsys.readouterr().err


async def test_without_a_mesh_the_one_that_writes_such_routes_is_found(api: Cluster, saved: str) -> None:
    assert await restore_by_id(api, undo_of(saved), mesh=None) == 0
    assert weights(api) == [90, 10]


async def test_routes_that_are_of_no_mesh_here_are_refused(api: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    undo = Undo(
        object=ObjectName(kind="Split", name="web", namespace="shop"),
        values=(ValueChange(path="/spec/weight", before="1", after="0"),),
        resource="splits.made-up.example",
    )
    assert await restore_by_id(api, undo, mesh=None) == 64
    assert "no mesh here has the routes that were written: splits.made-up.example" in capsys.readouterr().err
    assert await restore_by_id(api, undo) == 69
    assert "which is no kind of this mesh's routes" in capsys.readouterr().out
