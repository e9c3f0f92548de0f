"""Recordings within days and bytes: the oldest go first, and none that is being written."""

import asyncio
import os
from pathlib import Path

import pytest

from config.settings import KeepRecordings
from daemon.aio.tasks import background
from daemon.http.metrics.meter import Metrics
from daemon.http.metrics.shelf import Shelf
from daemon.recordingshelf import LOOK_SECONDS, UNTOUCHED_SECONDS, RecordingShelf, Stock
from tests.hand.clock import HandClock

DAY = 86_400.0
MIB = 1024**2


def name(number: int) -> str:
    return f"web-{number:016x}"


def keep(folder: Path, clock: HandClock, *, number: int, days: float, size: int = MIB) -> Path:
    """A recording that was last written to so many days ago."""
    path = folder / f"{name(number)}.jsonl"
    with path.open("wb") as file:
        file.truncate(size)
    at = clock.now() - days * DAY
    os.utime(path, (at, at))
    return path


def left(folder: Path) -> list[int]:
    return sorted(int(path.stem.rpartition("-")[2], 16) for path in folder.glob("web-*.jsonl"))


def test_what_is_older_than_its_days_goes(tmp_path: Path) -> None:
    clock = HandClock()
    shelf = RecordingShelf(tmp_path, KeepRecordings(days=7), clock=clock)
    for number, days in enumerate((9.0, 7.1, 6.9, 0.5)):
        keep(tmp_path, clock, number=number, days=days)
    shelf.tidy(running=())
    assert left(tmp_path) == [2, 3]
    assert shelf.stock == Stock(recordings=2, bytes=2 * MIB, oldest_at=clock.now() - 6.9 * DAY)


def test_beyond_the_bytes_the_oldest_go_first_and_no_more_than_must(tmp_path: Path) -> None:
    clock = HandClock()
    shelf = RecordingShelf(tmp_path, KeepRecordings(bytes=3 * MIB), clock=clock)
    for number, days in enumerate((1.0, 4.0, 2.0, 3.0, 5.0)):
        keep(tmp_path, clock, number=number, days=days)
    shelf.tidy(running=())
    assert left(tmp_path) == [0, 2, 3]
    shelf.tidy(running=())
    assert left(tmp_path) == [0, 2, 3]


def test_what_runs_or_was_just_written_stays_and_what_is_not_ours_is_not_touched(tmp_path: Path) -> None:
    clock = HandClock()
    shelf = RecordingShelf(tmp_path, KeepRecordings(days=1, bytes=MIB), clock=clock)
    keep(tmp_path, clock, number=1, days=9.0, size=5 * MIB)
    keep(tmp_path, clock, number=2, days=(UNTOUCHED_SECONDS - 1.0) / DAY, size=5 * MIB)
    keep(tmp_path, clock, number=3, days=0.5)
    others = [tmp_path / other for other in ("web-01.jsonl", f"{name(4)}.jsonl.gz", f"{name(5)}.txt", "notes.jsonl")]
    for other in others:
        other.write_bytes(b"x")
        os.utime(other, (0, 0))
    shelf.tidy(running={name(1)})
    assert [(tmp_path / f"{name(number)}.jsonl").exists() for number in (1, 2, 3)] == [True, True, False]
    assert [other.exists() for other in others] == [True] * 4
    shelf.tidy(running=())
    assert not (tmp_path / f"{name(1)}.jsonl").exists()


def test_a_folder_without_recordings_is_empty(tmp_path: Path) -> None:
    shelf = RecordingShelf(tmp_path, KeepRecordings(), clock=HandClock())
    shelf.tidy(running=())
    assert shelf.stock == Stock()


async def test_nothing_goes_before_it_is_known_what_runs_and_a_folder_that_is_gone_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = HandClock()
    folder = tmp_path / "recordings"
    folder.mkdir()
    shelf = RecordingShelf(folder, KeepRecordings(days=1), clock=clock)
    old = keep(folder, clock, number=1, days=9.0)
    known: list[frozenset[str] | None] = [None]
    async with asyncio.timeout(30), background(shelf.look_after(lambda: known[0])):
        while len(clock.slept) < 3:
            await asyncio.sleep(0)
        assert old.exists()
        known[0] = frozenset()
        while old.exists():
            await asyncio.sleep(0.01)
        folder.rmdir()
        while "recordings cannot be tidied" not in caplog.text:
            await asyncio.sleep(0.01)
    assert set(clock.slept) == {LOOK_SECONDS}


def test_metrics_say_how_much_there_is() -> None:
    metrics = Metrics()
    metrics.watch_recordings(Shelf(stock=lambda: Stock(recordings=2, bytes=9, oldest_at=5.0)))
    names = ("verdictd_recordings", "verdictd_recordings_bytes", "verdictd_recordings_oldest_timestamp_seconds")
    assert [metrics.registry.get_sample_value(name) for name in names] == [2.0, 9.0, 5.0]
