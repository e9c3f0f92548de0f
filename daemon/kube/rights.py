"""What may be done to objects of the API server, as rows say it: from them the roles of the manifest and the documents are made."""

from dataclasses import dataclass
from typing import Literal

from daemon.kube.resources import EVENTS, PODS, ROLLOUTS, WORKLOADS, Resource

Verb = Literal["get", "list", "watch", "patch", "create"]
Scope = Literal["everywhere", "watched", "enforced"]
"""Any namespace, to find routes; those where releases are watched; those where traffic may be taken back."""


def rule(verb: Verb, resource: Resource) -> str:
    """What allows it, as it stands under ``rules`` of a Role."""
    return f'{{apiGroups: ["{resource.group}"], resources: [{resource.ruled}], verbs: [{verb}]}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What may be done to objects of the API server.

    Attributes:
        verbs: what is done.
        resources: to which kinds of objects.
        scopes: where; only ``enforced`` may change anything that is there, and does nothing else.
        purpose: what for, in the words of the documents.
        without: what comes of it when it is missing, where the daemon works nevertheless.
        sidecars: where telemetry is read from the arms' pods and from nowhere else, it does not.
    """

    verbs: tuple[Verb, ...]
    resources: tuple[Resource, ...]
    scopes: tuple[Scope, ...]
    purpose: str
    without: str = ""
    sidecars: bool = False

    def __post_init__(self) -> None:
        """Refuse a right to change something that is not said to be one."""
        if ("patch" in self.verbs) != ("enforced" in self.scopes):
            raise ValueError(f"{', '.join(self.verbs)} in {', '.join(self.scopes)}: patch goes with enforced, and only with it")


WATCHING_PODS = Right(
    verbs=("watch",),
    resources=(PODS,),
    scopes=("watched",),
    purpose="know how the arms' pods are as they come and go, and read their sidecars (telemetry of the kind sidecars)",
    without="whether pods crash or are ready is not known, and what stands in for sidecars is read in their place",
    sidecars=True,
)


TELLING = (
    Right(
        verbs=("create",),
        resources=(EVENTS,),
        scopes=("watched",),
        purpose="tell the verdict by an Event on the canary's workload and its routes",
        without="the verdict is told by no Event",
    ),
    Right(
        verbs=("get",),
        resources=(*WORKLOADS, ROLLOUTS),
        scopes=("watched",),
        purpose="know the canary's workload, on which the verdict is told by an Event, and what of Git's applies it",
        without="the verdict is told by no Event on the canary's workload, and its revision is that of its routes",
    ),
)
"""To tell it where people look who know nothing of verdictd (``kubernetes_events``)."""


def finding(*routes: Resource) -> Right:
    """To find the routes of a mesh, wherever they are."""
    purpose = "find every route that names the canary"
    return Right(verbs=("get", "list"), resources=routes, scopes=("everywhere", "watched"), purpose=purpose)


def following(*routes: Resource) -> Right:
    """To hear of it when a route changes."""
    return Right(
        verbs=("watch",),
        resources=routes,
        scopes=("everywhere",),
        purpose="know the canary's weight as soon as it is changed",
        without="a change of the canary's weight is known up to 2 s later",
    )


def taking_back(*routes: Resource) -> Right:
    """To change routes, which is all that is ever changed."""
    return Right(verbs=("patch",), resources=routes, scopes=("enforced",), purpose="take the traffic back")
