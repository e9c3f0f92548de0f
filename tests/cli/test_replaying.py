"""``verdictd replay``: exit codes and lines. What is judged, and how, is the judge's own matter."""

import json
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import main

BOUNDS = [5.0, 10.0, 25.0, 50.0, 100.0]


def arm(requests: int, errors: int) -> dict[str, Any]:
    counts = [requests // 2, requests - requests // 2, 0, 0, 0, 0]
    return {"requests": requests, "errors": errors, "denied": 0, "latency": {"counts": counts, "sum_ms": 5.0 * requests}}


def recording(path: Path, *, canary_errors: int, ticks: int) -> str:
    release = {"service": "web", "baseline": {"version": "v1"}, "canary": {"version": "v2"}, "weight": 50}
    policy = {"window_seconds": 300.0, "warmup_seconds": 0.0}
    lines: list[dict[str, Any]] = [
        {"format": "verdictd.recording/1", "release": release, "policy": policy, "bounds_ms": BOUNDS, "tick_seconds": 5.0}
    ]
    lines += [
        {"t": 5.0 * tick, "seconds": 5.0, "baseline": arm(1000, 1), "canary": arm(1000, canary_errors)}
        for tick in range(1, ticks + 1)
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    return recording(tmp_path / "bad.jsonl", canary_errors=100, ticks=60)


@pytest.fixture
def short(tmp_path: Path) -> str:
    return recording(tmp_path / "short.jsonl", canary_errors=1, ticks=1)


def test_a_bad_canary_exits_1_and_says_why(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", bad]) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"{bad}: rollback (at tick ")
    assert "\n  errors  " in out


def test_a_recording_that_ends_too_early_exits_2(short: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", short]) == 2
    assert capsys.readouterr().out.startswith(f"{short}: inconclusive (undecided, 1 ticks judged)")


def test_json_is_one_line_a_file(bad: str, short: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "--json", short, bad]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["verdict"] for line in lines] == ["inconclusive", "rollback"]
    assert set(lines[0]) == {"file", "verdict", "decided_at_tick", "ticks", "reason", "findings", "notes", "torn_line"}


def test_another_policy_can_decide_otherwise(bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text(
        "warmup_seconds: 0\nwindow_seconds: 300\ntolerances: {errors: {max_rate: 0.5, above_baseline: 0.5}}", encoding="utf-8"
    )
    assert main(["replay", "--policy", str(lenient), bad]) != 1
    assert "rollback" not in capsys.readouterr().out.split(":")[1]


def test_a_file_that_cannot_be_used_exits_65_and_the_others_are_judged(
    bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\n", encoding="utf-8")
    assert main(["replay", str(broken), bad]) == 65
    out, err = capsys.readouterr()
    name, verdict = out.splitlines()[0].split()[:2]
    assert (name[-9:], verdict) == ("bad.jsonl", "rollback")
    assert out.splitlines()[-1] == "2 recordings: 0 promote, 1 rollback, 0 inconclusive, 1 cannot be used"
    assert f"verdictd: {broken}:1" in err


def test_a_file_that_cannot_be_used_has_its_line_of_json(bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text(Path(bad).read_text(encoding="utf-8").replace('"t": 15.0', '"t": 1.0'), encoding="utf-8")
    assert main(["replay", "--json", str(broken), bad]) == 65
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["verdict"] for line in lines] == [None, "rollback"]
    assert f"{broken}:4: t goes back from 10 to 1" in lines[0]["reason"]
    assert set(lines[0]) == set(lines[1])


def test_a_folder_is_a_table(bad: str, short: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(Path(bad).parent)
    assert main(["replay", folder]) == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[1] for row in rows[:2]] == ["rollback", "inconclusive"]
    assert rows[1][2] == "undecided"


def test_a_sweep_compares_policies(bad: str, short: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text("warmup_seconds: 0\ntolerances: {errors: {max_rate: 0.5}}", encoding="utf-8")
    (tmp_path / "labels.json").write_text('{"bad.jsonl": "bad", "short.jsonl": "healthy"}', encoding="utf-8")
    assert main(["replay", str(tmp_path), "--json", "--sweep", str(lenient)]) == 0
    recorded, other = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (recorded["policy"], recorded["policy_hash"], recorded["detections"]["count"]) == ("as recorded", None, 1)
    assert (other["policy"], other["missed"]["count"], other["ended_first"]) == (str(lenient), 1, 1)
    assert other["policy_hash"].startswith("sha256:")
    (tmp_path / "labels.json").write_text('{"bad.jsonl": "bad"}', encoding="utf-8")
    assert main(["replay", str(tmp_path), "--sweep", str(lenient)]) == 0
    out = capsys.readouterr().out
    assert "1 of 1" in out
    assert "without a label:\n  as recorded: 1 ended_first" in out
    Path(short).write_text("", encoding="utf-8")
    assert main(["replay", str(tmp_path), "--sweep", str(lenient)]) == 65
    assert "the file is empty" in capsys.readouterr().err


def test_labels_from_elsewhere(bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy, labels = tmp_path / "p.yaml", tmp_path / "truth.json"
    policy.write_text("{}", encoding="utf-8")
    labels.write_text('{"bad.jsonl": {"label": "bad", "onset_seconds": 250}}', encoding="utf-8")
    assert main(["replay", bad, "--json", "--labels", str(labels), "--sweep", str(policy)]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["false_rollbacks"]["count"] == 1


def test_long_names_keep_their_ends(tmp_path: Path, short: str, capsys: pytest.CaptureFixture[str]) -> None:
    deep = tmp_path / ("x" * 60)
    deep.mkdir()
    Path(short).rename(deep / "a.jsonl")
    main(["replay", str(deep / "a.jsonl"), str(deep / "a.jsonl")])
    assert capsys.readouterr().out.splitlines()[0].split()[0].endswith("xx/a.jsonl")


TORN = "3: the last line is torn, as a daemon leaves it that is killed while writing; it is left out"


def test_a_torn_last_line_is_left_out_and_said_each_time(bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torn = recording(tmp_path / "torn.jsonl", canary_errors=1, ticks=2)
    Path(torn).write_bytes(Path(torn).read_bytes()[:-40])
    assert main(["replay", torn, "--json"]) == 2
    out, err = capsys.readouterr()
    assert (json.loads(out)["ticks"], json.loads(out)["torn_line"]) == (1, 3)
    assert err == f"verdictd: {torn}:{TORN}\n"
    assert main(["replay", torn, bad]) == 1
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), err) == (3, f"verdictd: {torn}:{TORN}\n")
    policy = tmp_path / "p.yaml"
    policy.write_text("alpha: 0.02", encoding="utf-8")
    assert main(["replay", torn, bad, "--sweep", str(policy)]) == 0
    assert capsys.readouterr().err == f"verdictd: {torn}:{TORN}\n"


def test_a_torn_line_in_the_middle_is_an_error_with_its_number(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Path(bad).read_bytes().splitlines(keepends=True)
    Path(bad).write_bytes(b"".join([*lines[:4], lines[4][:50], *lines[5:]]))
    assert main(["replay", bad]) == 65
    assert capsys.readouterr().err.startswith(f"verdictd: {bad}:5: ")


@pytest.mark.parametrize("argv", [["x", "--processes", "0"], ["x", "--policy", "a", "--sweep", "b"], ["--sweep", "b"]])
def test_wrong_options_exit_64(argv: list[str]) -> None:
    assert main(["replay", *argv]) == 64


def test_a_policy_that_cannot_be_used_exits_64(bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("alpha: 1%", encoding="utf-8")
    assert main(["replay", "--policy", str(policy), bad]) == 64
    assert "write a fraction: 0.01" in capsys.readouterr().err
