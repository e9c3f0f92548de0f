"""What a kind of owner is to the rest of the house: one row, which the owner's own module gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from daemon.discovery.owned import Owned
from daemon.kube.resources import Json, Resource
from daemon.kube.rights import Right
from daemon.ports.routing import Owner

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient


class MakeOwner(Protocol):
    """Makes what asks and tells the owner in one cluster."""

    def __call__(self, kube: "KubeClient", /) -> Owner:
        """``kube`` is the cluster's client; it need not be connected yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Owning:
    """How discovery reads an owner's objects.

    Attributes:
        resource: their kind.
        read: the arms that one says. Raises ``Refused``: it is not of its kind's form.
    """

    resource: Resource
    read: Callable[[Json], Owned]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerKind:
    """One kind of owner.

    Attributes:
        name: unique, for people.
        owner: makes one for a cluster.
        rights: on the API server, to ask and to tell it.
        owning: how discovery reads its objects, on which a verdict is told too; null: they do not say which arms there are.
    """

    name: str
    owner: MakeOwner
    rights: tuple[Right, ...] = ()
    owning: Owning | None = None

    def __post_init__(self) -> None:
        """Refuse what has no name, or makes nothing."""
        name: object = self.name
        if not isinstance(name, str) or not name or not callable(self.owner):
            raise TypeError(f"an owner of the kind {self.name!r} has no name, or nothing that makes it")
