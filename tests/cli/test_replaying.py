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
    assert set(lines[0]) == {"file", "verdict", "decided_at_tick", "ticks", "reason", "findings"}


def test_another_policy_can_decide_otherwise(bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text(
        "warmup_seconds: 0\nwindow_seconds: 300\ntolerances: {errors: {max_rate: 0.5, above_baseline: 0.5}}", encoding="utf-8"
    )
    assert main(["replay", "--policy", str(lenient), bad]) != 1
    assert "rollback" not in capsys.readouterr().out.split(":")[1]


def test_a_file_that_cannot_be_used_exits_64_and_the_others_are_judged(
    bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\n", encoding="utf-8")
    assert main(["replay", str(broken), bad]) == 64
    out, err = capsys.readouterr()
    assert out.startswith(f"{bad}: rollback")
    assert f"verdictd: {broken}:1" in err


def test_a_policy_that_cannot_be_used_exits_64(bad: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("alpha: 1%", encoding="utf-8")
    assert main(["replay", "--policy", str(policy), bad]) == 64
    assert "write a fraction: 0.01" in capsys.readouterr().err
