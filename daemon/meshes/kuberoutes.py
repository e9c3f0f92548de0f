"""What a mesh whose routes are objects of the API server brings along: a planner for each kind of route, and what tells its arms.

``daemon.meshes.kuberouter`` does with it all that is the same for every such mesh.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from daemon.armpods import PodsByArm
from daemon.kube.resources import Json, Resource
from daemon.meshes.references import Name, Plan
from daemon.model import Release
from daemon.placement import RouteReference

A_contra = TypeVar("A_contra", contravariant=True)
A = TypeVar("A")
T = TypeVar("T")

Objects = Mapping[Resource, Sequence[Json]]
"""The routes of a cluster that may be read, by their kind; a kind without any may be left out."""

ReadObjects = Callable[[], Awaitable[Objects]]
"""Gives them as they are now: a listing of the cluster."""


class Routes(Protocol[A_contra]):
    """One kind of route object. Pure. ``A`` is how its mesh names the two arms of a release."""

    @property
    def resource(self) -> Resource:
        """The kind."""
        ...

    def references(self, item: Json, *, arms: A_contra) -> tuple[RouteReference, ...]:
        """Every place of the object that names the canary, those with a weight of 0 included."""
        ...

    def revert(self, item: Json, *, arms: A_contra) -> Plan:
        """All that goes to the canary goes to the baseline; every other route and field stays as it is.

        The plan begins by replacing the resourceVersion by the one that was read, which the API server answers with 409 when the
        object has changed since, and tests what it relies on.

        Raises:
            Refused: the object is not one that can be written back.
        """
        ...

    def delegates(self, item: Json) -> tuple[Name, ...]:
        """Other objects of the kind that this one hands requests on to."""
        ...

    def meant(self, items: Sequence[Json], *, arms: A_contra) -> str:
        """After "no route names the canary": what is written in these that may be meant, beginning with ``; ``; or nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind(Generic[A]):
    """Who would serve, for people; the arms with all that was learnt of them; and the fields of the same names of ``Placement``.

    ``arms`` is null where nothing was learnt beyond the survey's.
    """

    account: str
    arms: A | None = None
    located: str = ""
    pods: PodsByArm | None = None
    elsewhere: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


class Survey(Protocol[A]):
    """The arms of a release, and what was read to tell them."""

    @property
    def arms(self) -> A:
        """As the mesh's routes name them."""
        ...

    async def behind(self) -> Behind[A]:
        """Who stands behind them.

        Raises:
            NotFound: surely nobody stands behind the baseline.
            InvalidInput: both arms are the same pods.
        """
        ...


class Arms(Protocol[A]):
    """What tells the arms of a release, and who stands behind them, from what the cluster says now."""

    def canary(self, arms: A) -> str:
        """The canary, for people."""
        ...

    async def survey(self, release: Release, *, objects: Objects) -> Survey[A]:
        """The arms, before a watch begins. Raises ``NotFound`` or ``InvalidInput`` when they cannot be told."""
        ...

    def as_located(self, release: Release, *, located: str) -> A | None:
        """The arms as they were when located, without asking anybody; null where that is not known."""
        ...

    async def now(self, release: Release, *, located: str, objects: ReadObjects) -> A:
        """The arms during a revert, which must not be held up: where nothing tells them in time, as they were when located.

        Raises as ``survey``; also why something could not be read, where it is not known what the arms were.
        """
        ...

    async def check_baseline(self, release: Release, *, located: str, objects: ReadObjects) -> str:
        """See ``TrafficRouter.check_baseline``."""
        ...


def encode(located: object) -> str:
    """``Placement.located`` of a mesh's own struct: as JSON, the same for the same."""
    return msgspec.json.encode(located, order="deterministic").decode()


def decode(located: str, *, kind: type[T]) -> T | None:
    """The other way round; null where nothing was located, or another version has written it in other words."""
    try:
        return msgspec.json.decode(located, type=kind)
    except msgspec.MsgspecError:
        return None
