"""Releases found by what was there: a version that shows up beside an older one was a canary.

What became of it is told in words. Whether it was good does not follow: a controller that copies a canary takes it away after a
promotion too. Who knows that theirs does not may have it presumed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from daemon.model import ArmSpec, Release
from daemon.offline.backtest.past import Past
from daemon.offline.replay.labels import Label

_GAP_STEPS = 2.5
_EDGE_STEPS = 1.5

Presence = Mapping[tuple[tuple[str, str], ...], Sequence[float]]
"""Moments at which versions were there, by the fields that name each."""


@dataclass(frozen=True, slots=True)
class _Span:
    """One version, there from ``begin`` to ``end``."""

    arm: ArmSpec
    begin: float
    end: float


def found(
    present: Presence, *, service: str, namespace: str, begin: float, end: float, step_seconds: float, presume: bool
) -> list[Past]:
    """The releases between two moments, in order of time.

    Args:
        present: what was there, at even steps.
        presume: a canary that went while the old version stayed was bad, and one that outlived it was good.
    """
    spans = sorted((span for key, at in present.items() for span in _spans(key, at, step_seconds)), key=lambda one: one.begin)
    pasts = []
    for span in spans:
        older = [one for one in spans if one.begin <= span.begin - step_seconds and one.end >= span.begin and one.arm != span.arm]
        if not older or span.begin <= begin + _EDGE_STEPS * step_seconds:
            continue
        became, label = _became(span, older[0], end=end - _EDGE_STEPS * step_seconds)
        pasts.append(
            Past(
                release=Release(service=service, namespace=namespace, baseline=older[0].arm, canary=span.arm),
                begin=span.begin,
                label=label if presume else None,
                became=became,
            )
        )
    return pasts


def none_found(versions: int, service: str, namespace: str) -> str:
    """Why there is no release, by how many versions were there."""
    if not versions:
        return f"no series of {namespace}/{service} in that time: is it older than what is kept there, or named otherwise?"
    known = f"{versions} version{'s' if versions > 1 else ''} by workload and version label, and none came beside another"
    return f"no release of {namespace}/{service} in that time: {known}; list them in a file (--releases)"


def _spans(key: tuple[tuple[str, str], ...], moments: Sequence[float], step_seconds: float) -> Iterator[_Span]:
    arm = msgspec.convert(dict(key), ArmSpec)
    ordered = sorted(moments)
    begin = last = ordered[0]
    for at in ordered[1:]:
        if at - last > _GAP_STEPS * step_seconds:
            yield _Span(arm, begin, last)
            begin = at
        last = at
    yield _Span(arm, begin, last)


def _became(canary: _Span, baseline: _Span, *, end: float) -> tuple[str, Label | None]:
    """What became of it. Where both went at once, or neither did, nothing follows."""
    gone, replaced = canary.end < end, baseline.end < end
    if gone and canary.end < baseline.end:
        return f"it went after {_minutes(canary.end - canary.begin)}, the old one stayed", Label(label="bad")
    if replaced and baseline.end < canary.end:
        return f"it outlived the old one after {_minutes(baseline.end - canary.begin)}", Label(label="healthy")
    return "both went at once" if gone else "both are still there", None


def _minutes(seconds: float) -> str:
    return f"{seconds / 60.0:.0f} min" if seconds < 7200.0 else f"{seconds / 3600.0:.0f} h"
