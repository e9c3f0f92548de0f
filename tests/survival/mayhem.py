"""Who is struck when, and how: drawn from a seed, so that a run can be had again as far as that is the harness's to say.

What the processes were just doing is not: a run that found a fault finds it again often, not always.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

How = Literal["kill", "hang", "end", "jump"]
"""kill -9; SIGSTOP and later SIGCONT; SIGTERM; another time of day."""

WEIGHTS: Final[Mapping[tuple[str, How], float]] = {
    ("daemon", "kill"): 10.0,
    ("daemon", "hang"): 3.0,
    ("daemon", "end"): 2.0,
    ("daemon", "jump"): 2.0,
    ("broker", "kill"): 4.0,
    ("broker", "hang"): 3.0,
    ("both", "kill"): 2.0,
    ("api server", "kill"): 3.0,
    ("api server", "hang"): 2.0,
    ("sampler", "kill"): 3.0,
    ("sampler", "hang"): 2.0,
}
"""How often each, against the others. ``both``: daemon and broker at once, as when a node dies."""

OF_DAEMONS: Final = frozenset({"daemon", "both", "sampler"})
"""Victims of which each of several daemons has its own."""

MEAN_SECONDS = 3.0
"""Between two strikes."""
_LATE: Final = 0.75
"""So many of the strikes wait until the daemon is ready again; the others strike whatever it is at."""
_LONG: Final = 0.05
_LONG_SECONDS: Final = (12.0, 30.0)
_SHORT_SECONDS: Final = (0.3, 4.0)
_JUMPS_SECONDS: Final = (-7200.0, -90.0, -5.0, 5.0, 90.0, 7200.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One of them.

    Attributes:
        patient: whether the daemon is ready before ``after_seconds`` begin to run.
        seconds: for how long a process hangs, is away, or has another time of day.
        off_seconds: what that is off by.
        which, broker: of several daemons and of several brokers, from 0 on.
    """

    victim: str
    how: How
    patient: bool
    after_seconds: float
    seconds: float
    off_seconds: float = 0.0
    which: int = 0
    broker: int = 0

    @property
    def name(self) -> str:
        """Of several daemons and brokers, the second and third are told apart."""
        of_daemons, of_brokers = (f" {which + 1}" if which else "" for which in (self.which, self.broker))
        if self.victim == "both" and of_brokers:
            return f"daemon{of_daemons} and broker{of_brokers}"
        return f"{self.victim}{of_daemons or of_brokers}"

    def __str__(self) -> str:
        """A line of the account."""
        match self.how:
            case "kill":
                return f"kill -9 of {self.name}, away for {self.seconds:.1f} s"
            case "hang":
                return f"{self.name} hangs for {self.seconds:.1f} s"
            case "end":
                return f"{self.name} is told to end"
            case "jump":
                return f"the clock of {self.name} is off by {self.off_seconds:+g} s for {self.seconds:.1f} s"


def strikes(seed: str, *, victims: frozenset[tuple[str, How]], daemons: int = 1, brokers: int = 1) -> Iterator[Strike]:
    """For ever. ``victims``: those of ``WEIGHTS`` that there are; ``daemons``, ``brokers``: how many of each."""
    dice = Random(seed)  # noqa: S311 - a schedule, not secrets
    kinds = [kind for kind in WEIGHTS if kind in victims]
    while True:
        [(victim, how)] = dice.choices(kinds, [WEIGHTS[kind] for kind in kinds])
        patient, after = dice.random() < _LATE, dice.expovariate(1.0 / MEAN_SECONDS)
        long, jump = dice.random() < _LONG, dice.choice(_JUMPS_SECONDS)
        seconds = dice.uniform(*(_LONG_SECONDS if long and how == "hang" else _SHORT_SECONDS))
        if how == "kill":
            seconds = dice.choice((0.0, seconds))
        off = jump if how == "jump" else 0.0
        which = dice.randrange(daemons) if daemons > 1 and victim in OF_DAEMONS else 0
        broker = dice.randrange(brokers) if brokers > 1 and victim in {"broker", "both"} else 0
        yield Strike(
            victim=victim,
            how=how,
            patient=patient,
            after_seconds=after,
            seconds=seconds,
            off_seconds=off,
            which=which,
            broker=broker,
        )
