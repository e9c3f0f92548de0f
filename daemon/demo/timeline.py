"""What happened when, in one act: the traffic's own account and verdictd's decision record put side by side."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analyzers.counts import Sample
from daemon.demo.acts import Act, Played
from daemon.demo.traffic import Answer, TrafficLog
from daemon.model import Outcome

# A sample shows a slower canary when its mean is as much above the baseline's as the policy tolerates.
_SLOWER = 1.10


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a timeline. ``at`` is in seconds since 1970, null for a line that is a number and not a moment."""

    label: str
    at: float | None
    detail: str = ""


def timeline(played: Played, traffic: TrafficLog) -> tuple[Moment, ...]:
    """The act's steps in the order of a reader's questions; a step that was not seen is left out."""
    answers = [a for a in traffic.between(played.began, played.ended) if a.version == played.act.canary]
    if played.act.fault is None:
        return _promotion(played, traffic, answers)
    return _rollback(played, answers)


def bad_answers(act: Act, answers: Iterable[Answer]) -> list[Answer]:
    """The answers of a canary that a user would have done without: the failed ones, or all of a slow version."""
    return [a for a in answers if act.fault == "latency" or (act.fault == "errors" and a.failed)]


def showed(act: Act, sample: Sample) -> bool:
    """Whether a sample shows what is wrong with the canary, to an eye that knows what to look for."""
    canary, baseline = sample.canary, sample.baseline
    if canary is None or baseline is None:
        return False
    if act.fault == "errors":
        return canary.errors > 0
    if canary.latency is None or baseline.latency is None:
        return False
    counts = sum(canary.latency.counts), sum(baseline.latency.counts)
    return all(counts) and canary.latency.sum_ms / counts[0] > _SLOWER * baseline.latency.sum_ms / counts[1]


def _rollback(played: Played, answers: list[Answer]) -> tuple[Moment, ...]:
    bad = bad_answers(played.act, answers)
    last = answers[-1] if answers else None
    first_sample = next((at for at, sample in played.samples if showed(played.act, sample)), None)
    verdict = played.record.verdict
    steps = (
        Moment("first bad response", bad[0].end if bad else None),
        Moment("first sample that showed it", first_sample),
        Moment("decision", played.mark("decided"), f"evidence {verdict.evidence:.0f}, needed {verdict.boundary:.0f}"),
        Moment("patch sent", played.mark("patch_sent")),
        Moment("patch acknowledged", played.mark("patch_acknowledged")),
        Moment("last canary response", last.end if last else None, f"its request left {_before(last, played)}" if last else ""),
    )
    served = Moment("bad responses served", None, f"{len(bad)}, of {len(answers)} canary responses")
    return (*(step for step in steps if step.at is not None), served)


def _before(last: Answer, played: Played) -> str:
    sent = played.mark("patch_sent")
    if sent is None:
        return f"{last.seconds * 1000:.0f} ms earlier"
    return f"{abs(last.start - sent) * 1000:.0f} ms {'before' if last.start <= sent else 'after'} the patch"


def _promotion(played: Played, traffic: TrafficLog, answers: list[Answer]) -> tuple[Moment, ...]:
    old = [a for a in traffic.between(played.began, played.ended) if a.version == played.act.baseline]
    verdict = played.record.verdict
    steps = (
        Moment("first canary response", answers[0].end if answers else None),
        Moment("decision", played.mark("decided"), f"{verdict.ticks} samples"),
        Moment("pipeline gave it 100 %", played.shifted_at),
        Moment("last response of the old version", old[-1].end if old and played.shifted_at else None),
    )
    served = Moment("canary responses", None, f"{len(answers)}, of them {sum(a.failed for a in answers)} failed")
    return (*(step for step in steps if step.at is not None), served)


def lines(steps: tuple[Moment, ...]) -> list[str]:
    """The timeline as text; times count from its first step."""
    zero = next((step.at for step in steps if step.at is not None), 0.0)
    text = []
    for step in steps:
        when = "" if step.at is None else f"{step.at - zero:+8.3f} s"
        text.append(f"{step.label:<33}{when:>11}  {step.detail}".rstrip())
    return text


@dataclass(frozen=True, slots=True)
class Turn:
    """One mark. ``at`` is in seconds since 1970; the first character of ``sign`` has the ``meaning``."""

    at: float
    sign: str
    meaning: str


def turns(acts: Sequence[Played]) -> list[Turn]:
    """The marks of some acts, in order of time."""
    found: list[Turn] = []
    for played in acts:
        found.append(Turn(played.began, f"▲{played.act.canary}", "canary gets traffic"))
        back = played.mark("patch_acknowledged")
        if played.shifted_at is not None:
            found.append(Turn(played.shifted_at, "✔", "promoted"))
        elif played.record.verdict.outcome is Outcome.ROLLBACK and back is not None:
            found.append(Turn(back, "✖", "taken back"))
    return sorted(found, key=lambda turn: turn.at)
