"""Parts of a recording put together: what several replicas wrote of one release, one after the other."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from daemon import recordings
from daemon.cli import main
from daemon.errors import InvalidInput
from daemon.offline.replay import replay_file
from daemon.offline.replay.joining import joined
from daemon.recorder import Recorder
from tests.offline.replay.recorded import FAILING, record

NAME = "web-0.jsonl"


class Parts:
    """A recording, and parts of it by whoever wrote them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "once").mkdir()
        [self.original] = record(folder / "once", change=FAILING, ticks=40)
        self.header, _ = recordings.read(self.original)
        self.lines = self.original.read_bytes().splitlines()[1:]
        self.digests = [place.digest for place in recordings.places(self.lines, ())]

    def write(self, who: str, *ticks: int, orphans: int = 0) -> Path:
        """These of its ticks, and then some that nobody went on from: they come with another digest."""
        recorder = Recorder(self.folder / who)
        for tick in ticks:
            recorder.append(
                "web-0",
                self.header,
                self.lines[tick - 1],
                before=self.digests[tick - 1],
                after=self.digests[tick],
                tick=tick,
            )
        digest = self.digests[ticks[-1]]
        for tick in range(ticks[-1] + 1, ticks[-1] + 1 + orphans):
            line = self.lines[tick - 1].replace(b'"denied":0', b'"denied":1')
            after = recordings.chained(digest, line)
            recorder.append("web-0", self.header, line, before=digest, after=after, tick=tick)
            digest = after
        return self.folder / who / NAME

    def whole(self, *parts: Path, digest: str | None = None) -> bytes:
        return joined(parts, whole=self.folder / "whole.jsonl", digest=digest).read_bytes()


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


def test_parts_in_any_order_are_the_whole_to_the_byte(parts: Parts) -> None:
    a, b = parts.write("a", *range(1, 11), *range(21, 31)), parts.write("b", *range(11, 21), *range(31, 41))
    assert parts.whole(a, b) == parts.whole(b, a) == parts.original.read_bytes()


def test_what_a_replica_judged_after_it_had_lost_the_release_has_no_place_in_it(parts: Parts) -> None:
    a, b = parts.write("a", *range(1, 31), orphans=8), parts.write("b", *range(31, 36))
    expected = parts.original.read_bytes().splitlines()[:36]
    for them in ([a, b], [b, a]):
        assert parts.whole(*them, digest=parts.digests[35]).splitlines() == expected


def test_ticks_that_are_in_no_part_are_said_to_be_missing(parts: Parts) -> None:
    a, b = parts.write("a", *range(1, 11)), parts.write("b", *range(12, 21))
    with pytest.raises(
        InvalidInput,
        match="ticks are missing before line 2: 11 had been judged by then, 0 are in it, and the others are in no part",
    ):
        parts.whole(a, b)


def test_another_releases_part_is_refused(parts: Parts) -> None:
    other = parts.folder / "other.jsonl"
    release = {**parts.header.release, "service": "api"}
    other.write_bytes(recordings.header_line(replace(parts.header, release=release)) + b"\n" + parts.lines[0] + b"\n")
    with pytest.raises(InvalidInput, match="it is another release's"):
        parts.whole(parts.original, other)


def test_replay_of_a_part_says_what_it_lacks_and_of_the_joined_parts_gives_the_verdict(
    parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    once = replay_file(parts.original)
    a, b = parts.write("a", *range(1, 3)), parts.write("b", *range(3, 41))
    main(["replay", str(b), "--json"])
    [note] = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith("ticks are missing before line 2: 2 had been judged by then, 0 are in it; it is judged without them")
    whole = parts.folder / "whole.jsonl"
    assert main(["replay", str(a), str(b), "--join", str(whole), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["decided_at_tick"], told["reason"], told["notes"]) == (
        str(whole),
        once.decided_at_tick,
        once.reason,
        [],
    )
    assert main(["explain", str(b)]) == 65
    assert "put the replicas' parts together: verdictd replay PART... --join WHOLE" in capsys.readouterr().err
    assert main(["check", str(b)]) == 0
    assert "ticks are missing before line 2" in capsys.readouterr().out


def test_a_whole_that_cannot_be_written_is_refused_with_its_path(parts: Parts) -> None:
    (parts.folder / "whole.jsonl").mkdir()
    with pytest.raises(InvalidInput, match=r"whole\.jsonl: cannot be written: Is a directory"):
        parts.whole(parts.original)


def test_the_records_digest_says_which_of_two_replicas_went_on(parts: Parts) -> None:
    """One had taken it over for a tick of which nothing was kept; the other went on where it had been itself."""
    b = parts.write("b", *range(1, 21))
    other = parts.lines[14].replace(b'"denied":0', b'"denied":1')
    before, after = parts.digests[14], recordings.chained(parts.digests[14], other)
    Recorder(parts.folder / "a").append("web-0", parts.header, other, before=before, after=after, tick=15)
    a, whole = parts.folder / "a" / NAME, parts.folder / "whole.jsonl"
    assert joined([a, b], whole=whole, digest=parts.digests[20]).read_bytes() == b.read_bytes()
    assert joined([a, b], whole=whole, digest=after).read_bytes().splitlines()[-1] == other
    with pytest.raises(InvalidInput, match="no ticks of these recordings lead to it"):
        joined([a, b], whole=whole, digest="5d")


def test_a_fork_of_which_neither_way_is_the_others_beginning_needs_the_records_digest(parts: Parts) -> None:
    """That one of them was taken over says nothing: it may be the one that nobody went on from."""
    recorder, digest = Recorder(parts.folder / "b"), parts.digests[10]
    for tick in (11, 12):
        line = parts.lines[tick - 1].replace(b'"denied":0', b'"denied":1')
        after = recordings.chained(digest, line)
        recorder.append("web-0", parts.header, line, before=digest, after=after, tick=tick)
        digest = after
    a, b = parts.write("a", *range(1, 41)), parts.folder / "b" / NAME
    for them in ([a, b], [b, a]):
        with pytest.raises(InvalidInput, match=r"two replicas went on differently .*sample_digest with --digest"):
            parts.whole(*them)
        assert parts.whole(*them, digest=parts.digests[40]) == a.read_bytes()
