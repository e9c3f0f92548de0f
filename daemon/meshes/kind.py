"""What a kind of mesh is to the rest of the house: one row, which the mesh's own folder gives.

Nothing outside that folder knows a mesh by name. From the rows come the settings that a person may write, the rights on the
API server, the schemas that telemetry may speak and the tables of the documents (``daemon.meshes.registry`` finds them).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from config.settings import Mesh
from daemon.kube.resources import Resource
from daemon.ports import TrafficRouter
from daemon.telemetry.schema import Schema

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

Verb = Literal["get", "list", "watch", "patch"]
Scope = Literal["everywhere", "watched", "enforced"]
"""Any namespace, to find routes; those where releases are watched; those where traffic may be taken back."""


class Router(TrafficRouter, Protocol):
    """A router with connections of its own: close it in the event loop that it was used in."""

    async def close(self) -> None:
        """Close the connections; the Kubernetes client is not among them."""
        ...


class MakeRouter(Protocol):
    """Makes the router of one configured mesh. What it imports it imports then: settings are checked without any of it."""

    def __call__(self, settings: Any, /, *, kube: "KubeClient", name: str) -> Router:
        """``settings`` is an instance of the row's struct, ``name`` its name under ``meshes``.

        Raises:
            InvalidInput: a setting cannot be honoured; its path begins with ``meshes.<name>``.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What may be done to objects of the API server.

    Attributes:
        verbs: what is done.
        resources: to which kinds of objects.
        scopes: where; only ``enforced`` may change anything, and does nothing else.
        purpose: what for, in the words of the documents.
    """

    verbs: tuple[Verb, ...]
    resources: tuple[Resource, ...]
    scopes: tuple[Scope, ...]
    purpose: str

    def __post_init__(self) -> None:
        """Refuse a right to change something that is not said to be one."""
        if ("patch" in self.verbs) != ("enforced" in self.scopes):
            raise ValueError(f"{', '.join(self.verbs)} in {', '.join(self.scopes)}: patch goes with enforced, and only with it")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshKind:
    """One kind of mesh.

    Attributes:
        settings: what a person writes of it, a struct whose tag is the kind's name.
        router: makes a router from such settings.
        telemetry: how its proxies' counters are named; sources of telemetry refer to it by its name.
        rights: on the API server; none: the mesh is steered without one.
        connections: that a router holds open at a time, beside those to the API server.
        routes: the routes that can send traffic to the canary, for the documents.
        arms: by what an arm is known, for the documents.
        proven: the servers that it is tested on, for the documents.
    """

    settings: type[Mesh]
    router: MakeRouter
    telemetry: Schema
    rights: tuple[Right, ...] = ()
    connections: int = 0
    routes: str
    arms: str
    proven: str

    @property
    def name(self) -> str:
        """As it stands under ``kind`` in the settings."""
        return str(self.settings.__struct_config__.tag)

    @property
    def needs_kubernetes(self) -> bool:
        """Whether its router talks to the API server."""
        return bool(self.rights)
