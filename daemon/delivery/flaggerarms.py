"""Which arms a Canary of Flagger says there are, and how far it is with them. Pure.

The canary is the Deployment that keeps its name; what has served so far is the copy that Flagger makes of it.
"""

from typing import Final

import msgspec

from daemon.delivery.claimed import Metadata
from daemon.delivery.flagger import CANARIES
from daemon.discovery.forms import read
from daemon.discovery.owned import Owned, OwnedArm, OwnerState
from daemon.kube.resources import Json
from daemon.placement import ObjectName

_STATES: Final[dict[str, OwnerState]] = {
    "Progressing": "stepping",
    "Waiting": "stepping",
    "WaitingPromotion": "stepping",
    "Promoting": "promoting",
    "Finalising": "promoting",
    "Succeeded": "promoted",
    "Failed": "taken back",
}


class _Named(msgspec.Struct, frozen=True):
    name: str | None = None


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    target_ref: _Named = _Named()
    service: _Named = _Named()


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    last_applied_spec: str = ""


class _Canary(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _Spec
    status: _Status | None = None


def owned(item: Json) -> Owned:
    """What a Canary says. Raises ``Refused``: it is not of a Canary's form."""
    canary = read(item, form=_Canary, kind=CANARIES.kind)
    status, apex = canary.status or _Status(), canary.spec.service.name or canary.spec.target_ref.name
    return Owned(
        owner=ObjectName(kind=CANARIES.kind, namespace=canary.metadata.namespace, name=canary.metadata.name),
        state=_STATES.get(status.phase, "idle"),
        baseline=OwnedArm(service=f"{apex}-primary" if apex else ""),
        canary=OwnedArm(service=f"{apex}-canary" if apex else ""),
        attempt=status.last_applied_spec,
    )
