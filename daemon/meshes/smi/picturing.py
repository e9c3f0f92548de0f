"""A TrafficSplit and a ServiceProfile as discovery looks at them: which Services get what part of the requests for one. Pure."""

from daemon.discovery.picture import Condition, Destination, Entry, Picture, Share, percentages
from daemon.meshes.smi.splits import Backend, Split


def picture(split: Split) -> Picture:
    """What the object sends where. A split for some requests only is a way in of its own, whatever picks them out."""
    parts = percentages([one.weight or 0 for one in split.backends])
    odd = next((one for one in split.backends if one.weight is None), None)
    entry = Entry(
        place="backends",
        conditions=frozenset({Condition(of="other", value="matches")}) if split.matched else frozenset(),
        shares=tuple(Share(to=_destination(one), percent=part) for one, part in zip(split.backends, parts, strict=True)),
        unclear="" if odd is None else f"the weight of {odd.name} is {odd.raw.get('weight')!r}, which is none",
    )
    return Picture(
        route=split.object,
        hosts=() if split.root is None else (str(split.root),),
        entries=(entry,) if split.backends else (),
    )


def _destination(backend: Backend) -> Destination:
    """A Service of the cluster; of anything else no pods are known."""
    if backend.service is None:
        return Destination(host=backend.name)
    return Destination(namespace=backend.service.namespace, host=str(backend.service), service=backend.service.name)
