"""Commands end in time, fail with their own words, and downloads are tried again."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.servers import steps
from tests.servers.steps import PAUSES, StepFailed, download, run


def python(script: str) -> list[str | Path]:
    return [sys.executable, "-I", "-S", "-c", script]


def test_a_command_returns_what_it_printed() -> None:
    assert run(python("print('built')"), seconds=30) == "built\n"


def test_a_failure_is_told_in_the_last_words_of_the_tool() -> None:
    script = "import sys; print('noise'); [print('line', n, file=sys.stderr) for n in range(20)]; sys.exit(3)"
    with pytest.raises(StepFailed) as failure:
        run(python(script), seconds=30)
    assert "ended with 3: line 8" in str(failure.value)
    assert str(failure.value).endswith("line 19")
    assert "noise" not in str(failure.value)


def test_a_tool_that_complains_on_stdout_is_heard_too() -> None:
    with pytest.raises(StepFailed, match="no space left"):
        run(python("print('no space left'); raise SystemExit(1)"), seconds=30)


def test_a_command_that_takes_too_long_is_ended() -> None:
    with pytest.raises(StepFailed, match=r"took more than 0 s"):
        run(python("import time; time.sleep(60)"), seconds=0.2)


def test_a_command_that_is_not_there_is_a_failed_step(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match=r"nothing cannot be run: .*No such file"):
        run([tmp_path / "nothing"], seconds=30)


def pauses_taken(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses, in a list instead of in time. Only those of `steps`: subprocess sleeps too while it waits."""
    slept: list[float] = []
    monkeypatch.setattr(steps, "time", SimpleNamespace(sleep=slept.append))
    return slept


def counting(tmp_path: Path, succeed_at: int) -> list[str | Path]:
    """A command that fails until its nth run."""
    count = tmp_path / "count"
    return python(
        f"import pathlib, sys; path = pathlib.Path({str(count)!r}); n = len(path.read_text()) + 1 if path.exists() else 1\n"
        f"path.write_text('x' * n); print(n); sys.exit(0 if n >= {succeed_at} else f'refused at {{n}}')"
    )


def test_a_download_is_tried_again_after_each_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slept = pauses_taken(monkeypatch)
    assert download(counting(tmp_path, 3), seconds=30, pauses=(5.0, 20.0, 60.0)) == "3\n"
    assert slept == [5.0, 20.0]
    assert "failed, next try in 5 s" in capsys.readouterr().out


def test_a_download_that_succeeds_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = pauses_taken(monkeypatch)
    assert download(counting(tmp_path, 1), seconds=30) == "1\n"
    assert slept == []


def test_a_download_is_given_up_after_the_last_pause_with_the_last_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = pauses_taken(monkeypatch)
    with pytest.raises(StepFailed, match="refused at 3"):
        download(counting(tmp_path, 99), seconds=30, pauses=(1.0, 2.0))
    assert slept == [1.0, 2.0]


def test_the_pauses_together_outlast_a_registry_that_is_wrong_for_a_minute() -> None:
    assert sum(PAUSES) > 60
    assert list(PAUSES) == sorted(PAUSES)
