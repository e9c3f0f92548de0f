"""Flagger: whose Canary steps a release's weights, and how it is told to give the canary up.

It looks at a canary's weight of 0 as at an analysis that has not begun, and begins it anew at its next tick. So it is told first,
in its own terms: as many failed checks as its analysis takes. At its next tick it ends the canary as failed by itself; what is
written to the route until then stays, as long as it is nothing but weights.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from config.values import duration_seconds
from daemon.delivery.claimed import ByNamespace, Metadata, foremost, names_any, read, readable, services_of, unchanged
from daemon.delivery.ownerkind import OwnerKind, Owning
from daemon.discovery.owned import Owned
from daemon.errors import Refused
from daemon.kube.resources import Json, Resource
from daemon.kube.rights import Right
from daemon.model import Release
from daemon.placement import ObjectName
from daemon.ports.routing import Claim, Owner

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

NAME: Final = "Flagger"
CANARIES = Resource(group="flagger.app", version="v1beta1", plural="canaries", kind="Canary", optional=True)
CANARIES_STATUS = replace(CANARIES, subresource="status")

_FAILED: Final = "Failed"
_FAILS_BY_CHECKS: Final = {"Progressing", "WaitingPromotion"}
"""Phases in which failed checks are counted and acted upon."""
_PROMOTED: Final = {"Promoting", "Finalising", "Succeeded"}

_TICK_SECONDS: Final = 60.0
_SHORTEST_TICK_SECONDS: Final = 10.0
_LATE_SECONDS: Final = 5.0
"""A tick takes as long as its own queries and hooks."""


class _Analysis(msgspec.Struct, frozen=True):
    interval: str = ""
    threshold: int = 0


class _Named(msgspec.Struct, frozen=True):
    name: str = ""


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    target_ref: _Named = _Named()
    service: _Named = _Named()
    analysis: _Analysis | None = None
    canary_analysis: _Analysis | None = None
    skip_analysis: bool = False
    suspend: bool = False


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    failed_checks: int = 0


class _Canary(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()

    @property
    def analysis(self) -> _Analysis | None:
        """Null: the canary is promoted without any."""
        return None if self.spec.skip_analysis else self.spec.analysis or self.spec.canary_analysis

    @property
    def services(self) -> tuple[str, ...]:
        """The Service that it tends, and the two that it makes of it for the versions."""
        apex = self.spec.service.name or self.spec.target_ref.name
        return (apex, f"{apex}-primary", f"{apex}-canary") if apex else ()

    @property
    def threshold(self) -> int:
        """The failed checks at which it ends the canary."""
        return max(1, self.analysis.threshold if self.analysis is not None else 0)

    @property
    def tick_seconds(self) -> float:
        """How often it looks, at the longest."""
        written = duration_seconds(self.analysis.interval) if self.analysis is not None else None
        return max(_SHORTEST_TICK_SECONDS, _TICK_SECONDS if written is None else written)

    @property
    def has_given_up(self) -> bool:
        """Whether it has ended the canary as failed, or will at its next tick."""
        ends = self.status.phase in _FAILS_BY_CHECKS and self.analysis is not None
        return self.status.phase == _FAILED or (ends and self.status.failed_checks >= self.threshold)

    @property
    def claim(self) -> Claim:
        """Its word, once it is known to be about the release."""
        return Claim(
            object=ObjectName(kind=CANARIES.kind, namespace=self.metadata.namespace, name=self.metadata.name),
            state="aborted" if self.has_given_up else "active",
            puts_back=not self.spec.suspend,
            reacts_within_seconds=self.tick_seconds + _LATE_SECONDS,
        )


class Flagger:
    """The Canaries of one cluster. Implements ``Owner``."""

    name: Final = NAME

    def __init__(self, kube: "KubeClient") -> None:
        self._kube = kube
        self._canaries = ByNamespace(kube, CANARIES)

    async def claims(self, release: Release) -> Claim | None:
        """See ``Owner.claims``: of several that name the release's objects, one that goes on."""
        services = services_of(release)
        there, unsure = readable(await self._canaries.of(release.namespace), kind=_Canary)
        return foremost([one.claim for one in there if names_any(services, *one.services)], unsure=unsure)

    async def abort(self, release: Release, claim: Claim) -> str:
        """See ``Owner.abort``. Raises ``Refused`` where checks do not count: the canary is promoted already, or without any."""
        del release
        at = {"namespace": claim.object.namespace, "name": claim.object.name}
        canary = read(await self._kube.get(CANARIES, **at), kind=_Canary)
        phase = canary.status.phase
        if canary.has_given_up:
            return "it has failed already"
        if phase in _PROMOTED:
            raise Refused(
                f"it has promoted the canary ({phase}): its primary is that version, or becomes it; deploy the one before"
            )
        if phase not in _FAILS_BY_CHECKS:
            return f"it gives the canary nothing yet ({phase or 'no phase'})"
        if canary.analysis is None:
            raise Refused("its analysis is skipped, so it promotes the canary whatever is found: set spec.skipAnalysis to false")
        await self._kube.patch(CANARIES_STATUS, operations=_failing(canary), **at)
        return (
            f"status.failedChecks is {canary.threshold}, and it ends the canary at its next tick, within {canary.tick_seconds:g} s"
        )


def _failing(canary: _Canary) -> tuple[Json, ...]:
    """What is written to the status, in the phase in which it was read."""
    return (unchanged(canary.metadata), {"op": "add", "path": "/status/failedChecks", "value": canary.threshold})


def _owned(item: Json) -> Owned:
    from daemon.delivery.flaggerarms import owned

    return owned(item)


def _owner(kube: "KubeClient", /) -> Owner:
    return Flagger(kube)


FLAGGER = OwnerKind(
    name=NAME,
    owner=_owner,
    owning=Owning(resource=CANARIES, read=_owned),
    rights=(
        Right(
            verbs=("get", "list"),
            resources=(CANARIES,),
            scopes=("watched",),
            purpose="whether a Canary of Flagger steps the weights",
            without="whether Flagger owns the routes is not known, and what it undoes is only put back again",
        ),
        Right(
            verbs=("patch",),
            resources=(CANARIES_STATUS,),
            scopes=("enforced",),
            purpose="have Flagger give the canary up (`status.failedChecks`)",
        ),
    ),
)
