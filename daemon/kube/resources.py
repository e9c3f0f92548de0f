"""The kinds of objects we read and write, and the paths where the API server keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of object. An empty group is the core group."""

    group: str
    version: str
    plural: str

    def path(self, *, namespace: str | None = None, name: str | None = None) -> str:
        """The path of one object, of a namespace's, or of all; names are quoted, whatever they hold."""
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = "" if namespace is None else f"/namespaces/{_segment(namespace)}"
        return f"{base}{scope}/{self.plural}" + ("" if name is None else f"/{_segment(name)}")

    def __str__(self) -> str:
        """``virtualservices.networking.istio.io``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


SERVICES = Resource(group="", version="v1", plural="services")
PODS = Resource(group="", version="v1", plural="pods")
ENDPOINT_SLICES = Resource(group="discovery.k8s.io", version="v1", plural="endpointslices")
VIRTUAL_SERVICES = Resource(group="networking.istio.io", version="v1", plural="virtualservices")
DESTINATION_RULES = Resource(group="networking.istio.io", version="v1", plural="destinationrules")


def selector(labels: Mapping[str, str]) -> str:
    """A label selector that asks for all of these."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _segment(name: str) -> str:
    """One segment of a path: a name of ``.`` or ``..`` would walk, and quoting leaves dots alone."""
    quoted = quote(name, safe="")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted
