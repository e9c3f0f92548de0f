"""What the recorder leaves on the disk: what was judged, to the byte, and where some of it is missing."""

import json
from pathlib import Path
from typing import Self

import msgspec
import pytest

from analyzers.counts import Arm, Latency, Sample
from config.policy import Policy
from daemon import recordings
from daemon.errors import InvalidInput, VerdictdError
from daemon.recorder import Recorder
from daemon.recordings import Header, Hole, chained

RELEASE = {"service": "web", "baseline": {"service": "web-v1"}, "canary": {"service": "web-v2"}}
HEADER = Header(release=RELEASE, policy=Policy(), bounds_ms=(5.0, 10.0), tick_seconds=1.0)
EARLY = Header(release=RELEASE, policy=Policy(), tick_seconds=1.0)
ARM = Arm(requests=5, latency=Latency(counts=(1, 2, 2), sum_ms=5.0))


def line(t: float) -> bytes:
    return recordings.line(Sample(t=t, seconds=1.0, baseline=ARM, canary=ARM))


def digest(*times: float) -> str:
    chain = ""
    for t in times:
        chain = chained(chain, line(t))
    return chain


def write(recorder: Recorder, *times: float, header: Header = HEADER) -> None:
    """The last of these ticks, after the others."""
    recorder.append("web-1", header, line(times[-1]), before=digest(*times[:-1]), after=digest(*times), tick=len(times))


def written(folder: Path) -> list[float]:
    header, samples = recordings.read(folder / "web-1.jsonl")
    assert header == HEADER
    return [sample.t for sample in samples]


def test_the_header_says_what_was_added_to_the_release_and_its_policy_later_and_no_line_is_lost(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    later = msgspec.structs.replace(HEADER, policy=Policy(alpha=0.001), release={**RELEASE, "artifact": "web:v2"})
    write(recorder, 1.0)
    write(recorder, 1.0, 2.0, header=later)
    header, samples = recordings.read(tmp_path / "web-1.jsonl")
    assert header == later
    assert [sample.t for sample in samples] == [1.0, 2.0]


def test_the_header_may_get_its_bounds_later_and_no_line_is_lost(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    gap = recordings.line(Sample(t=1.0, seconds=1.0, baseline=None, canary=None, gap="no scrape yet"))
    first = chained("", gap)
    recorder.append("web-1", EARLY, gap, before="", after=first, tick=1)
    recorder.append("web-1", HEADER, line(2.0), before=first, after=chained(first, line(2.0)), tick=2)
    recorder.close("web-1")
    assert written(tmp_path) == [1.0, 2.0]


def test_a_restart_goes_on_in_the_same_file(tmp_path: Path) -> None:
    write(Recorder(tmp_path), 1.0)
    write(Recorder(tmp_path), 1.0, 2.0)
    assert written(tmp_path) == [1.0, 2.0]


def test_ticks_that_no_checkpoint_knows_are_cut_off_after_a_kill(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    write(recorder, 1.0)
    write(recorder, 1.0, 2.0)
    write(recorder, 1.0, 2.0, 3.0)
    write(Recorder(tmp_path), 1.0, 2.5)
    assert written(tmp_path) == [1.0, 2.5]
    write(Recorder(tmp_path), 0.5)
    assert written(tmp_path) == [0.5]


def test_half_a_line_left_by_a_kill_is_cut_off(tmp_path: Path) -> None:
    write(Recorder(tmp_path), 1.0)
    with (tmp_path / "web-1.jsonl").open("ab") as file:
        file.write(line(2.0)[:20])
    write(Recorder(tmp_path), 1.0, 2.0)
    assert written(tmp_path) == [1.0, 2.0]


def test_half_a_header_left_by_a_kill_is_written_anew(tmp_path: Path) -> None:
    """At every byte, none included: no tick was kept then, so that nothing can be lost."""
    path = tmp_path / "web-1.jsonl"
    whole = recordings.header_line(HEADER)
    for size in (0, 1, len(whole) // 2, len(whole)):
        path.write_bytes(whole[:size])
        write(Recorder(tmp_path), 1.0)
        assert written(tmp_path) == [1.0]


@pytest.mark.parametrize("there", ["a tick", "half a tick", "no file", "an empty file"])
def test_where_ticks_are_missing_the_first_line_says_so_and_the_recording_goes_on(tmp_path: Path, there: str) -> None:
    path = tmp_path / "web-1.jsonl"
    if there == "an empty file":
        path.touch()
    elif there != "no file":
        write(Recorder(tmp_path), 1.0)
    if there == "half a tick":
        path.write_bytes(path.read_bytes() + line(2.0)[:20])
    recorder = Recorder(tmp_path)
    write(recorder, 1.0, 2.0, 3.0)
    write(recorder, 1.0, 2.0, 3.0, 4.0)
    header, samples = recordings.read(path)
    before = 1 if there.endswith("tick") else 0
    assert header == msgspec.structs.replace(HEADER, holes=(Hole(lines=before, ticks=2, digest=digest(1.0, 2.0)),))
    assert [sample.t for sample in samples] == [1.0, 3.0, 4.0][1 - before :]


def test_a_release_that_comes_back_from_another_replica_goes_on_after_a_second_hole(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    write(recorder, 1.0, 2.0)
    write(recorder, 1.0, 2.0, 3.0)
    write(recorder, *map(float, range(1, 7)))
    write(recorder, *map(float, range(1, 10)))
    write(Recorder(tmp_path), *map(float, range(1, 6)), 6.5)
    header, samples = recordings.read(tmp_path / "web-1.jsonl")
    assert [(hole.lines, hole.ticks) for hole in header.holes] == [(0, 1), (2, 5)]
    assert [sample.t for sample in samples] == [2.0, 3.0, 6.5]


def test_what_is_no_recording_is_left_alone_and_it_is_said_once(tmp_path: Path) -> None:
    path, recorder = tmp_path / "web-1.jsonl", Recorder(tmp_path)
    path.write_bytes(b"something else\nentirely\n")
    with pytest.raises(VerdictdError, match="is no recording"):
        write(recorder, 1.0, 2.0, 3.0)
    write(recorder, 1.0, 2.0, 3.0, 4.0)
    assert path.read_bytes() == b"something else\nentirely\n"


def test_a_full_disk_leaves_whole_lines_and_ends_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(tmp_path)
    write(recorder, 1.0)
    truncated = Path.open

    class Full:
        """Takes half a line."""

        def __init__(self, path: Path) -> None:
            self.file = truncated(path, "r+b")
            self.seek = self.file.seek

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def write(self, data: bytes) -> None:
            self.file.write(data[: len(data) // 2])
            self.file.flush()
            monkeypatch.undo()  # cutting off is possible on a full disk
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda path, mode: Full(path))
    with pytest.raises(VerdictdError, match="No space left"):
        write(recorder, 1.0, 2.0)
    monkeypatch.undo()
    write(recorder, 1.0, 2.0, 3.0)
    assert written(tmp_path) == [1.0]
    assert json.loads((tmp_path / "web-1.jsonl").read_bytes().splitlines()[0])["format"] == recordings.FORMAT


@pytest.mark.parametrize("change", ["removed", "added to"])
def test_a_file_that_somebody_changed_in_the_middle_is_left_alone(tmp_path: Path, change: str) -> None:
    recorder, path = Recorder(tmp_path), tmp_path / "web-1.jsonl"
    write(recorder, 1.0)
    if change == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b"a note\n")
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(VerdictdError, match="not recorded any more"):
        write(recorder, 1.0, 2.0)
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_folder_that_cannot_be_had_is_refused_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match=r"recordings\.directory"):
        Recorder(tmp_path / "file" / "recordings")
