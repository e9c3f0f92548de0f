"""``verdictd explain``: files, the daemon's records, the page, exit codes. What is said is the account's own matter."""

import asyncio
import gzip
import json
from pathlib import Path

import msgspec
import pytest

from daemon.cli import main
from daemon.model import Record
from tests.hand.api import Engine, serving, view
from tests.offline.explain.told import Told, told
from tests.offline.replay.recorded import FAILING, HEALTHY


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return told(tmp_path_factory.mktemp("bad"), change=FAILING)


@pytest.fixture
def record_file(bad: Told, tmp_path: Path) -> str:
    file = tmp_path / "record.json"
    file.write_bytes(msgspec.json.encode(bad.record))
    return str(file)


class Remembering(Engine):
    """A daemon that has one record."""

    def __init__(self, one: Record) -> None:
        super().__init__(releases={"web-1": view("web-1")})
        self._one = one

    async def record(self, release_id: str) -> Record | None:
        return self._one if release_id == self._one.verdict.release_id else None


def test_a_recording_is_judged_again(bad: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(bad.recording)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ROLLBACK  shop/web")
    assert "⣀" in out
    assert "\x1b" not in out


def test_a_torn_last_line_is_left_out_and_said_each_time(
    bad: Told, record_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(bad.recording.read_bytes()[:-40])
    number = len(bad.recording.read_bytes().splitlines())
    for argv in ([str(torn)], [record_file, "--recording", str(torn)]):
        main(["explain", *argv])
        out, err = capsys.readouterr()
        assert err.startswith(f"verdictd: {torn}:{number}: the last line is torn")
        assert f"its last line ({number}) is torn" in out
        main(["explain", *argv, "--json"])
        out, err = capsys.readouterr()
        assert err.startswith(f"verdictd: {torn}:{number}: the last line is torn")
        assert json.loads(out)["torn_line"] == number


def test_a_packed_recording_too(bad: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "r.jsonl.gz"
    packed.write_bytes(gzip.compress(bad.recording.read_bytes()))
    assert main(["explain", str(packed)]) == 0
    assert capsys.readouterr().out.startswith("ROLLBACK")


def test_a_record_with_its_recording(record_file: str, bad: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", record_file, "--recording", str(bad.recording), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["check"] == {"file": str(bad.recording), "digest": "equal", "verdict": "same", "detail": ""}
    assert len(said["curves"]["evidence"]) == said["ticks"]


def test_a_recording_of_another_release_exits_65(record_file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = told(tmp_path, change=HEALTHY, release_id="other")
    assert main(["explain", record_file, "--recording", str(other.recording)]) == 65
    assert "NOT those" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"), [("", "empty"), ('{"format":"verdictd.record/1"}', "verdict"), ('{"format":"x"}', ":1"), (None, "No such")]
)
def test_a_file_that_cannot_be_used_exits_65(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, says: str
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    assert main(["explain", str(file)]) == 65
    out, err = capsys.readouterr()
    assert out == ""
    assert str(file) in err
    assert says in err


def test_two_recordings_are_one_too_many(bad: Told, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(bad.recording), "--recording", str(bad.recording)]) == 64
    assert "the first file is a recording too" in capsys.readouterr().err


def test_a_page_is_written_beside(bad: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "page.html"
    assert main(["explain", str(bad.recording), "--html", str(file)]) == 0
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["explain", str(bad.recording), "--html", str(tmp_path / "no" / "page.html")]) == 64
    assert "--html: " in capsys.readouterr().err


async def test_a_release_is_asked_of_the_daemon(bad: Told, capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(Remembering(bad.record)) as api:
        server = ["--server", api.server.address.url]
        assert await asyncio.to_thread(main, ["explain", "web-1", "--recording", str(bad.recording), *server]) == 0
        assert "its samples are those that were judged" in " ".join(capsys.readouterr().out.split())
        assert await asyncio.to_thread(main, ["explain", "web-2", *server]) == 66
        assert "no record yet" in capsys.readouterr().err
        assert await asyncio.to_thread(main, ["explain", "Web_2", *server]) == 64
    assert await asyncio.to_thread(main, ["explain", "web-1", "--server", "http://127.0.0.1:1"]) == 69
    assert await asyncio.to_thread(main, ["explain", "web-1", "--server", "nowhere"]) == 64
