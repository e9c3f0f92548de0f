"""Recordings: what the judge saw, as JSON lines, one file per release, so that it can be judged again.

The format is ``verdictd.recording/1`` (see docs). A sample's line here is byte for byte what the session digests, so a
recording can be checked against its decision record.

A daemon that is killed while it writes leaves a last line without its end. Such a line is left out and said to be
(``Samples.torn_line``); a broken line anywhere else is an error.
"""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from analyzers.counts import Arm, Pod, Sample
from config import files
from config.policy import Policy
from daemon import stored
from daemon.errors import InvalidInput
from daemon.measurements import Reading
from daemon.model import After, Release
from daemon.releasecheck import decode_release

FORMAT = "verdictd.recording/1"
SUFFIXES = (".jsonl", ".jsonl.gz")
_LONGEST_LINE_BYTES = 32 * 1024 * 1024
# A packed file may hold any number of them in a few bytes.
_MOST_BLANK_BYTES = 64 * 1024
_LARGEST_COUNT = 2**53
"""Beyond it a count is no longer exact as a floating-point number; no tick of any service comes near."""


class Hole(msgspec.Struct, frozen=True, kw_only=True):
    """Where judged ticks are not in a recording: another replica had the release, or nothing could be written for a while.

    Attributes:
        lines: how many lines of the recording, after its first, come before it.
        ticks: how many ticks had been judged when it goes on.
        digest: the chained digest of all of them.
    """

    lines: int
    ticks: int
    digest: str

    @property
    def sentence(self) -> str:
        """For a person."""
        return f"ticks are missing before line {self.lines + 2}: {self.ticks} had been judged by then, {self.lines} are in it"


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. ``bounds_ms`` are the finite upper bounds of the latency buckets; counts carry one more, for +Inf.
    ``timed`` is false where connections were counted, of which no latency is known. ``after`` is that of a watch after a promotion.

    ``tick_seconds`` may be absent in recordings made elsewhere: the first sample's ``seconds`` stand for it. ``translated`` is
    not in the file: a sentence for each word of an earlier version's policy that is read as another, and for each of a newer
    version's that is not known here. ``form`` is the number of the form (``daemon.stored``). ``holes``, in their order: where
    ticks are missing.
    """

    release: dict[str, Any]
    policy: Policy
    bounds_ms: tuple[float, ...] = ()
    split: bool = False
    timed: bool = True
    tick_seconds: float | None = None
    after: After | None = None
    format: str = FORMAT
    form: int = stored.FORM
    holes: tuple[Hole, ...] = ()
    translated: tuple[str, ...] = ()

    def checked_release(self, *, path: str) -> Release:
        """The release, checked like any other input."""
        known = self.release if self.form <= stored.FORM else stored.known(self.release, Release)
        return decode_release(known, path=path)


_sample_decoder = msgspec.json.Decoder(Sample)
_encoder = msgspec.json.Encoder()
_APART = frozenset({"format", "form", "holes", "translated"})


def sample_of(reading: Reading, *, t: float, bounds_ms: tuple[float, ...]) -> tuple[Sample, tuple[float, ...]]:
    """A reading on a watch's own time line, and the buckets' bounds as they are known from then on.

    Args:
        reading: as telemetry gave it.
        t: seconds since the watch began, to the millisecond.
        bounds_ms: as they were known before; empty: not yet.
    """
    gap, bounds = reading.gap, bounds_ms or reading.bounds_ms or ()
    if gap is None and reading.bounds_ms is not None and reading.bounds_ms != bounds:
        gap = "the latency buckets' bounds changed in the middle of the watch"
    sample = Sample(
        t=t,
        seconds=round(reading.seconds, 3),
        baseline=reading.baseline if gap is None else None,
        canary=reading.canary if gap is None else None,
        gap=gap,
        weight=reading.weight,
        signals=reading.signals,
    )
    return sample, bounds


def line(sample: Sample) -> bytes:
    """One sample as its line, without the newline. Fields that say nothing are left out."""
    document: dict[str, Any] = {
        "t": sample.t,
        "seconds": sample.seconds,
        "baseline": _arm(sample.baseline),
        "canary": _arm(sample.canary),
    }
    if sample.gap is not None:
        document["gap"] = sample.gap
    if sample.weight is not None:
        document["weight"] = sample.weight
    if sample.signals:
        document["signals"] = sample.signals
    return _encoder.encode(document)


def header_line(header: Header) -> bytes:
    """The first line, without the newline."""
    return _encoder.encode(
        {"format": header.format, "form": stored.FORM}
        | {k: v for k, v in msgspec.structs.asdict(header).items() if k not in _APART and v is not None}
        | ({"holes": header.holes} if header.holes else {})
    )


def chained(digest: str, tick: bytes) -> str:
    """The digest of a recording with one more line (without its newline); the digest of no line is the empty text."""
    return hashlib.sha256(digest.encode() + tick).hexdigest()


class Place(NamedTuple):
    """A place between two lines of a recording: before it are ``lines`` of them and ``holes``, and the digest is this."""

    lines: int
    holes: tuple[Hole, ...]
    digest: str


def places(lines: Sequence[bytes], holes: Sequence[Hole]) -> Iterator[Place]:
    """All of a recording's, from its beginning: one before and after each of its lines (without their newlines), and each hole."""
    place, waiting = Place(0, (), ""), list(holes)
    yield place
    for number in range(len(lines) + 1):
        while waiting and waiting[0].lines == number:
            hole = waiting.pop(0)
            place = Place(number, (*place.holes, hole), hole.digest)
            yield place
        if number < len(lines):
            place = Place(number + 1, place.holes, chained(place.digest, lines[number]))
            yield place


class Samples(Iterator[Sample]):
    """A recording's samples, read as they are asked for.

    ``torn_line`` is the number of a last line that was not written to its end, which is left out; it is known when there
    are no more samples, and null when the file is whole.

    Raises:
        InvalidInput: naming the file and the line.
    """

    def __init__(self, path: Path, lines: Iterator[bytes], *, buckets: int) -> None:
        self.torn_line: int | None = None
        self._samples = self._read(path, lines, buckets=buckets)

    def __next__(self) -> Sample:
        return next(self._samples)

    def _read(self, path: Path, lines: Iterator[bytes], *, buckets: int) -> Iterator[Sample]:
        last_t, blank = float("-inf"), 0
        for number, raw in enumerate(lines, start=2):
            if not raw.strip():
                blank += len(raw)
                if blank > _MOST_BLANK_BYTES:
                    wrong = f"more than {_MOST_BLANK_BYTES >> 10} KiB of blank lines"
                    raise InvalidInput(wrong, path=f"{path}:{number}", fix="each line after the first is one tick")
                continue
            try:
                sample = _sample_decoder.decode(raw)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                if _is_torn(raw):
                    self.torn_line = number
                    return
                raise InvalidInput(str(error), path=f"{path}:{number}", fix="each line after the first is one tick") from error
            _check_sample(sample, path=f"{path}:{number}", last_t=last_t, buckets=buckets)
            last_t = sample.t
            yield sample


def torn_words(path: Path | str, line: int) -> str:
    """What is said of a recording whose last line is torn."""
    return f"{path}:{line}: the last line is torn, as a daemon leaves it that is killed while writing; it is left out"


def read(path: Path) -> tuple[Header, Samples]:
    """Open a recording (``.gz`` is unpacked); the samples are read as they are asked for.

    Raises:
        InvalidInput: naming the file and the line.
    """
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        raise InvalidInput("the file is empty", path=f"{path}:1", fix=f'begin with {{"format":"{FORMAT}",...}}')
    try:
        header = _header(first)
    except stored.Unreadable as error:
        fix = (
            "the file ends within its first line: nothing was recorded"
            if _is_torn(first)
            else f"the first line is the header of {FORMAT}"
        )
        raise InvalidInput(str(error), path=f"{path}:1", fix=fix) from error
    if header.format != FORMAT:
        raise InvalidInput(f"format is {header.format!r}", path=f"{path}:1", fix=f"this version reads {FORMAT}")
    header.checked_release(path=f"{path}:1: $.release")
    return header, Samples(path, lines, buckets=len(header.bounds_ms) + 1)


def _header(first: bytes) -> Header:
    """The header, read strictly where its form is ours or older: then it may be a person's. Raises ``stored.Unreadable``."""
    found = stored.decode(first, Header)
    unread = [path.removeprefix("policy.") for path in found.unread if path.startswith("policy.")]
    if unread and found.form <= stored.FORM:
        raise stored.Unreadable(f"Object contains unknown field `{unread[0]}` - at `$.policy`")
    said = (*found.said, *(f"{path} is a newer version's, and is left out" for path in unread))
    return msgspec.structs.replace(found.value, form=found.form, translated=said)


def holes_in(first: bytes) -> tuple[Hole, ...]:
    """Where ticks are missing, by a recording's first line. Raises ``stored.Unreadable``."""
    return stored.decode(first, Header).value.holes


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with files.opened(path) as raw, gzip.open(raw, "rb") if path.suffix == ".gz" else io.BufferedReader(raw) as file:
            while line := file.readline(_LONGEST_LINE_BYTES):
                yield line
    except files.Unreadable as error:
        raise InvalidInput(error.message, path=str(path), fix=error.fix) from error
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(str(error), path=str(path), fix="give a readable recording") from error


def _is_torn(raw: bytes) -> bool:
    """Whether a line that cannot be read is the file's last one, cut off: every line is written with its end."""
    return not raw.endswith(b"\n") and len(raw) < _LONGEST_LINE_BYTES


def _check_sample(sample: Sample, *, path: str, last_t: float, buckets: int) -> None:
    if sample.t < last_t:
        raise InvalidInput(f"t goes back from {last_t:g} to {sample.t:g}", path=path, fix="ticks are in order of time")
    if sample.weight is not None and not 0.0 <= sample.weight <= 100.0:
        raise InvalidInput(f"{sample.weight:g} is no weight", path=f"{path}: weight", fix="write a share in percent, 0 to 100")
    for name, arm in (("baseline", sample.baseline), ("canary", sample.canary)):
        if arm is not None:
            _check_arm(arm, path=f"{path}: {name}", buckets=buckets)


def _check_arm(arm: Arm, *, path: str, buckets: int) -> None:
    _check_counts(arm, path=path, buckets=buckets)
    for field in ("unanswered", "unclassified"):
        if (count := getattr(arm, field)) < 0:
            raise InvalidInput(f"{count} is negative", path=f"{path}.{field}", fix="counts are differences of counters")
    if arm.unanswered > _LARGEST_COUNT:
        raise InvalidInput("a count is impossibly large", path=path, fix="counts are per tick, not totals since a start")
    if arm.errors + arm.unclassified > arm.requests:
        raise InvalidInput(
            f"{arm.errors} errors and {arm.unclassified} unclassified of {arm.requests} requests",
            path=f"{path}.unclassified",
            fix="both are among the requests, and none is in both",
        )
    for name, pod in (arm.pods or {}).items():
        _check_counts(pod, path=f"{path}.pods.{name}", buckets=buckets)


def _check_counts(part: Arm | Pod, *, path: str, buckets: int) -> None:
    if min(part.requests, part.errors, part.denied) < 0:
        name = next(name for name in ("requests", "errors", "denied") if getattr(part, name) < 0)
        raise InvalidInput(f"{getattr(part, name)} is negative", path=f"{path}.{name}", fix="counts are differences of counters")
    if max(part.requests, part.denied) > _LARGEST_COUNT:
        raise InvalidInput("a count is impossibly large", path=path, fix="counts are per tick, not totals since a start")
    if part.errors > part.requests:
        raise InvalidInput(
            f"{part.errors} errors of {part.requests} requests", path=f"{path}.errors", fix="errors are among the requests"
        )
    if part.latency is None:
        return
    if len(part.latency.counts) != buckets:
        raise InvalidInput(
            f"{len(part.latency.counts)} counts",
            path=f"{path}.latency.counts",
            fix=f"the header's bounds need {buckets}: one for each bound and one for +Inf",
        )
    if max(part.latency.counts) > _LARGEST_COUNT:
        raise InvalidInput("a count is impossibly large", path=f"{path}.latency.counts", fix="counts are per tick, not totals")
    if min(part.latency.counts) < 0:
        raise InvalidInput("a count is negative", path=f"{path}.latency.counts", fix="counts are per bucket, not cumulative")


def _arm(arm: Arm | None) -> dict[str, Any] | None:
    if arm is None:
        return None
    document = _part(arm)
    document |= {field: count for field in ("unanswered", "unclassified") if (count := getattr(arm, field))}
    if arm.pods is not None:
        document["pods"] = {name: _pod(pod) for name, pod in arm.pods.items()}
    return document


def _pod(pod: Pod) -> dict[str, Any]:
    document = _part(pod)
    if pod.age_seconds is not None:
        document["age_seconds"] = pod.age_seconds
    return document


def _part(part: Arm | Pod) -> dict[str, Any]:
    document: dict[str, Any] = {"requests": part.requests, "errors": part.errors, "denied": part.denied}
    if part.latency is not None:
        document["latency"] = part.latency
    return document
