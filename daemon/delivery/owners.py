"""Who may own routes in a cluster: a row for each kind. None is built in so far; a package can bring one.

An entry point of the group ``verdictd.owners`` names an ``OwnerKind``. Every kind that is there is asked in every cluster of a
mesh; how its answer counts is told in ``daemon.engine.handover``.
"""

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from daemon.errors import Defect
from daemon.kube.rights import Right
from daemon.packages import Rows, defects_of, with_installed
from daemon.ports.routing import Owner

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

GROUP = "verdictd.owners"


class MakeOwner(Protocol):
    """Makes what asks and tells the owner in one cluster."""

    def __call__(self, kube: "KubeClient", /) -> Owner:
        """``kube`` is the cluster's client; it need not be connected yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerKind:
    """One kind of owner.

    Attributes:
        name: unique, for people.
        owner: makes one for a cluster.
        rights: on the API server, to ask and to tell it.
    """

    name: str
    owner: MakeOwner
    rights: tuple[Right, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what has no name, or makes nothing."""
        name: object = self.name
        if not isinstance(name, str) or not name or not callable(self.owner):
            raise TypeError(f"an owner of the kind {self.name!r} has no name, or nothing that makes it")


BUILT_IN: tuple[OwnerKind, ...] = ()


@functools.cache
def kinds() -> Rows[OwnerKind]:
    """Every kind by its name. Raises ``ConfigError`` when a package that is installed gives no usable one."""
    return with_installed(BUILT_IN, group=GROUP, row=OwnerKind, what="an owner of the kind")


def owners_in(kube: "KubeClient") -> tuple[Owner, ...]:
    """One of each kind, for one cluster. Raises ``Defect`` where a package cannot make its own."""
    return tuple(_made(kind, kube) for kind in kinds().values())


def _made(kind: OwnerKind, kube: "KubeClient") -> Owner:
    whose = f"the owner {kind.name} of the package {kinds().package(kind.name)}"
    with defects_of(whose):
        owner = kind.owner(kube)
        if owner.name != kind.name:  # answers are told apart by it
            raise Defect(f"a defect of {whose}: it calls itself {owner.name!r}")
    return owner
