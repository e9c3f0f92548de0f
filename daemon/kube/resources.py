"""The kinds of objects we read and write, and the paths where the API server keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import msgspec

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of object.

    Attributes:
        group: empty: the core group.
        version: in which it is read and written.
        plural: as it stands in paths.
        kind: what people and the objects themselves call it.
        earlier: versions that serve as well where the API server has not this one, the best first.
        optional: whether a cluster may do without it.
        form: the types of what is read of an object (``daemon.kube.forms``); null: no more is known of it than of any.
        only_version: whether an object is not to be written in another version than this one, though the kind has others.
        subresource: the part of an object that is written on its own, with rights of its own, as ``status``; empty: the object.
    """

    group: str
    version: str
    plural: str
    kind: str
    earlier: tuple[str, ...] = ()
    optional: bool = False
    subresource: str = ""
    only_version: bool = False
    form: type[msgspec.Struct] | None = None

    @property
    def in_earlier_versions(self) -> tuple["Resource", ...]:
        """The kind in each of its earlier versions, and in no other."""
        return tuple(replace(self, version=version, earlier=(), only_version=True) for version in self.earlier)

    def path(self, *, namespace: str | None = None, name: str | None = None) -> str:
        """The path of one object, of a namespace's, or of all; names are quoted, whatever they hold."""
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = "" if namespace is None else f"/namespaces/{_segment(namespace)}"
        part = f"/{self.subresource}" if self.subresource else ""
        return f"{base}{scope}/{self.plural}" + ("" if name is None else f"/{_segment(name)}{part}")

    @property
    def ruled(self) -> str:
        """As it stands in the rules of a role: ``rollouts/status``."""
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural

    def __str__(self) -> str:
        """``virtualservices.networking.istio.io``, or ``rollouts.argoproj.io/status``."""
        name = f"{self.plural}.{self.group}" if self.group else self.plural
        return f"{name}/{self.subresource}" if self.subresource else name


SERVICES = Resource(group="", version="v1", plural="services", kind="Service")
PODS = Resource(group="", version="v1", plural="pods", kind="Pod")
EVENTS = Resource(group="events.k8s.io", version="v1", plural="events", kind="Event")
ROLLOUTS = Resource(group="argoproj.io", version="v1alpha1", plural="rollouts", kind="Rollout", optional=True)
"""Of Argo Rollouts, in a Deployment's stead."""
WORKLOADS = (
    Resource(group="apps", version="v1", plural="deployments", kind="Deployment"),
    Resource(group="apps", version="v1", plural="statefulsets", kind="StatefulSet"),
    Resource(group="apps", version="v1", plural="daemonsets", kind="DaemonSet"),
)
REPLICA_SETS = Resource(group="apps", version="v1", plural="replicasets", kind="ReplicaSet")
ENDPOINT_SLICES = Resource(group="discovery.k8s.io", version="v1", plural="endpointslices", kind="EndpointSlice")


def metadata_of(item: Json) -> Json:
    """An object's metadata; nothing, where there is none."""
    metadata = item.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def selector_of_either(sets: Sequence[Mapping[str, str]]) -> str:
    """A label selector that all objects with one of these sets of labels fit, and few others: the keys that all sets have."""
    common = set.intersection(*(set(labels) for labels in sets)) if sets else set()
    values = {key: sorted({labels[key] for labels in sets}) for key in sorted(common)}
    return ",".join(f"{key}={one[0]}" if len(one) == 1 else f"{key} in ({','.join(one)})" for key, one in values.items())


def _segment(name: str) -> str:
    """One segment of a path: a name of ``.`` or ``..`` would walk, and quoting leaves dots alone."""
    quoted = quote(name, safe="")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted
