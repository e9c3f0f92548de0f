"""A canary alone, after its promotion: references and samples for the tests of its judge."""

from collections.abc import Iterator, Sequence
from functools import cache

from analyzers.counts import Arm, Sample
from analyzers.judge import Terms, fold, start, terms_of
from analyzers.onearm import limits
from analyzers.reference import Reference
from config.policy import Policy
from tests.analyzers.streams import ISTIO_MS, World, terms

POLICY = Policy()
NOTHING = Reference()


@cache
def before(world: World | None = None, *, seed: int = 1, ticks: int = 40) -> Reference:
    """What the baseline of a watch was like at its end."""
    one = terms()
    state = start(one)
    for sample in (world or World()).ticks(seed, ticks):
        [(state, _)] = fold([one], [state], [sample])
    return limits.seen_in(state.row, ISTIO_MS)


def after(
    reference: Reference,
    policy: Policy = POLICY,
    *,
    ticks: int = 300,
    bounds_ms: Sequence[float] = ISTIO_MS,
    timed: bool = True,
) -> Terms:
    """Terms of a watch of ``ticks`` seconds after the promotion."""
    return terms_of(policy, tick_seconds=1.0, window_seconds=float(ticks), bounds_ms=bounds_ms, after=reference, timed=timed)


def alone(world: World, *, seed: int, ticks: int) -> Iterator[Sample]:
    """The canary's samples of a world."""
    for one in world.ticks(seed, ticks):
        yield lone(one.t, one.canary)


def lone(t: float, canary: Arm | None) -> Sample:
    """A tick without a baseline."""
    return Sample(t=t, seconds=1.0, baseline=None, canary=canary)
