"""What strangers write: each document gets one short answer, and soon, whatever it was meant to become."""

import os
import time
from pathlib import Path

import pytest

from config import documents, files, yamls
from config.errors import MOST_FAULTS, ConfigError
from config.load import load_policies
from daemon.settings import load_settings
from tests.config import strangers


def refusal(path: Path) -> str:
    """What is said of a settings file. Its work is bounded: CPU seconds of this process, many times what it takes."""
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        load_settings(path)
    assert time.process_time() - began < 5.0
    assert len(caught.value.faults) <= MOST_FAULTS + 1
    assert len(str(caught.value)) < 40_000
    return str(caught.value)


@pytest.mark.parametrize("what", strangers.YAML)
def test_a_yaml_document_that_is_too_much_is_refused_with_the_reason(tmp_path: Path, what: str) -> None:
    text, reason = strangers.YAML[what]
    (tmp_path / "a.yaml").write_text(text)
    assert reason in refusal(tmp_path / "a.yaml")


@pytest.mark.parametrize("what", strangers.JSON)
def test_a_json_document_that_is_too_much_is_refused_with_the_reason(tmp_path: Path, what: str) -> None:
    text, reason = strangers.JSON[what]
    (tmp_path / "a.json").write_text(text)
    assert reason in refusal(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("k" * 500_000, "1"),
        ("cluster", '"' + "x" * 500_000 + '"'),
        ("cluster", "[" + "1," * 40_000 + "1]"),
        ("log_level", '"' + "9" * 500_000 + '"'),
        ("limits", '{"max_releases": "' + "9" * 500_000 + '"}'),
        ("http", '{"max_body_bytes": "' + "9" * 400 + 'k"}'),
        ("limits", '{"guard_seconds": "' + "9" * 400 + 'h"}'),
        ("telemetry", '{"a": {"kind": "' + "e" * 500_000 + '"}}'),
        ("policies", '{"' + "p" * 500_000 + '": {}}'),
    ],
)
def test_a_refusal_is_short_and_soon_whatever_was_written(tmp_path: Path, key: str, value: str) -> None:
    (tmp_path / "a.json").write_text(f'{{"{key}": {value}}}')
    assert len(refusal(tmp_path / "a.json")) < 2_000


def test_faults_in_the_environment_are_bounded_as_those_in_a_file(tmp_path: Path) -> None:
    environ = {f"VERDICTD_K{number}": strangers.ALIAS_BOMB for number in range(50)}
    with pytest.raises(ConfigError) as caught:
        load_settings(None, environ=environ)
    assert caught.value.faults[-1].message == "and 20 more"


def test_a_number_without_end_is_refused_also_where_only_values_are_wanted() -> None:
    with pytest.raises(yamls.Excessive, match="line 1: is a number of 100001 digits"):
        yamls.load("a: " + "1:" * 50_000 + "1", max_values=10)
    assert yamls.load("# nothing\n", max_values=10) is None
    assert documents.scalar("0x" + "f" * 400) == "0x" + "f" * 400


def test_deep_and_wide_documents_within_the_bounds_are_read() -> None:
    deep = documents.parse("[" * 100 + "]" * 100, source="x")
    for _ in range(99):
        assert isinstance(deep, list)
        [deep] = deep
    assert deep == []
    assert documents.parse("[" * 100 + "]" * 100, source="x", json_only=True) is not None
    wide = documents.parse("a: &a [1, 2]\nb: [" + "*a," * 20_000 + "]", source="x")
    assert isinstance(wide, dict)
    assert len(wide["b"]) == 20_000


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    assert "is no regular file" in refusal(tmp_path / "a.yaml")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_not_read(device: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(device)
    assert "is no regular file" in refusal(tmp_path / "a.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in refusal(tmp_path)


def test_a_name_that_cannot_be_one_is_refused() -> None:
    assert "cannot be read: embedded null byte" in refusal(Path("a\0b"))


def test_a_file_is_read_up_to_its_limit_and_not_beyond(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 2048)
    assert len(files.read_bytes(tmp_path / "a", limit_bytes=2048)) == 2048
    with pytest.raises(files.Unreadable, match="is larger than 1 KiB"):
        files.read_bytes(tmp_path / "a", limit_bytes=1024)


def test_a_file_that_says_it_is_empty_is_read_all_the_same() -> None:
    assert b"Name:" in files.read_bytes(Path("/proc/self/status"), limit_bytes=files.MIB)


def test_a_folder_that_holds_other_than_policies_is_not_read_for_minutes(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.json").write_text(" " * 400_000)
    with pytest.raises(
        ConfigError, match="its 3 YAML and JSON files are larger than 1 MiB together; name a folder with policies only"
    ):
        load_policies(tmp_path)
