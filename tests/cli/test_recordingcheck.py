"""``verdictd check`` of recordings: whether each line can be used, and which tolerances of their policy their buckets can tell."""

import gzip
import json
from pathlib import Path

import pytest

from config.policy import LatencyTolerance, Policy, Tolerances
from daemon.cli import main
from tests.offline.replay.recorded import record

TYPICAL = "the median and 34 % of all requests lie in 25-50 ms: 10 % slower can be told"


def checked(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[str]]:
    code = main(["check", *argv])
    return code, capsys.readouterr().out.splitlines()


def test_a_recording_is_known_by_its_name_and_says_what_its_buckets_can_tell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [file] = record(tmp_path, ticks=30)
    packed = tmp_path / "web-1.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    for one in (file, packed):
        code, said = checked(capsys, str(one))
        assert (code, said[:2]) == (0, [f"{one}: a usable recording file", f"{one}: {TYPICAL}"])
        assert said[2].startswith(f"{one}: p99 lies in 100-250 ms: 10 % slower can")
    other = packed.rename(tmp_path / "kept")
    other.write_bytes(file.read_bytes())
    assert checked(capsys, "--kind", "recording", str(other))[1][0] == f"{other}: a usable recording file"


def test_a_tolerance_that_cannot_be_told_is_no_fault_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strict = Policy(tolerances=Tolerances(latency=LatencyTolerance(typical=1.1, slow_end=1.005)))
    [file] = record(tmp_path, ticks=30, policy=strict)
    code, [line] = checked(capsys, "--json", str(file))
    found = json.loads(line)
    assert (code, found["kind"], found["ok"], found["problems"]) == (0, "recording", True, [])
    assert [(one["quantity"], one["tolerance"], one["resolved"]) for one in found["buckets"]] == [
        ("typical", 1.1, True),
        ("slow_end", 1.005, False),
    ]


def test_too_few_latencies_are_not_judged_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [file] = record(tmp_path, ticks=30)
    header, first, *_ = file.read_text(encoding="utf-8").splitlines()
    tick = json.loads(first)
    tick["baseline"]["latency"]["counts"] = [9, *[0] * 19]
    unknown = "what its buckets can tell is not known: it takes buckets, and 200 latencies of the baseline"
    for lines in ((header, json.dumps(tick)), (header, '{"t":1,"seconds":1,"baseline":null,"canary":null,"gap":"away"}')):
        file.write_text("\n".join(lines), encoding="utf-8")
        assert checked(capsys, str(file)) == (0, [f"{file}: a usable recording file", f"{file}: {unknown}"])
        assert json.loads(checked(capsys, "--json", str(file))[1][0])["buckets"] == []


def test_a_broken_recording_is_named_with_its_line_and_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = record(tmp_path, ticks=30, number=2)
    lines = bad.read_text(encoding="utf-8").splitlines()
    tick = json.loads(lines[4])
    tick["baseline"]["requests"] = -944
    bad.write_text("\n".join([*lines[:4], json.dumps(tick), *lines[5:]]), encoding="utf-8")
    code, said = checked(capsys, str(bad), str(good))
    assert code == 64
    assert said[0] == f"{bad}: line 5: baseline.requests: -944 is negative; counts are differences of counters"
    assert said[1] == f"{good}: a usable recording file"
    code, [line] = checked(capsys, "--json", str(bad))
    assert (code, json.loads(line)["problems"][0]["path"]) == (64, "line 5: baseline.requests")
    assert "buckets" not in json.loads(line)


def test_a_torn_last_line_is_said_and_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [file] = record(tmp_path, ticks=30)
    file.write_bytes(file.read_bytes()[:-40])
    code, said = checked(capsys, str(file))
    assert (code, said[:2]) == (
        0,
        [f"{file}: a usable recording file", f"{file}: line 31 is torn, and the last: replay leaves it out"],
    )
    assert json.loads(checked(capsys, "--json", str(file))[1][0])["torn_line"] == 31


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "line 1: the file is empty; begin with"),
        (None, "$: cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_with_the_whole_is_said_of_it(
    content: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "web.jsonl"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    code, [line] = checked(capsys, str(file))
    assert code == 64
    assert line.startswith(f"{file}: {says}")


TOKEN_FIX = "use 1 to 63 letters, digits, '-' or '_', beginning and ending with a letter or digit"


def test_all_faults_of_a_recordings_release_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "web.jsonl"
    file.write_text('{"format":"verdictd.recording/1","release":{"service":"a b"},"policy":{}}', encoding="utf-8")
    assert checked(capsys, str(file)) == (
        64,
        [
            f"{file}: line 1: $.release.baseline: is missing; add it: baseline has no default",
            f"{file}: line 1: $.release.canary: is missing; add it: canary has no default",
            f"{file}: line 1: $.release.service: 'a b' is not a usable name; {TOKEN_FIX}",
        ],
    )


def test_a_folder_of_recordings_stands_for_all_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old").mkdir()
    record(tmp_path / "old", ticks=5, stem="cart")
    record(tmp_path, ticks=5)
    for kind in ((), ("--kind", "recording")):
        code, said = checked(capsys, *kind, str(tmp_path))
        assert code == 0
        assert [line.partition(":")[0] for line in said[::3]] == [f"{tmp_path}/old/cart-0.jsonl", f"{tmp_path}/web-0.jsonl"]
    code, said = checked(capsys, "--kind", "policy", str(tmp_path))
    assert (code, said[0].partition(";")[0]) == (64, f"{tmp_path}: $: the folder holds no policy and no recording")
    (tmp_path / "empty").mkdir()
    assert checked(capsys, "--kind", "recording", str(tmp_path / "empty"))[0] == 64
