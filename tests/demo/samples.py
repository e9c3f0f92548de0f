"""TrafficLog and acts made up for the tests of what the demo says about them."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from analyzers.counts import Arm, Latency, Sample
from config.policy import Policy
from daemon.demo.acts import ACTS, Act, Played
from daemon.demo.demomesh import DemoMesh, Shares
from daemon.demo.traffic import Answer, TrafficLog
from daemon.model import Action, ArmSpec, Outcome, Record, Release, TimedStep
from tests.hand.samples import verdict

BEGAN = 1000.0


def traffic(answers: Iterable[Answer]) -> TrafficLog:
    """A log of these answers."""
    log = TrafficLog()
    for answer in answers:
        log.add(answer)
    return log


def steady(version: str, *, begin: float, end: float, every: float = 0.01, status: int = 200) -> list[Answer]:
    """Requests at equal distances, each answered after 20 ms."""
    count = round((end - begin) / every)
    return [Answer(start=begin + i * every, seconds=0.02, status=status, version=version) for i in range(count)]


def sample(*, baseline_ms: float = 20.0, canary_ms: float = 20.0, errors: int = 0) -> Sample:
    """One tick with ten requests on each arm."""

    def arm(mean_ms: float, failed: int) -> Arm:
        return Arm(requests=10, errors=failed, latency=Latency(counts=(4, 6), sum_ms=10 * mean_ms))

    return Sample(t=1.0, seconds=0.25, baseline=arm(baseline_ms, 0), canary=arm(canary_ms, errors))


def record(act: Act, marks: dict[str, float], *, outcome: Outcome | None = None) -> Record:
    """A decision record with these marks."""
    said = verdict(
        namespace="default",
        outcome=outcome or act.outcome,
        meaning="hold",
        action=Action.REVERT if act.outcome is Outcome.ROLLBACK else Action.NONE,
        reason="because <of> & this",
        leg=None,
        evidence=123.4,
        decided_at=marks.get("decided", BEGAN),
    )
    return Record(
        verdict=said,
        release=Release(service="web", baseline=ArmSpec(service="web-v1"), canary=ArmSpec(service="web-v2")),
        policy=Policy(),
        bounds_ms=(20.0,),
        sample_digest="",
        fixed_horizon=None,
        marks=tuple(TimedStep(step=step, at=at) for step, at in marks.items()),
    )


def promoted(**changes: float | Outcome | None) -> Played:
    """Act 1: decided after 5 s, shifted at 5.1 s, watched until 9 s."""
    return _played(ACTS[0], {"decided": BEGAN + 5.0}, {"shifted_at": BEGAN + 5.1, **changes})


def taken_back(act: Act = ACTS[1], *, samples: tuple[tuple[float, Sample], ...] = (), **changes: float | Outcome | None) -> Played:
    """Act 2 or 3: decided after 2 s, patched at once, watched until 9 s."""
    marks = {"decided": BEGAN + 2.0, "patch_sent": BEGAN + 2.01, "patch_acknowledged": BEGAN + 2.02}
    return _played(act, marks, changes, samples=samples)


def mesh(
    folder: Path,
    *,
    name: str = "edge",
    telemetry: Mapping[str, object] | None = None,
    steering: Mapping[str, object] | None = None,
    kubernetes: Mapping[str, object] | None = None,
) -> DemoMesh:
    """A mesh that nobody runs, an edge if nothing else is said."""
    admin = "http://127.0.0.1:2"

    async def share(shares: Shares) -> None:
        raise AssertionError(f"nobody is to be given {shares}")

    return DemoMesh(
        name=name,
        url="http://127.0.0.1:1",
        introduced=(("edge", "Envoy"),),
        children=(),
        telemetry=telemetry or {"endpoints": [admin]},
        steering=steering or {"kind": "envoy", "routes_file": str(folder / "r.yaml"), "admin": admin},
        kubernetes=kubernetes or {},
        settle_seconds=0.5,
        arm=lambda version: ArmSpec(service=f"web-{version}"),
        share=share,
    )


def _played(
    act: Act,
    marks: dict[str, float],
    changes: dict[str, float | Outcome | None],
    *,
    samples: tuple[tuple[float, Sample], ...] = (),
) -> Played:
    outcome, ended, shifted_at = changes.get("outcome"), changes.get("ended", BEGAN + 9.0), changes.get("shifted_at")
    assert not isinstance(ended, Outcome)
    assert not isinstance(shifted_at, Outcome)
    return Played(
        act=act,
        release_id="web-1",
        began=BEGAN,
        ended=ended or BEGAN + 9.0,
        record=record(act, marks, outcome=outcome if isinstance(outcome, Outcome) else None),
        settle_seconds=0.5,
        shifted_at=shifted_at,
        samples=samples,
    )
