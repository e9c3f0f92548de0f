"""The Services that a release of Open Service Mesh names, as such or as Envoy's clusters, as its telemetry may. Pure.

A cluster's name is ``shop/web-v2|8080``: namespace, Service and port.
"""

import re

from msgspec import structs

from daemon.meshes.gatewayapi import arms as naming
from daemon.meshes.gatewayapi.services import ServicePair
from daemon.model import ArmSpec, Release

_CLUSTER = re.compile(r"(?P<namespace>[^/|]+)/(?P<name>[^/|]+)(?:\|\d+)?")


def named(release: Release) -> ServicePair:
    """See ``daemon.meshes.gatewayapi.arms.named``."""
    arms = {"baseline": _as_dns_has_it(release.baseline), "canary": _as_dns_has_it(release.canary)}
    return naming.named(structs.replace(release, **arms))


def _as_dns_has_it(arm: ArmSpec) -> ArmSpec:
    cluster = _CLUSTER.fullmatch(arm.service or "")
    return arm if cluster is None else structs.replace(arm, service=f"{cluster['name']}.{cluster['namespace']}.svc")
