"""A question about a route in words: what is asked, among which candidates, and how to answer. Pure."""

import hashlib

import msgspec

from config.errors import one_of
from daemon.discovery.answers import Ask, FoundArm
from daemon.errors import InvalidEvent, InvalidInput
from daemon.kube.resources import Json
from daemon.watcher.annotations import BASELINE, CANARY, WATCH
from daemon.watcher.seen import Seen
from daemon.watcher.steps import Question


def asked(seen: Seen, ask: Ask, *, mark: str) -> Question:
    """What somebody must say of the route."""
    error = InvalidEvent(ask.why, path=str(seen.key), fix=_how_to_answer(ask))
    return Question(error=error, seen=_about(seen, ask), mark=mark, annotations=(*_keys(ask), WATCH), fields=ask.missing)


def mended(seen: Seen, error: InvalidInput, *, mark: str) -> Question:
    """What somebody must mend."""
    return Question(error=InvalidEvent.of(error.faults), seen=_about(seen, None), mark=mark)


def mark_of(content: object) -> str:
    """What tells it from what else is asked or announced of the same route."""
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:16]


def _how_to_answer(ask: Ask) -> str:
    return (
        f"annotate the route with {one_of(_keys(ask))}: {one_of(one.name for one in ask.candidates)}, or with {WATCH}: off; "
        "or announce the release"
    )


def _keys(ask: Ask) -> tuple[str, ...]:
    words = {"canary": CANARY, "baseline": BASELINE, "baseline.subset": BASELINE}
    return tuple(dict.fromkeys(words[one] for one in ask.missing))


def _about(seen: Seen, ask: Ask | None) -> Json:
    found: Json = {"route": str(seen.key), "version": seen.version}
    if ask is not None:
        found |= {"missing": list(ask.missing), "candidates": [_told(one) for one in ask.candidates]}
    return found


def _told(candidate: FoundArm) -> Json:
    there = candidate.destination
    said: Json = {"name": candidate.name, "percent": candidate.percent}
    if there is not None:
        said |= {"service": there.service, "namespace": there.namespace, "subset": there.subset}
    return {**said, "workloads": list(candidate.workloads or ()), "labels": dict(candidate.labels or {})}
