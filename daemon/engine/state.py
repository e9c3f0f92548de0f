"""What the parts of an engine have in common: one value, made once, which each part takes what it needs of."""

from dataclasses import dataclass, field

from daemon.engine.checkpoints import Checkpoints
from daemon.engine.dependencies import Ports
from daemon.engine.lull import Lull
from daemon.engine.registry import Registry
from daemon.engine.tenure import Tenure


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """The world, and how it stands with releases.

    Attributes:
        ports: the world.
        registry: who has which session now.
        checkpoints: sessions as they are kept.
        tenure: which services are this replica's.
        lull: whether anybody is being let in.
    """

    ports: Ports
    registry: Registry
    checkpoints: Checkpoints
    tenure: Tenure
    lull: Lull = field(default_factory=Lull)
