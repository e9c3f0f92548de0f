"""Who may own routes in a cluster: a row for each kind. A package can bring one.

An entry point of the group ``verdictd.owners`` names an ``OwnerKind``. Every kind that is there is asked in every cluster of a
mesh; how its answer counts is told in ``daemon.engine.handover``.
"""

import functools
from typing import TYPE_CHECKING

from daemon.delivery.argorollouts import ARGO_ROLLOUTS
from daemon.delivery.flagger import FLAGGER
from daemon.delivery.ownerkind import OwnerKind
from daemon.errors import Defect
from daemon.kube.resources import Resource
from daemon.packages import Rows, defects_of, with_installed
from daemon.ports.routing import Owner

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

GROUP = "verdictd.owners"

BUILT_IN: tuple[OwnerKind, ...] = (ARGO_ROLLOUTS, FLAGGER)


@functools.cache
def kinds() -> Rows[OwnerKind]:
    """Every kind by its name. Raises ``ConfigError`` when a package that is installed gives no usable one."""
    return with_installed(BUILT_IN, group=GROUP, row=OwnerKind, what="an owner of the kind")


def objects() -> tuple[Resource, ...]:
    """The kinds of objects by which routes are owned. Raises as ``kinds``."""
    return tuple(kind.owning.resource for kind in kinds().values() if kind.owning is not None)


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
