"""Where a release's canary gets traffic from, and what became of taking it back: by object, and by the place inside it.

Values that routers give and the engine keeps; each says itself in one line, where a person is told.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, Self

import msgspec

from daemon.armpods import PodsByArm
from daemon.errors import VerdictdError, first_to_retry

BY_HAND: Final = "take the change back where it was made (the revision, the proxy, the policy), and restart the pods that have it"
"""What to do about a change of the mesh itself, from which no route leads away."""

_PLACES_TOLD = 10


class ObjectName(msgspec.Struct, frozen=True, kw_only=True):
    """One object that holds routes, or that owns such. ``kind`` is what people call it; the namespace may be empty."""

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        """``shop/web``."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Applier(msgspec.Struct, frozen=True, kw_only=True):
    """What of Git's applies an object, as the object's own marks say it.

    Attributes:
        tool: ``Argo CD`` or ``Flux``.
        object: what it does so by, as a Kustomization; the namespace is empty where it is the tool's own.
        left_alone: the mark by which it is told to leave the object as it is; empty: there is none.
    """

    tool: str
    object: ObjectName
    left_alone: str = ""

    def __str__(self) -> str:
        """``Flux (Kustomization flux-system/apps)``."""
        return f"{self.tool} ({self.object.kind} {self.object})"


class RouteReference(msgspec.Struct, frozen=True, kw_only=True):
    """One place that names the canary.

    Attributes:
        object: the object that it is in.
        place: where in the object, for a person: some words, or a path that begins with a slash; empty: all of it.
        kind: ``weight`` (a share of a split), ``pin`` (the route's only target), ``shared`` (a name of both arms' pods together, of
            which the canary gets as much as its pods are) or ``mirror``.
        percent: the canary's share of what comes by this place.
        owner: who writes the object by itself, for a person; empty where nobody is known to.
        applier: what of Git's applies it, whether it writes over what others write or not; null where nothing is known to.
        written: who wrote the object last, other than verdictd, and when; empty where that is not known.
        cluster: where it is, in a daemon that knows several clusters; else empty.
    """

    object: ObjectName
    kind: Literal["weight", "pin", "shared", "mirror"]
    percent: float
    place: str = ""
    owner: str = ""
    applier: Applier | None = None
    written: str = ""
    cluster: str = ""

    def __str__(self) -> str:
        """``shop/web http #0: 10 % of the traffic``."""
        verb = "mirrored" if self.kind == "mirror" else "of the traffic"
        owned = f" (owned by {self.owner})" if self.owner else ""
        return f"{_where(self.cluster, self.object, self.place)}: {self.percent:g} % {verb}{owned}"


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Where a release's canary gets traffic from, and where it would go back to.

    Attributes:
        routes: each place that sends to the canary.
        owners: the objects by which controllers write these routes by themselves, as a Rollout.
        canary_percent: the canary's largest weight.
        baseline: what is known of who stands behind the baseline, in a line.
        located: what the arms were, in words of the router's own; to be kept, and brought along whenever it is asked again.
        pods: which pods the arms are now; null: its mesh has none, or does not look.
        elsewhere: what may still send to the canary and is not touched: each place, for a person.
        unread: what could not be read, of which nothing is said here: each, for a person.
        revision, initiated_by: of what Git's tools have applied here: which it is, and who had it applied; empty: not known.
    """

    routes: tuple[RouteReference, ...]
    canary_percent: float
    baseline: str = ""
    located: str = ""
    owners: tuple[ObjectName, ...] = ()
    pods: PodsByArm | None = None
    elsewhere: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    revision: str = ""
    initiated_by: str = ""

    @property
    def workload(self) -> str:
        """The name of the one that the canary's pods are of; empty where they are of several, or of none that is known."""
        pods = (self.pods.canary.pods or ()) if self.pods is not None else ()
        names = {pod.workloads[0] for pod in pods if pod.workloads}
        return names.pop() if len(names) == 1 else ""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Where it ends, a line each: what is beyond it, and what it does not know of."""
        return _remarks(self.elsewhere, self.unread)


def split_percent(routes: Iterable[RouteReference]) -> float | None:
    """The canary's share of the traffic by these routes, in percent; null where they do not say one.

    Splits that agree say it, whatever requests are pinned to the canary beside them. Mirrored requests reach it without any share,
    and of a name of both arms' pods the share changes with the pods.
    """
    found = list(routes)
    splits = {one.percent for one in found if one.kind == "weight"}
    if any(one.kind in {"mirror", "shared"} and one.percent > 0 for one in found) or len(splits) > 1:
        return None
    if splits:
        return splits.pop()
    return found[0].percent if len(found) == 1 else None


class RouteChange(msgspec.Struct, frozen=True, kw_only=True):
    """One place of an object that is written, and what is written there."""

    detail: str
    place: str = ""

    def __str__(self) -> str:
        """``http #0: weight 10 of v2 -> v1``."""
        return f"{self.place}: {self.detail}" if self.place else self.detail


class ValueChange(msgspec.Struct, frozen=True, kw_only=True):
    """One value of an object that a patch changes.

    Attributes:
        path: where, as a JSON pointer.
        before, after: what stands there, as JSON; null: nothing does.
        around: a digest of the entry of a list that it is in (a rule, a split), as it is afterwards; empty: it is in none.
    """

    path: str
    before: str | None = None
    after: str | None = None
    around: str = ""


class Undo(msgspec.Struct, frozen=True, kw_only=True):
    """What a patch changed in one object: enough to put it back, and to see that nobody else has changed it since.

    Attributes:
        object: which one.
        resource: its kind as the API server names it, ``virtualservices.networking.istio.io``; empty: it is in no API server.
        values: each value that was changed.
        cluster: where it is, in a daemon that knows several clusters; else empty.
    """

    object: ObjectName
    values: tuple[ValueChange, ...]
    resource: str = ""
    cluster: str = ""

    def __str__(self) -> str:
        """``VirtualService shop/web``."""
        return (f"{self.cluster}: " if self.cluster else "") + f"{self.object.kind} {self.object}"


class PlannedObject(msgspec.Struct, frozen=True, kw_only=True):
    """What would be written in one object, or why nothing can be.

    Attributes:
        changes: in words.
        values: value by value.
        resource, cluster: as of ``Undo``.
    """

    object: ObjectName
    changes: tuple[RouteChange, ...] = ()
    values: tuple[ValueChange, ...] = ()
    failure: VerdictdError | None = None
    resource: str = ""
    cluster: str = ""

    def __str__(self) -> str:
        """``VirtualService shop/web``."""
        return (f"{self.cluster}: " if self.cluster else "") + f"{self.object.kind} {self.object}"


class PatchedObject(msgspec.Struct, frozen=True, kw_only=True):
    """What became of taking the traffic back in one object: its changes are written, or there is a failure. Seconds since 1970.

    ``undo`` is what it takes to put it back, where the router can do that. ``applier`` is what of Git's may write over it.
    """

    object: ObjectName
    sent_at: float
    acknowledged_at: float
    changes: tuple[RouteChange, ...] = ()
    failure: VerdictdError | None = None
    undo: Undo | None = None
    applier: Applier | None = None

    def __str__(self) -> str:
        """``shop/web http #0: weight 10 of v2 -> v1``."""
        if self.failure is not None:
            return f"{self.object}: {self.failure}"
        return "; ".join(f"{_where('', self.object, one.place)}: {one.detail}" for one in self.changes)


class PatchReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt to take the traffic back did.

    Attributes:
        parts: the objects that there was something to write in; none: there was nothing left to take back.
        sent_at, acknowledged_at: of the first one that was written, and of the last one; seconds since 1970.
        nothing: what is said where there was nothing.
        elsewhere, unread: as in ``Placement``, as far as they were known then.
    """

    sent_at: float
    acknowledged_at: float
    parts: tuple[PatchedObject, ...] = ()
    nothing: str = ""
    elsewhere: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        parts: Sequence[PatchedObject],
        *,
        nothing: str,
        now: float,
        elsewhere: tuple[str, ...] = (),
        unread: tuple[str, ...] = (),
    ) -> Self:
        """The receipt of these objects; of none it says ``nothing``, at ``now``. Raises why they failed, where all of them did."""
        failures = [one.failure for one in parts if one.failure is not None]
        if failures and len(failures) == len(parts):
            raise first_to_retry(failures)
        return cls(
            parts=tuple(parts),
            sent_at=min((one.sent_at for one in parts if one.failure is None), default=now),
            acknowledged_at=max((one.acknowledged_at for one in parts if one.failure is None), default=now),
            nothing="" if parts else nothing,
            elsewhere=elsewhere,
            unread=unread,
        )

    @property
    def changed(self) -> bool:
        """Whether something was written."""
        return any(one.changes for one in self.parts)

    @property
    def failed(self) -> tuple[PatchedObject, ...]:
        """The objects that could not be written."""
        return tuple(one for one in self.parts if one.failure is not None)

    @property
    def failure(self) -> VerdictdError | None:
        """Why one of them could not be, what can be tried again before what cannot; null: all were."""
        failures = [one.failure for one in self.parts if one.failure is not None]
        return first_to_retry(failures) if failures else None

    @property
    def remarks(self) -> tuple[str, ...]:
        """As those of ``Placement``."""
        return _remarks(self.elsewhere, self.unread)

    def __str__(self) -> str:
        """Each part in one line."""
        return "; ".join(str(one) for one in self.parts) or self.nothing


def _remarks(elsewhere: tuple[str, ...], unread: tuple[str, ...]) -> tuple[str, ...]:
    beyond = [f"may still reach the canary, and is not touched: {_some(elsewhere)}"] if elsewhere else []
    unknown = [f"could not be read: {_some(unread)}"] if unread else []
    return (*beyond, *unknown)


def _some(places: tuple[str, ...]) -> str:
    """The first few of them, and how many more there are."""
    more = len(places) - _PLACES_TOLD
    return "; ".join(places[:_PLACES_TOLD]) + (f"; and {more} more" if more > 0 else "")


def _where(cluster: str, name: ObjectName, place: str) -> str:
    gap = "" if not place or place.startswith("/") else " "
    return (f"{cluster}: " if cluster else "") + f"{name}{gap}{place}"
