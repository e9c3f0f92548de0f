"""Recordings: what the judge saw, as JSON lines, one file per release, so that it can be judged again.

The format is ``verdictd.recording/1`` (see docs). A sample's line here is byte for byte what the session digests, so a
recording can be checked against its decision record.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from analyzers.counts import Arm, Pod, Sample
from config import earlier
from config.policy import Policy
from daemon.errors import InvalidInput
from daemon.model import Release, decode_release

FORMAT = "verdictd.recording/1"
SUFFIXES = (".jsonl", ".jsonl.gz")
_LONGEST_LINE_BYTES = 32 * 1024 * 1024
_LARGEST_COUNT = 2**53
"""Beyond it a count is no longer exact as a floating-point number; no tick of any service comes near."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. ``bounds_ms`` are the finite upper bounds of the latency buckets; counts carry one more, for +Inf.

    ``tick_seconds`` may be absent in recordings made elsewhere: the first sample's ``seconds`` stand for it. ``translated`` is
    not in the file: a sentence for each word of an earlier version's policy that is read as another.
    """

    release: dict[str, Any]
    policy: Policy
    bounds_ms: tuple[float, ...] = ()
    split: bool = False
    tick_seconds: float | None = None
    format: str = FORMAT
    translated: tuple[str, ...] = ()

    def checked_release(self, *, path: str) -> Release:
        """The release, checked like any other input."""
        return decode_release(self.release, path=path)


_sample_decoder = msgspec.json.Decoder(Sample)
_encoder = msgspec.json.Encoder()


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
    return _encoder.encode(document)


def header_line(header: Header) -> bytes:
    """The first line, without the newline."""
    return _encoder.encode(
        {"format": header.format}
        | {k: v for k, v in msgspec.structs.asdict(header).items() if k not in {"format", "translated"} and v is not None}
    )


def chained(digest: str, tick: bytes) -> str:
    """The digest of a recording with one more line (without its newline); the digest of no line is the empty text."""
    return hashlib.sha256(digest.encode() + tick).hexdigest()


def read(path: Path) -> tuple[Header, Iterator[Sample]]:
    """Open a recording (``.gz`` is unpacked); the samples are read as they are asked for.

    Raises:
        InvalidInput: naming the file and the line.
    """
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        raise InvalidInput("the file is empty", path=f"{path}:1", fix=f'begin with {{"format":"{FORMAT}",...}}')
    try:
        header, said = earlier.decode(first, Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInput(str(error), path=f"{path}:1", fix=f"the first line is the header of {FORMAT}") from error
    if header.format != FORMAT:
        raise InvalidInput(f"format is {header.format!r}", path=f"{path}:1", fix=f"this version reads {FORMAT}")
    header.checked_release(path=f"{path}:1: $.release")
    return msgspec.structs.replace(header, translated=said), _samples(path, lines, buckets=len(header.bounds_ms) + 1)


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            while line := file.readline(_LONGEST_LINE_BYTES):
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(str(error), path=str(path), fix="give a readable recording") from error


def _samples(path: Path, lines: Iterator[bytes], *, buckets: int) -> Iterator[Sample]:
    last_t = float("-inf")
    for number, raw in enumerate(lines, start=2):
        if not raw.strip():
            continue
        where = f"{path}:{number}"
        try:
            sample = _sample_decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InvalidInput(str(error), path=where, fix="each line after the first is one tick") from error
        if sample.t < last_t:
            raise InvalidInput(f"t goes back from {last_t:g} to {sample.t:g}", path=where, fix="ticks are in order of time")
        last_t = sample.t
        if sample.weight is not None and not 0.0 <= sample.weight <= 100.0:
            raise InvalidInput(f"{sample.weight:g} is no weight", path=f"{where}: weight", fix="write a share in percent, 0 to 100")
        for name, arm in (("baseline", sample.baseline), ("canary", sample.canary)):
            if arm is not None:
                _check_arm(arm, path=f"{where}: {name}", buckets=buckets)
        yield sample


def _check_arm(arm: Arm, *, path: str, buckets: int) -> None:
    _check_counts(arm, path=path, buckets=buckets)
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
