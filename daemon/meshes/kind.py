"""What a kind of mesh is to the rest of the house: one row, which the mesh's own folder gives.

Nothing outside that folder knows a mesh by name. From the rows come the settings that a person may write, the rights on the
API server, the schemas that telemetry may speak and the tables of the documents (``daemon.meshes.registry`` finds them).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from config.settings import KubeMesh, Mesh
from daemon.discovery.picture import Picture
from daemon.errors import VerdictdError
from daemon.kube.resources import Json, Resource
from daemon.kube.rights import Right
from daemon.ports.routing import RouteFollower, TrafficRouter
from daemon.telemetry.schema import Schema
from daemon.telemetry.signs import ArmSigns, ControlPlane

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient


Mend = Literal["ages", "denials", "buckets"]
"""What telemetry may not tell: since when pods run, what policy denied, latencies as fine as a tolerance."""


class Router(TrafficRouter, Protocol):
    """A router with connections of its own: close it in the event loop that it was used in."""

    async def close(self) -> None:
        """Close the connections; the Kubernetes client is not among them."""
        ...


@runtime_checkable
class FollowingRouter(Router, RouteFollower, Protocol):
    """A router that says weights as well."""


@runtime_checkable
class ExaminedRouter(Protocol):
    """A router that can say, before there is a release, whether it could do anything."""

    async def examine(self) -> str:
        """What it would change, and where it would see that take effect, in words. Raises ``VerdictdError``: it could not."""
        ...


class MakeRouter(Protocol):
    """Makes the router of one configured mesh. What it imports it imports then: settings are checked without any of it."""

    def __call__(self, settings: Any, /, *, kube: "KubeClient", name: str) -> Router:
        """``settings`` is an instance of the row's struct, ``name`` its name under ``meshes``.

        Raises:
            InvalidInput: a setting cannot be honoured; its path begins with ``meshes.<name>``.
        """
        ...


class MakePicture(Protocol):
    """Makes of one route object what discovery looks at. Pure. What it imports it imports then, as ``MakeRouter`` does."""

    def __call__(
        self, settings: Any, /, *, kind: Resource, item: Json, beside: Mapping[Resource, Sequence[Json] | VerdictdError]
    ) -> Picture:
        """``settings`` as for ``MakeRouter``; ``beside``: all objects of the kinds that ``Pictured`` wants, or why not.

        Raises:
            Refused: the object is not of its kind's form.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictured:
    """How a mesh's routes are read by discovery.

    Attributes:
        routes: the kinds of objects that are routes.
        beside: the kinds that say what is meant in them.
        picture: reads one of them.
    """

    routes: tuple[Resource, ...]
    beside: tuple[Resource, ...] = ()
    picture: MakePicture


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshKind:
    """One kind of mesh.

    Attributes:
        settings: what a person writes of it, a struct whose tag is the kind's name.
        router: makes a router from such settings; null: its releases are observed only, and refused where a policy enforces.
        telemetry: how its proxies' counters are named; sources of telemetry refer to it by its name.
        rights: on the API server; none: the mesh is steered without one. With some, its settings are those of a ``KubeMesh``.
        connections: that a router holds open at a time, beside those to the API server.
        routes: the routes that can send traffic to the canary, for the documents.
        arms: by what an arm is known, for the documents.
        proven: the servers that it is tested on, for the documents.
        from_proxies: what of its telemetry the tests read from real proxies, for the documents; empty: nothing.
        from_records: what of it they read in the form that real proxies wrote elsewhere, for the documents; empty: nothing.
        build: the series by which its control plane says which version it is, as a selector; empty: there is none.
        control_plane: by which series of its own it is known to work; null: by none.
        arm_signs: what may stand between an arm and those who ask it; null: nothing that is known.
        mends: what to do in the mesh so that its telemetry tells more, by what is missing.
        pictured: how discovery reads its routes; null: its releases must be announced with their arms.
        notes: what a person must know of its telemetry, a sentence or two each, for the documents.
    """

    settings: type[Mesh]
    router: MakeRouter | None = None
    telemetry: Schema
    rights: tuple[Right, ...] = ()
    connections: int = 0
    routes: str = ""
    arms: str
    proven: str
    from_proxies: str = ""
    from_records: str = ""
    build: str = ""
    control_plane: ControlPlane | None = None
    arm_signs: ArmSigns | None = None
    mends: Mapping[Mend, str] = field(default_factory=dict)
    pictured: Pictured | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no settings could name, what could not make a router, or a mesh that could not be told its cluster."""
        _check(self.settings, self.router, self.telemetry)
        if self.rights and not issubclass(self.settings, KubeMesh):
            raise TypeError(f"{self.settings.__name__} is no KubeMesh, and has rights on an API server")
        if (self.router is None) is bool(self.routes):
            raise TypeError(f"{self.settings.__name__} must have a router and the words for its routes, or neither")

    @property
    def name(self) -> str:
        """As it stands under ``kind`` in the settings."""
        return str(self.settings.__struct_config__.tag)

    @property
    def needs_kubernetes(self) -> bool:
        """Whether its router talks to the API server."""
        return bool(self.rights)


def _check(settings: object, router: object, telemetry: object) -> None:
    """What is said of the types, at run time too: a package need not have been type-checked."""
    if not isinstance(settings, type) or not issubclass(settings, Mesh):
        raise TypeError("the settings of a mesh are a Mesh")
    tag = settings.__struct_config__
    if tag.tag_field != "kind" or not isinstance(tag.tag, str):
        raise TypeError(f"{settings.__name__} has no tag of text under kind")
    if not (router is None or callable(router)) or not isinstance(telemetry, Schema):
        raise TypeError(f"{tag.tag} has no router that can be called, or no Schema of its telemetry")
