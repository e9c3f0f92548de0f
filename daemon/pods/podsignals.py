"""What the pods of the arms tell beside the counts: restarts, memory that ran out, crash loops, readiness that is lost. Pure.

They hold a promotion and convict nobody: a canary that crashes is bad when its users notice, and then its errors say so. What is
over is remembered by Kubernetes and not here, so that a daemon that was started anew knows it too.
"""

from collections.abc import Iterable, Iterator, Sequence

from analyzers.counts import About, Effect, Signal
from daemon.measurements import ArmState, ContainerEnd, PodsState

CALM_SECONDS = 300.0
"""So long after its last restart a canary is not promoted."""
_TOLD = 3
_LOOP, _MEMORY = "CrashLoopBackOff", "OOMKilled"


def signals_of(state: PodsState, *, now: float) -> tuple[Signal, ...]:
    """The signals of both arms; those of the baseline are only said. ``now`` is in seconds since 1970."""
    canary = _of(state.canary, about="canary", effect="holds", now=now)
    return (*canary, *_of(state.baseline, about="baseline", effect="says", now=now))


def _of(arm: ArmState, *, about: About, effect: Effect, now: float) -> Iterator[Signal]:
    minutes, recent = f"within {CALM_SECONDS / 60.0:.0f} min", [one for one in arm.ends if now - one.at < CALM_SECONDS]
    out_of_memory = [one for one in recent if one.reason == _MEMORY]
    looping = [said.partition(":")[0] for said in arm.troubles if said.endswith(_LOOP)]
    other = [said for said in arm.troubles if not said.endswith((_LOOP, _MEMORY))]
    if looping:
        yield Signal(kind="crash_loop", about=about, effect=effect, words=f"{_pods(about, looping)} crash in a loop")
    if out_of_memory:
        words = f"{_pods(about, _named(out_of_memory))} ran out of memory {minutes} and were killed"
        yield Signal(kind="out_of_memory", about=about, effect=effect, words=words)
    if restarted := [one for one in recent if one.reason != _MEMORY]:
        words = f"{_pods(about, _named(restarted, reasons=True))} were restarted {minutes}"
        yield Signal(kind="restarted", about=about, effect=effect, words=words)
    if arm.ready < arm.pods:
        why = f" ({', '.join(other[:_TOLD])})" if other else ""
        words = f"{arm.pods - arm.ready} of {arm.pods} pods of the {about} are not ready{why}"
        yield Signal(kind="not_ready", about=about, effect=effect, words=words)


def _named(ends: Iterable[ContainerEnd], *, reasons: bool = False) -> list[str]:
    """Pod and container of each, which tells an application from its sidecar."""
    return [f"{one.pod} (container {one.container}{f', {one.reason}' if reasons else ''})" for one in ends]


def _pods(about: About, names: Sequence[str]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return f"pods of the {about} ({', '.join(names[:_TOLD])}{more})"
