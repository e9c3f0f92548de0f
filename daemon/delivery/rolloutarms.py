"""Which arms a Rollout of Argo Rollouts says there are, and how far it is with them. Pure.

Both arms are ReplicaSets of one object, so that what tells their pods apart is the hash of their template, also before the Rollout
has put it into its Services.
"""

from typing import Final

import msgspec

from daemon.delivery.claimed import Metadata
from daemon.discovery.forms import read
from daemon.discovery.owned import Owned, OwnedArm, OwnerState
from daemon.kube.resources import ROLLOUTS, Json
from daemon.placement import ObjectName

HASH_LABEL: Final = "rollouts-pod-template-hash"


class _Subsets(msgspec.Struct, frozen=True, rename="camel"):
    canary_subset_name: str = ""
    stable_subset_name: str = ""


class _Named(msgspec.Struct, frozen=True):
    name: str = ""


class _Istio(msgspec.Struct, frozen=True, rename="camel"):
    destination_rule: _Subsets | None = None
    virtual_service: _Named | None = None
    virtual_services: list[_Named] | None = None


class _Routing(msgspec.Struct, frozen=True):
    istio: _Istio | None = None


class _PingPong(msgspec.Struct, frozen=True, rename="camel"):
    ping_service: str = ""
    pong_service: str = ""


class _Canary(msgspec.Struct, frozen=True, rename="camel"):
    canary_service: str = ""
    stable_service: str = ""
    ping_pong: _PingPong | None = None
    traffic_routing: _Routing | None = None


class _BlueGreen(msgspec.Struct, frozen=True, rename="camel"):
    active_service: str = ""
    preview_service: str = ""


class _Strategy(msgspec.Struct, frozen=True, rename="camel"):
    canary: _Canary | None = None
    blue_green: _BlueGreen | None = None


class _Spec(msgspec.Struct, frozen=True):
    strategy: _Strategy = _Strategy()


class _CanaryStatus(msgspec.Struct, frozen=True, rename="camel"):
    stable_ping_pong: str = ""


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    abort: bool = False
    current_pod_hash: str = ""
    stable: str = msgspec.field(name="stableRS", default="")
    canary: _CanaryStatus | None = None


class _Rollout(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _Spec
    status: _Status | None = None


def owned(item: Json) -> Owned:
    """What a Rollout says. Raises ``Refused``: it is not of a Rollout's form."""
    rollout = read(item, form=_Rollout, kind=ROLLOUTS.kind)
    status, canary = rollout.status or _Status(), rollout.spec.strategy.canary or _Canary()
    istio = canary.traffic_routing.istio if canary.traffic_routing is not None else None
    subsets = istio.destination_rule if istio is not None and istio.destination_rule is not None else _Subsets()
    stable, new = _services(rollout, status)
    return Owned(
        owner=ObjectName(kind=ROLLOUTS.kind, namespace=rollout.metadata.namespace, name=rollout.metadata.name),
        state=_state(status),
        baseline=OwnedArm(service=stable, subset=subsets.stable_subset_name, labels=_hash(status.stable)),
        canary=OwnedArm(service=new, subset=subsets.canary_subset_name, labels=_hash(status.current_pod_hash)),
        attempt=status.current_pod_hash,
        routes=_routes(istio),
    )


def _state(status: _Status) -> OwnerState:
    if not status.stable or not status.current_pod_hash:
        return "idle"
    if status.stable == status.current_pod_hash:
        return "promoted"
    return "taken back" if status.abort else "stepping"


def _services(rollout: _Rollout, status: _Status) -> tuple[str, str]:
    """The Services of what has served so far and of what is new; of ping and pong the status says which is which."""
    strategy = rollout.spec.strategy
    if strategy.blue_green is not None:
        return strategy.blue_green.active_service, strategy.blue_green.preview_service
    canary = strategy.canary or _Canary()
    if canary.ping_pong is None:
        return canary.stable_service, canary.canary_service
    both = (canary.ping_pong.ping_service, canary.ping_pong.pong_service)
    match status.canary.stable_ping_pong if status.canary is not None else "":
        case "ping":
            return both
        case "pong":
            return both[1], both[0]
        case _:
            return "", ""


def _hash(value: str) -> dict[str, str]:
    return {HASH_LABEL: value} if value else {}


def _routes(istio: _Istio | None) -> tuple[str, ...]:
    """Names of its VirtualServices, which may be written with their namespace."""
    if istio is None:
        return ()
    named = [*([istio.virtual_service] if istio.virtual_service is not None else []), *(istio.virtual_services or [])]
    return tuple(dict.fromkeys(name for one in named for name in (one.name, one.name.partition(".")[0])))
