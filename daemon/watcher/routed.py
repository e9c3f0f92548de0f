"""Whether a route tells two Deployments apart: then which of them gets what is the route's to say. Pure."""

from collections.abc import Iterable, Mapping

from daemon.discovery.picture import Destination
from daemon.discovery.updates import Deployment
from daemon.watcher.deployed import Chooser
from daemon.watcher.kept import KeptRoute


def route_between(one: Deployment, other: Deployment, *, routes: Iterable[KeptRoute], services: Mapping[str, Chooser]) -> str:
    """The first route with a destination that is one of two Deployments of a namespace and not the other; empty: there is none.

    ``services``: those of the namespace.
    """
    for route in routes:
        there = (use.to for use in route.uses if use.to.namespace == one.namespace)
        if any(_divides(to, one, other, services) for to in there):
            return str(route.key)
    return ""


def _divides(to: Destination, one: Deployment, other: Deployment, services: Mapping[str, Chooser]) -> bool:
    """A subset whose labels are not known may be either."""
    chooser = services.get(to.service)
    if chooser is None:
        return False
    chosen = [chooser.chooses(each.labels) and _carries(each, to.labels or {}) for each in (one, other)]
    return chosen[0] != chosen[1] or (to.labels is None and all(chosen))


def _carries(of: Deployment, labels: Mapping[str, str]) -> bool:
    return all(of.labels.get(key) == value for key, value in labels.items())
