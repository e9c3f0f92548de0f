"""The kinds of objects by which Linkerd's traffic is steered, and which of its HTTPRoutes are for traffic at all.

HTTPRoutes are of two groups, in the same words: the Gateway API's, and one of Linkerd's own, which it had before. A route that is
attached to a Server says who may call it, and sends nobody anywhere.
"""

from dataclasses import replace

from daemon.kube.resources import Json, Resource
from daemon.meshes.gatewayapi.forms import Route
from daemon.meshes.gatewayapi.mesh import ROUTES
from daemon.meshes.linkerd.serviceprofile import SERVICE_PROFILES
from daemon.meshes.smi.trafficsplit import TRAFFIC_SPLITS

POLICY_ROUTES = Resource(
    group="policy.linkerd.io",
    version="v1beta3",
    plural="httproutes",
    kind="HTTPRoute",
    earlier=("v1beta2",),
    optional=True,
    form=Route,
)
"""Versions before these have no weights, and steer nothing."""
HTTP_LIKE = (*(replace(one, optional=True) for one in ROUTES), POLICY_ROUTES)
SPLITS = replace(TRAFFIC_SPLITS, optional=True)
STEERING = (*HTTP_LIKE, SERVICE_PROFILES, SPLITS)


def is_authorization(route: Json) -> bool:
    """Whether the route is attached to Servers alone."""
    spec = route.get("spec")
    listed = spec.get("parentRefs") if isinstance(spec, dict) else None
    kinds = {one.get("kind") for one in listed if isinstance(one, dict)} if isinstance(listed, list) else set()
    return kinds == {"Server"}
