"""A recording judged again. The same samples and policy give the same verdict as they gave live: the same code judges."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec

from analyzers.judge import Terms, fold, start, terms_of
from analyzers.ruling import Finding, Ruling
from config.policy import Policy
from daemon import recordings
from daemon.errors import InvalidInput
from daemon.model import Sample


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What ``verdictd replay --json`` prints, one line a file. ``decided_at_tick`` is null when the recording ended first."""

    file: str
    verdict: str
    decided_at_tick: int | None
    ticks: int
    reason: str
    findings: tuple[Finding, ...]


def replay_file(path: Path, *, policy: Policy | None = None) -> Replayed:
    """Judge one recording, under its own policy or another.

    Raises:
        InvalidInput: naming the file and the line of the first fault.
    """
    header, samples = recordings.read(path)
    first = next(samples, None)
    if first is None:
        raise InvalidInput("the recording holds no tick", path=str(path), fix="record at least one tick")
    terms = _terms(path, header, policy or header.policy, tick_seconds=header.tick_seconds or first.seconds)
    ruling = _judge(terms, chain([first], samples))
    final = ruling.outcome != "continue"
    return Replayed(
        file=str(path),
        verdict=ruling.outcome if final else "inconclusive",
        decided_at_tick=ruling.tick if final else None,
        ticks=ruling.tick,
        reason=ruling.reason if final else f"the recording ends before a decision: {ruling.reason}",
        findings=ruling.findings,
    )


def _terms(path: Path, header: recordings.Header, policy: Policy, *, tick_seconds: float) -> Terms:
    release = header.checked_release(path=f"{path}:1: $.release")
    window_seconds = policy.window_seconds if release.deadline is None else min(release.deadline, policy.window_seconds)
    try:
        return terms_of(
            policy,
            tick_seconds=tick_seconds,
            window_seconds=window_seconds,
            split=header.split,
            weight=release.weight,
            bounds_ms=header.bounds_ms,
        )
    except ValueError as error:
        raise InvalidInput(str(error), path=f"{path}:1", fix="correct the header or give another --policy") from error


def _judge(terms: Terms, samples: Iterator[Sample]) -> Ruling:
    state = start(terms)
    for sample in samples:
        [(state, ruling)] = fold([terms], [state], [sample])
        if ruling.outcome != "continue":
            break
    return ruling
