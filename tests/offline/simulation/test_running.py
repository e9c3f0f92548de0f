"""The calibration's own parts: its cache is honest, a row can be run alone, its releases can be had as recordings."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.offline.plan.latency import Histogram, stretched
from daemon.offline.replay import replay_file
from daemon.offline.simulation.world import World
from tests.bench.calibration import __main__ as command
from tests.bench.calibration import recorded, running, watching
from tests.bench.calibration.asks import RolledBack
from tests.bench.calibration.cache import Results
from tests.bench.calibration.row import Row, Watch
from tests.bench.calibration.rows import all_rows
from tests.bench.calibration.streams import errors, world

SHORT = Row(section="bad", title="k", stream=world(change=errors(0.2)), asked=RolledBack(), watch=Watch(seconds=6.0), releases=40)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results are kept in a folder of the test's own, in small blocks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(running, "BLOCK", 20)


def _asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The blocks that are measured from now on."""
    asked: list[int] = []

    def noted(row: Row, *, block: int, releases: int, latencies: watching.Latencies) -> watching.Ends:
        asked.append(block)
        return watching.ends(row, block=block, releases=releases, latencies=latencies)

    monkeypatch.setattr(running, "ends", noted)
    return asked


def test_kept_blocks_are_found_again_and_only_for_the_same_question(tmp_path: Path) -> None:
    Results(SHORT, tmp_path).add(0, [0, 3])
    Results(SHORT, tmp_path).add(1, [4])
    assert Results(replace(SHORT, releases=1), tmp_path).together(2) == [0, 3, 4]
    for other in (replace(SHORT, watch=Watch(seconds=10.0)), replace(SHORT, stream=World()), replace(SHORT, title="other")):
        assert Results(other, tmp_path).blocks == {}


def test_more_releases_are_measured_beside_those_that_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    few = running.run([SHORT], releases=15, processes=1)
    asked = _asked(monkeypatch)
    more = running.run([SHORT], releases=None, processes=1)
    assert asked == [1]
    assert more["bad: k"][:20] == few["bad: k"]
    assert len(more["bad: k"]) == 40


def test_processes_change_no_figure() -> None:
    alone = running.run([SHORT], releases=None, processes=1)
    Path(".calibration").rename("elsewhere")
    assert running.run([SHORT], releases=None, processes=2) == alone


def test_another_judges_blocks_are_taken_over_only_where_the_first_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    first = running.run([SHORT], releases=None, processes=1)
    folder = next(Path(".calibration").iterdir())
    folder.rename(folder.with_name("older"))
    asked = _asked(monkeypatch)
    assert running.run([SHORT], releases=None, processes=1, adopt=True) == first
    assert asked == [0]
    for path in Path(".calibration").glob("*/*.json"):
        if path.parent.name != "older":
            path.unlink()
        else:
            blocks = json.loads(path.read_text())
            blocks["0"][0] += 1
            path.write_text(json.dumps(blocks))
    assert running.run([SHORT], releases=None, processes=1, adopt=True) == first
    assert asked == [0, 0, 1]


def test_rows_are_run_alone_and_their_figures_kept(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "all_rows", lambda: [SHORT, replace(SHORT, title="other")])
    assert command.main(["--only", "bad: k", "--n", "20", "--keep", "kept.json"]) == 0
    printed = capsys.readouterr().out
    assert "| k " in printed
    assert "other" not in printed
    assert list(json.loads(Path("kept.json").read_text())) == ["bad: k"]


def test_the_second_generators_rows_are_run_when_asked_for_or_with_all() -> None:
    def sections(**chosen: bool) -> set[str]:
        return {row.section for row in command._chosen(None, part=chosen["part"], held_back=chosen["held_back"])}

    assert "held back" in sections(part=False, held_back=False)
    assert "held back" not in sections(part=True, held_back=False)
    assert "held back" in sections(part=True, held_back=True)


def test_observed_latencies_stand_for_those_of_rows_that_change_by_one_factor() -> None:
    rows = [replace(row, watch=Watch(seconds=4.0)) for row in all_rows() if row.name in {"bad: x2", "bad: 2 % of the requests x10"}]
    histogram = Histogram(bounds_ms=(100.0, 200.0, 400.0, 800.0), counts=(50.0, 800.0, 100.0, 20.0, 1.0))
    meant, answers = running.run_seen(
        rows, releases=20, processes=1, bounds_ms=histogram.bounds_ms, shape_of=lambda tail: stretched(histogram, tail)
    )
    assert [row.title for row in meant] == ["x2"]
    assert len(answers["bad: x2"]) == 20
    assert not Path(".calibration").exists()


def test_a_file_of_latencies_is_read_and_the_rows_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "all_rows", lambda: [SHORT])
    Path("seen.json").write_text('{"bounds_ms": [100, 200, 400], "counts": [50, 800, 100, 20]}')
    assert command.main(["--histogram", "seen.json", "--n", "20"]) == 0
    assert "| k " in capsys.readouterr().out


def test_recordings_are_judged_as_the_releases_were(tmp_path: Path) -> None:
    rows = [SHORT, replace(next(row for row in all_rows() if row.section == "held back"), watch=Watch(seconds=6.0))]
    assert recorded.write(tmp_path / "recordings", rows, each=3) == 6
    labels = json.loads((tmp_path / "recordings" / "labels.json").read_text())
    verdicts = {name: replay_file(tmp_path / "recordings" / name).verdict for name in labels}
    assert [verdicts[name] == "rollback" for name, row in labels.items() if row == SHORT.name] == [True] * 3
    assert "rollback" not in [verdicts[name] for name, row in labels.items() if row != SHORT.name]
