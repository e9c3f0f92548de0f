"""Policies on the same recordings, counted against what is known of the releases."""

import json
from pathlib import Path

import pytest

from config.policy import ErrorTolerance, Policy, Tolerances
from daemon.errors import InvalidInput
from daemon.offline.replay.comparing import compare, share, spread
from daemon.offline.replay.labels import Label, labels_of
from daemon.offline.replay.lockstep import judge
from daemon.offline.replay.sources import recordings_in
from daemon.offline.simulation.world import Change
from tests.offline.replay.recorded import FAILING, HEALTHY, PROMPT, record

TOLERANT = Policy(tolerances=Tolerances(errors=ErrorTolerance(max_rate=0.5)), promotion=PROMPT.promotion)


def test_every_end_is_counted_against_its_label(tmp_path: Path) -> None:
    paths = [
        *record(tmp_path, change=HEALTHY, number=4, stem="good"),
        *record(tmp_path, change=FAILING, number=3, stem="bad"),
        *record(tmp_path, change=Change(errors=0.2, onset_tick=10), number=2, stem="late"),
        *record(tmp_path, change=HEALTHY, ticks=3, stem="short"),
        *record(tmp_path, change=FAILING, stem="nobody-knows"),
    ]
    labels = {path: Label(label="bad" if "bad" in path.name else "healthy") for path in paths if "nobody" not in path.name}
    labels |= {path: Label(label="bad", onset_seconds=10.0) for path in paths if "late" in path.name}
    results = list(judge(paths, policies=[None, TOLERANT]))
    rows, unusable = compare(results, policies=[("as recorded", None), ("tolerant", "sha256:1")], labels=labels)
    assert unusable == []
    strict, tolerant = rows
    assert (strict.recordings, strict.ended_first, strict.unlabelled) == (11, 1, {"rollback": 1})
    assert (strict.false_rollbacks.count, strict.false_rollbacks.of) == (0, 10)
    assert (strict.detections.count, strict.detections.of, strict.missed.count) == (5, 5, 0)
    assert strict.delay_seconds.median is not None
    assert strict.delay_seconds.median <= 4.0
    assert (strict.promotions.count, strict.promotions.of) == (4, 5)
    assert strict.promotion_seconds.median == 60.0
    assert (tolerant.detections.count, tolerant.missed.count, tolerant.unlabelled) == (0, 5, {"promote": 1})


def test_a_rollback_before_the_onset_is_a_false_one(tmp_path: Path) -> None:
    paths = record(tmp_path, change=FAILING, number=2)
    labels = {path: Label(label="bad", onset_seconds=50.0) for path in paths}
    [row], _ = compare(judge(paths), policies=[("p", None)], labels=labels)
    assert (row.false_rollbacks.count, row.detections.count) == (2, 0)


def test_what_cannot_be_used_is_handed_back(tmp_path: Path) -> None:
    [row], unusable = compare(judge([tmp_path / "absent.jsonl"]), policies=[("p", None)], labels={})
    assert row.recordings == 0
    assert [one.file.name for one in unusable] == ["absent.jsonl"]


def test_intervals_are_wilsons() -> None:
    """Against statsmodels' and textbook values: 0 of 10 and 13 of 256."""
    none, some = share(0, 10), share(13, 256)
    assert none.high == pytest.approx(0.27753, abs=1e-4)
    assert none.low == 0.0
    assert some.low == pytest.approx(0.02992, abs=1e-4)
    assert some.high == pytest.approx(0.08490, abs=1e-4)
    assert share(0, 0).low is None


def test_quantiles_are_values_that_occurred() -> None:
    assert spread([4.0, 1.0, 2.0, 3.0]) == spread([1.0, 2.0, 3.0, 4.0])
    assert (spread([1.0, 2.0, 3.0, 4.0]).median, spread([1.0, 2.0, 3.0, 4.0]).p90) == (2.0, 4.0)
    assert spread([]).p90 is None


def test_labels_stand_beside_the_recordings(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "1.jsonl", tmp_path / "b" / "2.jsonl", tmp_path / "b" / "3.jsonl"]
    for folder, labels in (("a", {"1.jsonl": "healthy"}), ("b", {"2.jsonl": {"label": "bad", "onset_seconds": 60}})):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    assert labels_of(paths) == {paths[0]: Label(label="healthy"), paths[1]: Label(label="bad", onset_seconds=60.0)}


def test_one_file_can_label_all_by_path_or_name(tmp_path: Path) -> None:
    file = tmp_path / "truth.json"
    file.write_text(json.dumps({"a/1.jsonl": "bad", "1.jsonl": "healthy"}), encoding="utf-8")
    paths = [tmp_path / "a" / "1.jsonl", tmp_path / "b" / "1.jsonl", Path("elsewhere/1.jsonl"), tmp_path / "2.jsonl"]
    found = labels_of(paths, labels_file=file)
    assert [found[path].label for path in paths[:3]] == ["bad", "healthy", "healthy"]
    assert paths[3] not in found


@pytest.mark.parametrize("content", ['{"a": "fine"}', '{"a": {"label": "bad", "since": 3}}', "[]", "nonsense", '{"a": "\xff"}'])
def test_labels_that_cannot_be_read_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "labels.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InvalidInput, match="healthy"):
        labels_of([tmp_path / "a"])


def test_a_folder_stands_for_its_recordings(tmp_path: Path) -> None:
    below = tmp_path / "x" / "y"
    below.mkdir(parents=True)
    for name in ("b.jsonl", "a.jsonl.gz", "labels.json", "notes.txt"):
        (below / name).touch()
    (tmp_path / "c.jsonl").touch()
    found = recordings_in([str(tmp_path / "c.jsonl"), str(tmp_path / "x")])
    assert [path.name for path in found] == ["c.jsonl", "a.jsonl.gz", "b.jsonl"]
    with pytest.raises(InvalidInput, match="holds no recording"):
        recordings_in([str(_empty(tmp_path))])


def _empty(folder: Path) -> Path:
    empty = folder / "empty"
    empty.mkdir()
    return empty
