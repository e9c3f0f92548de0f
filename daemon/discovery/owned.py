"""What the controller says that steps a release's weights by itself: which arm is which, and how far it is.

Its word goes before every other sign: it has made the arms.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from daemon.discovery.picture import Destination
from daemon.placement import ObjectName

OwnerState = Literal["idle", "stepping", "promoting", "promoted", "taken back"]
"""How far an owner is with what is deployed now. ``idle``: it has not begun. While it promotes both arms become the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedArm:
    """By what an owner knows one of its arms.

    Attributes:
        service: the Service it gives the arm; empty: none.
        subset: the subset it gives the arm; empty: none.
        labels: that it gives the arm's pods beyond what the Service and the subset ask for.
    """

    service: str = ""
    subset: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def is_at(self, destination: Destination) -> bool:
        """Whether a destination of the owner's namespace is this arm by its name."""
        if self.subset:
            return destination.subset == self.subset
        return bool(self.service) and destination.service == self.service and not destination.subset


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """The arms of one owner.

    Attributes:
        owner: the object.
        state: how far it is.
        baseline, canary: its arms.
        attempt: stays the same while it tries one version; empty: that is not known.
        routes: names of the only route objects in which subsets of these names are its arms; none: it has none of its own.
    """

    owner: ObjectName
    state: OwnerState
    baseline: OwnedArm
    canary: OwnedArm
    attempt: str = ""
    routes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """``Rollout shop/web``."""
        return f"{self.owner.kind} {self.owner}"

    def arm_at(self, destination: Destination, *, route: ObjectName) -> OwnedArm | None:
        """The arm that a destination of this route is; null: it is none of them."""
        if destination.namespace != self.owner.namespace or (destination.subset and route.name not in self.routes):
            return None
        return next((arm for arm in (self.baseline, self.canary) if arm.is_at(destination)), None)
