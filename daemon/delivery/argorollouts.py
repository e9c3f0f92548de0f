"""Argo Rollouts: whose Rollout steps a release's weights, and how it is told to give the canary up.

It puts back within half a second what others write to the routes of a Rollout that goes on. So it is told first, by
``status.abort`` as its own command line does it; the weights that are written after that are those that it wants itself. It hears
of a change of a route by another watch than of that of a Rollout, and may hear of it first: so it is waited for until it says that
it has aborted, as long as that is no matter of a second.

Where our write comes while it writes the status itself, it may never hear of it: what its own write was answered takes the place of
what it was told meanwhile. It then puts the weights back each time, until something else of the Rollout changes. So one that does
not say that it has aborted is told again, by a change of the status that means nothing.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from daemon.aio.backoff import pauses
from daemon.delivery.claimed import ByNamespace, Metadata, foremost, in_namespace, names_any, read, readable, services_of, unchanged
from daemon.delivery.ownerkind import OwnerKind, Owning
from daemon.discovery.owned import Owned
from daemon.errors import Conflict, NotFound, Refused, VerdictdError
from daemon.kube.resources import ROLLOUTS, Json, Resource
from daemon.kube.rights import Right
from daemon.model import Release
from daemon.placement import ObjectName
from daemon.ports.routing import Claim, Owner

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

NAME: Final = "Argo Rollouts"
ROLLOUTS_STATUS = replace(ROLLOUTS, subresource="status")
# Which host the subsets of a Rollout are of: Istio's, and named here since owners know no mesh.
DESTINATION_RULES = Resource(
    group="networking.istio.io",
    version="v1",
    plural="destinationrules",
    kind="DestinationRule",
    earlier=("v1beta1", "v1alpha3"),
    optional=True,
)

HEARD_WITHIN_SECONDS: Final = 0.8
"""How long is waited for it to say that it has aborted; one that does not by then may not be running at all."""
_TOLD_AGAIN_SECONDS: Final = 0.4
_LOOKS_SECONDS: Final = (0.02, 0.02, 0.05)
REACTS_WITHIN_SECONDS: Final = 2.0
"""It hears of changes by watches, and corrects them after 0.4 s; a busy one takes longer."""


class _Subsets(msgspec.Struct, frozen=True, rename="camel"):
    """The DestinationRule whose subsets are a Rollout's arms."""

    name: str
    canary_subset_name: str = ""
    stable_subset_name: str = ""


class _Istio(msgspec.Struct, frozen=True, rename="camel"):
    destination_rule: _Subsets | None = None


class _Ruled(msgspec.Struct, frozen=True):
    host: str = ""


class _Rule(msgspec.Struct, frozen=True):
    """Such a DestinationRule."""

    spec: _Ruled = _Ruled()


class _Routing(msgspec.Struct, frozen=True):
    istio: _Istio | None = None


class _PingPong(msgspec.Struct, frozen=True, rename="camel"):
    ping_service: str = ""
    pong_service: str = ""


class _Canary(msgspec.Struct, frozen=True, rename="camel"):
    canary_service: str = ""
    stable_service: str = ""
    ping_pong: _PingPong = _PingPong()
    traffic_routing: _Routing | None = None


class _BlueGreen(msgspec.Struct, frozen=True, rename="camel"):
    active_service: str = ""
    preview_service: str = ""


class _Strategy(msgspec.Struct, frozen=True, rename="camel"):
    canary: _Canary = _Canary()
    blue_green: _BlueGreen = _BlueGreen()


class _Spec(msgspec.Struct, frozen=True):
    strategy: _Strategy = _Strategy()


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    """How far it is. The hashes are of the version that it brings, and of the one that has served so far."""

    abort: bool = False
    aborted_at: str = ""
    promote_full: bool | None = None
    current_pod_hash: str = ""
    stable: str = msgspec.field(name="stableRS", default="")

    @property
    def has_aborted(self) -> bool:
        """Whether its controller has heard of it, too."""
        return self.abort and bool(self.aborted_at)


class _Rollout(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _Spec = _Spec()
    status: _Status | None = None

    @property
    def services(self) -> tuple[str, ...]:
        """The Services that it tells its versions apart by."""
        canary, green = self.spec.strategy.canary, self.spec.strategy.blue_green
        pair = canary.ping_pong
        return (
            *(canary.canary_service, canary.stable_service, pair.ping_service, pair.pong_service),
            *(green.active_service, green.preview_service),
        )

    @property
    def subsets(self) -> _Subsets | None:
        """The subsets that it tells its versions apart by, if it does."""
        routing = self.spec.strategy.canary.traffic_routing
        return routing.istio.destination_rule if routing is not None and routing.istio is not None else None

    @property
    def claim(self) -> Claim:
        """Its word, once it is known to be about the release."""
        named = ObjectName(kind=ROLLOUTS.kind, namespace=self.metadata.namespace, name=self.metadata.name)
        return Claim(
            object=named,
            state="aborted" if self.status is not None and self.status.has_aborted else "active",
            puts_back=self.spec.strategy.canary.traffic_routing is not None,
            reacts_within_seconds=REACTS_WITHIN_SECONDS,
        )


class ArgoRollouts:
    """The Rollouts of one cluster. Implements ``Owner``."""

    name: Final = NAME

    def __init__(self, kube: "KubeClient", *, heard_within_seconds: float = HEARD_WITHIN_SECONDS) -> None:
        self._kube = kube
        self._rollouts = ByNamespace(kube, ROLLOUTS)
        self._heard_within_seconds = heard_within_seconds

    async def claims(self, release: Release) -> Claim | None:
        """See ``Owner.claims``: of several that name the release's objects, one that goes on."""
        there, unsure = readable(await self._rollouts.of(release.namespace), kind=_Rollout)
        answers = await asyncio.gather(*(self._asked(one, release) for one in there))
        unsure = next((answer for answer in answers if isinstance(answer, VerdictdError)), unsure)
        return foremost([one.claim for one, answer in zip(there, answers, strict=True) if answer is True], unsure=unsure)

    async def abort(self, release: Release, claim: Claim) -> str:
        """See ``Owner.abort``. Raises ``Refused`` where the canary has become the stable version."""
        del release
        at = {"namespace": claim.object.namespace, "name": claim.object.name}
        rollout = read(await self._kube.get(ROLLOUTS, **at), kind=_Rollout)
        status = rollout.status or _Status()
        if status.has_aborted:
            return "status.abort was set already"
        if status.stable and status.stable == status.current_pod_hash:
            raise Refused(
                f"it has made its newest version the stable one: take that back by `kubectl argo rollouts undo {at['name']}`"
            )
        await self._kube.patch(ROLLOUTS_STATUS, operations=_aborting(rollout), **at)
        return f"status.abort is set{await self._heard(at)}"

    async def _heard(self, at: Mapping[str, str]) -> str:
        """Wait until it says that it has aborted; gives what is to be said of that. An answer that fails is as good as none."""
        seconds = self._heard_within_seconds
        try:
            async with asyncio.timeout(seconds):
                while (not_yet := await self._not_heard(at)) is not None:
                    with suppress(Conflict):  # it has changed, so its controller is told anyway
                        await self._kube.patch(ROLLOUTS_STATUS, operations=_aborting(not_yet), **at)
        except TimeoutError:
            return f", and it has not said within {seconds:g} s that it has aborted"
        except VerdictdError as error:
            return f", and whether it has aborted could not be read ({error})"
        return ", and it has aborted"

    async def _not_heard(self, at: Mapping[str, str]) -> _Rollout | None:
        """Wait a moment until it says that it has aborted; gives what it was when it was read last, null where it has."""
        rollout = read(await self._kube.get(ROLLOUTS, **at), kind=_Rollout)
        with suppress(TimeoutError):
            async with asyncio.timeout(_TOLD_AGAIN_SECONDS):
                for pause in pauses(_LOOKS_SECONDS):
                    if rollout.status is not None and rollout.status.has_aborted:
                        return None
                    await asyncio.sleep(pause)
                    rollout = read(await self._kube.get(ROLLOUTS, **at), kind=_Rollout)
        return rollout

    async def _asked(self, rollout: _Rollout, release: Release) -> bool | VerdictdError:
        """Whether it is about the release, or why that is not known: that hides no other one."""
        try:
            return await self._is_about(rollout, release)
        except VerdictdError as error:
            return error

    async def _is_about(self, rollout: _Rollout, release: Release) -> bool:
        """Whether the Rollout names the release's Services; or subsets, those of the release, of a rule for one of them."""
        services = services_of(release)
        if names_any(services, *rollout.services):
            return True
        if (subsets := rollout.subsets) is None:
            return False
        named = {arm.subset for arm in (release.baseline, release.canary) if arm.subset is not None}
        if named and not named & {subsets.canary_subset_name, subsets.stable_subset_name}:
            return False
        try:
            rule = read(await self._kube.get(DESTINATION_RULES, namespace=release.namespace, name=subsets.name), kind=_Rule)
        except NotFound:
            return False
        return names_any(services, in_namespace(rule.spec.host, namespace=release.namespace))


def _aborting(rollout: _Rollout) -> tuple[Json, ...]:
    """What is written to the status. A promotion that somebody asked for without its steps would outdo an abort: it ends too.

    Where the abort is there already it is something that changes the object all the same: that no such promotion is asked for is
    said in words where it was not, and the other way round.
    """
    status = rollout.status
    if status is None:
        return (unchanged(rollout.metadata), {"op": "add", "path": "/status", "value": {"abort": True}})
    steps: list[Json] = [{"op": "add", "path": "/status/abort", "value": True}]
    if status.promote_full or (status.abort and status.promote_full is None):
        steps.append({"op": "add", "path": "/status/promoteFull", "value": False})
    elif status.abort:
        steps.append({"op": "remove", "path": "/status/promoteFull"})
    return (unchanged(rollout.metadata), *steps)


def _owned(item: Json) -> Owned:
    from daemon.delivery.rolloutarms import owned

    return owned(item)


def _owner(kube: "KubeClient", /) -> Owner:
    return ArgoRollouts(kube)


ARGO_ROLLOUTS = OwnerKind(
    name=NAME,
    owner=_owner,
    owning=Owning(resource=ROLLOUTS, read=_owned),
    rights=(
        Right(
            verbs=("get", "list"),
            resources=(ROLLOUTS,),
            scopes=("watched",),
            purpose="whether a Rollout of Argo Rollouts steps the weights",
            without="whether Argo Rollouts owns the routes is not known, and what it undoes is only put back again",
        ),
        Right(
            verbs=("get",),
            resources=(DESTINATION_RULES,),
            scopes=("watched",),
            purpose="which host the subsets of a Rollout are of",
            without="a Rollout that tells its versions apart by subsets is not known to own the routes",
        ),
        Right(
            verbs=("patch",),
            resources=(ROLLOUTS_STATUS,),
            scopes=("enforced",),
            purpose="have Argo Rollouts give the canary up (`status.abort`)",
        ),
    ),
)
