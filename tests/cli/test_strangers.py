"""Whatever a command is given to read: one answer, and no waiting for what never comes or never ends."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from daemon.cli import checking, main
from tests.config import strangers

READERS = (
    ["check"],
    ["check", "--kind", "release"],
    ["check", "--kind", "policy"],
    ["check", "--kind", "recording"],
    ["submit"],
    ["run", "--config"],
    ["explain"],
    ["replay"],
    ["plan", "--policy"],
    ["plan", "--from"],
    ["plan", "--histogram"],
    ["status", "--token-file"],
    ["restore", "--from"],
)


def answer(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code, and all that is said."""
    code = main(argv)
    said = capsys.readouterr()
    return code, said.out + said.err


@pytest.mark.parametrize("argv", READERS, ids=" ".join)
@pytest.mark.parametrize("name", ["pipe.yaml", "pipe.jsonl", "pipe.jsonl.gz", "zero.yaml", "zero.jsonl"])
def test_a_pipe_or_device_is_refused_and_neither_waited_for_nor_read_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], name: str
) -> None:
    file = tmp_path / name
    if name.startswith("pipe"):
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    code, said = answer([*argv, str(file)], capsys)
    assert code in {64, 65}
    assert "is no regular file" in said


@pytest.mark.parametrize("what", strangers.YAML)
def test_a_file_of_a_stranger_is_checked_with_a_short_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    text, reason = strangers.YAML[what]
    (tmp_path / "a.yaml").write_text(text)
    code, said = answer(["check", str(tmp_path / "a.yaml")], capsys)
    assert code == 64
    assert reason in said
    assert len(said) < 40_000
    code, said = answer(["check", "--json", str(tmp_path / "a.yaml")], capsys)
    assert code == 64
    assert not json.loads(said)["ok"]
    assert len(said) < 40_000


@pytest.mark.parametrize("kind", ["settings", "policy", "release"])
@pytest.mark.parametrize("what", strangers.JSON)
def test_a_file_of_a_stranger_is_refused_as_whatever_it_is_taken_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, kind: str
) -> None:
    (tmp_path / "a.json").write_text(strangers.JSON[what][0])
    code, said = answer(["check", "--kind", kind, str(tmp_path / "a.json")], capsys)
    assert code == 64
    assert 0 < len(said) < 40_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x" * 3_000_000, "is larger than 1 MiB"),
        (b"service: M\xfcnchen", "is not UTF-8 (byte 10)"),
        (strangers.MERGE_BOMB.encode(), "its aliases unfold to more than 100000 values"),
    ],
)
def test_standard_input_is_read_like_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    code, said = answer(["submit", "-"], capsys)
    assert code == 64
    assert said.startswith("standard input: $: ")
    assert reason in said


@pytest.mark.parametrize("kind", [[], ["--kind", "recording"]])
def test_a_folder_too_full_to_be_one_of_ours_is_not_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: list[str]
) -> None:
    monkeypatch.setattr(checking, "_MOST_ENTRIES", 50)
    for number in range(60):
        (tmp_path / f"{number}.yaml").touch()
    code, said = answer(["check", *kind, str(tmp_path)], capsys)
    assert code == 64
    assert said == (
        f"{tmp_path}: $: more than 50 files and folders are below it; "
        "name the files, or a folder that holds recordings or policies only\n"
    )


def test_labels_that_are_a_pipe_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "labels.json")
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "p.yaml").touch()
    sweep = ["replay", "--sweep", str(tmp_path / "p.yaml"), "--labels", str(tmp_path / "labels.json")]
    code, said = answer([*sweep, str(tmp_path / "a.jsonl")], capsys)
    assert code in {64, 65}
    assert "is no regular file" in said


def test_a_record_nested_deep_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "record.json").write_text('{"verdict": ' + "[" * 5_000 + "]" * 5_000 + "}")
    assert answer(["explain", str(tmp_path / "record.json")], capsys)[0] in {64, 65}
