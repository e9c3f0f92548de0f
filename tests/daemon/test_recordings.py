"""Recordings: what was written is what is read; what is broken is named by file and line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzers.counts import Arm, Latency, Pod, Sample, Signal
from config.policy import Policy
from daemon import recordings
from daemon.errors import InvalidInput
from daemon.recordings import Header
from daemon.stored import FORM

RELEASE = {"service": "web", "baseline": {"version": "v1"}, "canary": {"version": "v2"}}
HEADER = Header(release=RELEASE, policy=Policy(), bounds_ms=(10.0, 100.0), tick_seconds=1.0)

counts = st.integers(0, 10**12)
latency = st.none() | st.builds(Latency, counts=st.tuples(counts, counts, counts), sum_ms=st.floats(0, 1e15))
pods = st.builds(Pod, requests=counts, errors=st.just(0), denied=counts, latency=latency, age_seconds=st.none() | st.floats(0, 1e6))
arms = st.none() | st.builds(
    Arm,
    requests=counts,
    errors=st.just(0),
    denied=counts,
    unanswered=counts,
    unclassified=counts,
    latency=latency,
    pods=st.none() | st.dictionaries(st.text(max_size=5), pods, max_size=3),
)
signals = st.builds(
    Signal,
    kind=st.text(max_size=5),
    about=st.sampled_from(["canary", "baseline", "mesh"]),
    effect=st.sampled_from(["excuses", "holds", "says"]),
    words=st.text(max_size=20),
)
samples = st.builds(
    Sample,
    t=st.floats(0, 1e6),
    seconds=st.floats(0.001, 1e3),
    baseline=arms,
    canary=arms,
    gap=st.none() | st.text(max_size=20),
    signals=st.lists(signals, max_size=3).map(tuple),
)


def write(path: Path, *lines: object) -> Path:
    path.write_bytes(b"\n".join([recordings.header_line(HEADER), *(json.dumps(line).encode() for line in lines)]) + b"\n")
    return path


def tick(**change: Any) -> dict[str, Any]:
    arm = {"requests": 10, "errors": 1, "denied": 0, "latency": {"counts": [5, 3, 2], "sum_ms": 99.5}}
    return {"t": 1.0, "seconds": 1.0, "baseline": arm, "canary": arm} | change


@given(sample=samples)
def test_a_sample_read_back_is_the_sample_written(sample: Sample) -> None:
    assert recordings._sample_decoder.decode(recordings.line(sample)) == sample


def test_what_there_is_nothing_of_is_not_written() -> None:
    """A line without it is byte for byte what it always was."""
    arm = Arm(requests=10, errors=1)
    line = recordings.line(Sample(t=1.0, seconds=1.0, baseline=None, canary=arm))
    assert line == b'{"t":1.0,"seconds":1.0,"baseline":null,"canary":{"requests":10,"errors":1,"denied":0}}'


def test_packed_recordings_are_unpacked(tmp_path: Path) -> None:
    packed = tmp_path / "r.jsonl.gz"
    packed.write_bytes(gzip.compress(write(tmp_path / "r.jsonl", tick()).read_bytes()))
    _, lines = recordings.read(packed)
    assert len(list(lines)) == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"t": 1.0}, "seconds"),
        (tick(t="late"), "t"),
        (tick(baseline={"requests": -1}), "negative"),
        (tick(baseline={"requests": 1, "errors": 2}), "2 errors of 1 requests"),
        (tick(canary={"requests": 1, "unanswered": -1}), "-1 is negative"),
        (tick(canary={"requests": 1, "unanswered": 2**60}), "impossibly large"),
        (tick(canary={"requests": 1, "unclassified": -1}), "-1 is negative"),
        (tick(canary={"requests": 2, "errors": 1, "unclassified": 2}), "1 errors and 2 unclassified of 2 requests"),
        (tick(canary={"requests": 1, "latency": {"counts": [1], "sum_ms": 1.0}}), "1 counts"),
        (tick(canary={"requests": 1, "latency": {"counts": [2, -1, 0], "sum_ms": 1.0}}), "negative"),
        (tick(canary={"requests": 1, "pods": {"a": {"requests": 1, "errors": 3}}}), "3 errors of 1"),
        (tick(t=0.5), "goes back"),
        (tick(weight=100.5), "100.5 is no weight"),
        (tick(weight=-1), "-1 is no weight"),
        (tick(canary={"requests": 10**400}), "impossibly large"),
        (tick(canary={"requests": 1, "latency": {"counts": [2, 10**400, 0], "sum_ms": 1.0}}), "impossibly large"),
    ],
)
def test_a_broken_line_is_named_with_its_number_and_reason(tmp_path: Path, line: object, says: str) -> None:
    path = write(tmp_path / "r.jsonl", tick(), line)
    _, lines = recordings.read(path)
    assert next(lines).t == 1.0
    with pytest.raises(InvalidInput) as caught:
        next(lines)
    assert f"{path}:3" in caught.value.path
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"not json\n", "JSON"),
        (b'{"format":"verdictd.recording/9","release":{},"policy":{}}\n', "format"),
        (b'{"format":"verdictd.recording/1","release":{"service":"a b"},"policy":{}}\n', "baseline"),
        (b'{"format":"verdictd.recording/1","release":{},"policy":{"alpha":2}}\n', "alpha"),
    ],
)
def test_a_broken_header_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=says) as caught:
        recordings.read(path)
    assert f"{path}:1" in caught.value.path


def test_a_file_that_is_not_there_or_cut_off_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"absent\.jsonl"):
        recordings.read(tmp_path / "absent.jsonl")
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(write(tmp_path / "r.jsonl", *[tick(t=float(t)) for t in range(1000)]).read_bytes())[:-20])
    with pytest.raises(InvalidInput, match=r"cut\.jsonl\.gz"):
        list(recordings.read(cut)[1])


@pytest.mark.broad
def test_a_recording_cut_off_at_any_byte_gives_its_whole_ticks_and_says_that_the_last_line_is_torn(tmp_path: Path) -> None:
    gap = {"t": 3.0, "seconds": 1.0, "baseline": None, "canary": None, "gap": "proxies away: \u00e9\u20ac"}
    content = write(tmp_path / "r.jsonl", tick(), tick(t=2.0), gap, tick(t=4.0)).read_bytes()
    header, *_ = content.splitlines()
    path = tmp_path / "cut.jsonl"
    for size in range(len(content) + 1):
        cut = content[:size]
        path.write_bytes(cut)
        if size < len(header):
            with pytest.raises(InvalidInput, match=r"first line|empty") as caught:
                recordings.read(path)
            assert caught.value.path == f"{path}:1"
            continue
        _, samples = recordings.read(path)
        found = [sample.t for sample in samples]
        ended, last = content[len(header) + 1 : size].count(b"\n"), cut.rpartition(b"\n")[2]
        whole = last in content.splitlines()  # all but the line's end
        assert found == [1.0, 2.0, 3.0, 4.0][: ended + (whole and size > len(header))]
        assert samples.torn_line == (None if whole or not last else ended + 2)


@pytest.mark.parametrize("rest", [b"\n", b"\n\n", b"\n" + recordings.line(Sample(t=9.0, seconds=1.0, baseline=None, canary=None))])
def test_half_a_line_that_is_not_the_end_of_the_file_is_an_error_with_its_number(tmp_path: Path, rest: bytes) -> None:
    path = write(tmp_path / "r.jsonl", tick())
    path.write_bytes(path.read_bytes() + json.dumps(tick(t=2.0)).encode()[:40] + rest)
    _, samples = recordings.read(path)
    assert next(samples).t == 1.0
    with pytest.raises(InvalidInput) as caught:
        next(samples)
    assert caught.value.path == f"{path}:3"
    assert samples.torn_line is None


def test_a_last_line_of_zeros_as_a_power_cut_leaves_it_is_torn_too(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", tick())
    path.write_bytes(path.read_bytes() + bytes(300))
    _, samples = recordings.read(path)
    assert (len(list(samples)), samples.torn_line) == (1, 3)


def test_a_whole_line_without_its_end_is_a_tick_like_any_other(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", tick(), tick(t=2.0))
    path.write_bytes(path.read_bytes()[:-1])
    _, samples = recordings.read(path)
    assert (len(list(samples)), samples.torn_line) == (2, None)


def test_a_line_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", tick())
    path.write_bytes(path.read_bytes() + b'{"t":2,"seconds":1,"baseline":null,"canary":null,"gap":"\xff"}\n')
    with pytest.raises(InvalidInput, match="utf-8") as caught:
        list(recordings.read(path)[1])
    assert f"{path}:3" in caught.value.path


def test_a_damaged_packed_file_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.jsonl.gz"
    packed = bytearray(gzip.compress(write(tmp_path / "r.jsonl", *[tick(t=float(t)) for t in range(1000)]).read_bytes()))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = bytes(40)
    damaged.write_bytes(bytes(packed))
    with pytest.raises(InvalidInput, match=r"damaged\.jsonl\.gz"):
        list(recordings.read(damaged)[1])


def test_blank_lines_say_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", tick())
    path.write_bytes(path.read_bytes() + b"\n\n")
    assert len(list(recordings.read(path)[1])) == 1


def test_a_packed_file_of_blank_lines_is_not_unpacked_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(gzip.compress(write(tmp_path / "r.jsonl", tick()).read_bytes() + b"\n" * 2_000_000))
    with pytest.raises(InvalidInput, match="more than 64 KiB of blank lines") as caught:
        list(recordings.read(path)[1])
    assert caught.value.path == f"{path}:{2 + 64 * 1024 + 1}"


def headed(path: Path, header: object) -> Path:
    """A recording with this first line, and one tick."""
    path.write_text(f"{json.dumps(header)}\n{json.dumps(tick())}\n")
    return path


def test_a_header_of_a_newer_form_is_read_without_what_is_not_known_and_that_is_said(tmp_path: Path) -> None:
    policy = {"alpha": 0.01, "budget": 5, "tolerances": {"errors": {"bursts": 2}}}
    header = json.loads(recordings.header_line(HEADER)) | {"form": FORM + 1, "policy": policy}
    header["release"]["gate"] = "approval"
    found, _ = recordings.read(headed(tmp_path / "a.jsonl", header))
    assert (found.policy, found.checked_release(path="$").service) == (Policy(alpha=0.01), HEADER.release["service"])
    left_out = ("budget is a newer version's, and is left out", "tolerances.errors.bursts is a newer version's, and is left out")
    assert found.translated == left_out
    for number in (FORM, 1):
        with pytest.raises(InvalidInput, match="budget"):
            recordings.read(headed(tmp_path / "a.jsonl", header | {"form": number}))
    with pytest.raises(InvalidInput, match="kept by a newer version of verdictd"):
        recordings.read(headed(tmp_path / "a.jsonl", header | {"policy": {"mode": "advise"}}))
