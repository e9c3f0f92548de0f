"""A row of the calibration: a stream of releases, how they are watched, and what is asked of their ends.

One table of rows makes all three: `make calibration`, its page, and the smaller seeded part in `make test`.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

from config.policy import Policy, Promotion
from daemon.offline.simulation.world import World
from tests.bench.calibration.asks import Ask
from tests.bench.calibration.held_back import Service

Section = Literal["same code", "tolerated", "bad", "promotion", "default watch", "short ticks", "alone", "held back"]
Plain = tuple[str, World, Ask]
"""A row's title, its stream, and what is asked."""
RATES: Final = 2000
TICKS: Final = 500
"""Releases behind a rate of which something is wanted, and behind ticks, in a full calibration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How releases are watched.

    Attributes:
        seconds: until the deadline; null for the default policy's.
        promoting: the default policy's promotion; else it is put off beyond the end: a release that is promoted is not looked at
            any longer, so that this is the worst case for wrong rollbacks.
        strict: the policy's evidence is ``strict``.
    """

    seconds: float | None = 300.0
    promoting: bool = False
    strict: bool = False

    @property
    def length_seconds(self) -> float:
        """Seconds that are watched at most."""
        return Policy().window_seconds if self.seconds is None else self.seconds

    @property
    def policy(self) -> Policy:
        """The policy that says so; where nothing is promoted, promotion asks for more time than there is."""
        usual, length = Policy(), self.length_seconds
        return Policy(
            window_seconds=length if self.promoting else length + 1.0,
            warmup_seconds=min(usual.warmup_seconds, length / 2.0),
            evidence="strict" if self.strict else usual.evidence,
            promotion=usual.promotion if self.promoting else Promotion(min_seconds=length + 1.0),
        )


PATIENT: Final = Watch()
USUAL: Final = Watch(seconds=None, promoting=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        title: names it within its section; the seeds of its releases come from both.
        stream: the truth. asked: what is wanted.
        releases: in a full calibration. tested: in `make test` (0: not there).
    """

    section: Section
    title: str
    stream: World | Service
    asked: Ask
    watch: Watch = field(default_factory=Watch)
    releases: int = RATES
    tested: int = 0

    @property
    def name(self) -> str:
        """The row's name in all of the calibration."""
        return f"{self.section}: {self.title}"

    @property
    def onset(self) -> int:
        """Ticks before the canary turns bad."""
        return self.stream.change.onset_tick if isinstance(self.stream, World) else self.stream.onset_tick
