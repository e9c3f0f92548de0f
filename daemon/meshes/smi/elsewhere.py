"""What may still send to the canary by splits though they do not name it. Pure.

A split's root Service may be a backend of its own, and is where all goes that no HTTPRouteGroup matches: it mostly chooses the pods
of every version. So it is pods that decide. It is named, and not touched.
"""

from collections.abc import Iterable, Iterator

from daemon.meshes.gatewayapi.elsewhere import chooses_among_others
from daemon.meshes.gatewayapi.services import ServiceName, ServicePair, Services
from daemon.meshes.smi.splits import Split


def elsewhere(splits: Iterable[Split], *, arms: ServicePair, released: ServiceName, services: Services) -> tuple[str, ...]:
    """Each place, with what is named there. See ``daemon.meshes.gatewayapi.elsewhere.elsewhere``."""
    found = (f"{split.object} {said}" for split in splits for said in _in_split(split, arms, released, services))
    return tuple(dict.fromkeys(found))


def _in_split(split: Split, arms: ServicePair, released: ServiceName, services: Services) -> Iterator[str]:
    own = {arms.baseline, arms.canary, released, *arms.aliases}
    ours = split.root in own or any(one.service in own for one in split.backends)
    for one in split.backends:
        if one.weight == 0:
            continue
        if one.service is None:
            if ours:
                yield f"({one.name}, which is no Service of the cluster)"
        elif chooses_among_others(one.service, arms=arms, services=services):
            yield f"(Service {one.service}, which chooses pods of the canary's among others)"
    if ours and split.matched and split.root is not None and chooses_among_others(split.root, arms=arms, services=services):
        yield f"(what it does not match goes to Service {split.root}, which chooses pods of the canary's among others)"
