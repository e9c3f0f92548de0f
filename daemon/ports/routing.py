"""What changes traffic: a mesh's routes, and the controllers that may own them; and Git, of which it is asked what it applies.

A revert goes through the first two and nothing else. Each call can be made again: what was done stays done, and only what is left
is tried. An owner is told before the router patches, since it would put back what it does not know of.
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from daemon.model import Release
from daemon.placement import Applier, ObjectName, PatchedObject, PatchReceipt, Placement, PlannedObject, Undo

_SOMEBODY_READY = re.compile(r"\b[1-9]\d* (ready|healthy)\b")


class TrafficRouter(Protocol):
    """A mesh's routes. The only thing that changes traffic.

    ``located`` is what the release's ``Placement`` said; empty when that is not known.
    """

    async def locate(self, release: Release) -> Placement:
        """Find every route that names the canary, and see that there is a baseline.

        Raises:
            NotFound: no route names the canary, or the baseline surely is not there: says what was looked for, and what is there.
            InvalidInput: both arms are the same.
        """
        ...

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """Look who would serve if the traffic went back now; gives what is known of it, in a line.

        Where it is known how many are ready the line says so, as in ``3 ready endpoints`` (``says_ready``).

        Raises:
            Blocked: it is sure that nobody would, only what serves the canary's traffic now, or what served it when it was located.
        """
        ...

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        """One live read and one guarded patch per object, side by side: all traffic to the baseline.

        Called again it goes on with what is left. An object that cannot be written holds up no other and is told in the receipt;
        where none could be written, why the first of them could not is raised.
        """
        ...

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """Look at the routes as they are in force now: null when none sends to the canary, else which one does."""
        ...


def says_ready(line: str) -> bool:
    """Whether what ``TrafficRouter.check_baseline`` gave says that somebody is ready."""
    return _SOMEBODY_READY.search(line) is not None


@runtime_checkable
class RouteEditor(Protocol):
    """A router that shows what it would write, and can put back what was there before. A router need not be one."""

    async def plan(self, release: Release, *, located: str = "") -> tuple[PlannedObject, ...]:
        """What ``revert`` would write now, by the very patches that it would send; nothing is written."""
        ...

    async def plan_restore(self, undos: Sequence[Undo]) -> tuple[PlannedObject, ...]:
        """What it takes to put these objects back as they were, in their order; nothing is written.

        The failure of one that cannot be put back is ``Refused`` where somebody has changed it since, with what is there now.
        """
        ...

    async def restore(self, undos: Sequence[Undo]) -> tuple[PatchedObject, ...]:
        """Put these objects back, each one only while it is as the revert left it; in their order."""
        ...


@runtime_checkable
class QuickPlanner(Protocol):
    """A ``RouteEditor`` that can say in no time what a revert will write first. One need not be."""

    async def plan_known(self, release: Release, *, located: str = "") -> tuple[PlannedObject, ...]:
        """As ``RouteEditor.plan``, in the routes that are known from looking before: what has come since is not looked for."""
        ...


class RouteFollower(Protocol):
    """A router that can say a weight without being held up, and may hear of changes of its routes. A router need not be one."""

    async def follow(self, changed: Callable[[], None]) -> None:
        """Tell of every change of the routes as soon as it is known, for ever; cancel it to end it.

        Where that cannot be heard of, nothing is told: the weights are asked for again and again.
        """
        ...

    async def weight(self, release: Release, *, located: str = "") -> float | None:
        """The canary's share of the traffic in percent, by the routes that were last located, as they are now.

        Null where they do not say one. Raises ``NotFound`` where none have been located; else why they cannot be read.
        """
        ...


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """An owner's word that it writes a release's routes by itself.

    Attributes:
        object: the object by which it does, as a Canary or a Rollout.
        state: ``active``: it gives the canary traffic, or may; ``aborted``: it has given the canary up.
        puts_back: whether it may undo what others write to the routes; false only where it surely does not.
        reacts_within_seconds: how long it may take to do so, or to end what it was told to give up.
    """

    object: ObjectName
    state: Literal["active", "aborted"] = "active"
    puts_back: bool = True
    reacts_within_seconds: float = 0.0


class Owner(Protocol):
    """Who may write the routes of releases by itself, as a controller does: asked, and told, before the router patches them."""

    @property
    def name(self) -> str:
        """For a person."""
        ...

    async def claims(self, release: Release) -> Claim | None:
        """Whether it writes this release's routes; null when it surely does not."""
        ...

    async def abort(self, release: Release, claim: Claim) -> str:
        """Have it give the canary up, in its own terms; returns when that is acknowledged, with what it was told.

        Doing it twice is doing it once.
        """
        ...


class Spared(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool of Git's is told to leave as it is in the cluster.

    Attributes:
        kind, namespace, name: regular expressions, of which an object must match all.
        paths: in such an object, in the tool's own words.
    """

    paths: tuple[str, ...]
    kind: str = ".*"
    namespace: str = ".*"
    name: str = ".*"

    def is_in(self, one: ObjectName) -> bool:
        """Whether it is about this object; an expression that is none is about nothing."""
        try:
            pairs = ((self.kind, one.kind), (self.namespace, one.namespace), (self.name, one.name))
            return all(re.fullmatch(wanted, said) for wanted, said in pairs)
        except re.error:
            return False


class GitSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where what a tool of Git's applies comes from, in the words of its own object.

    Attributes:
        of: ``GitRepository flux-system/apps, ./shop``.
        revision: the one that is applied, as the tool writes it; empty: none is.
        deployed: the one that what is in the cluster is of, where the tool knows that better; empty: it is ``revision``.
        initiated_by: who had it applied; empty: the tool does not say.
        applied_again: when the tool undoes what others write: ``it is applied again at each reconciliation, every 10m``.
        declared: where the tool's own object comes from, when that is applied too; else empty.
        spares: what it is told to leave alone.
        unspared: why it writes over that all the same; empty: it does not.
    """

    of: str
    revision: str
    applied_again: str
    deployed: str = ""
    initiated_by: str = ""
    declared: str = ""
    spares: tuple[Spared, ...] = ()
    unspared: str = ""

    def spared(self, one: ObjectName) -> tuple[str, ...]:
        """The paths of an object that are left as they are."""
        return tuple(path for spared in self.spares if spared.is_in(one) for path in spared.paths)

    def __str__(self) -> str:
        """``GitRepository flux-system/apps, ./shop, at revision main@sha1:4f2a``."""
        at = f"at revision {self.revision}" if self.revision else "of which no revision is applied"
        return f"{self.of}, {at}" + (f"; {self.declared}" if self.declared else "")


class GitTools(Protocol):
    """The tools that apply in one cluster what is in Git: asked where that comes from, and told nothing."""

    async def source(self, applier: Applier) -> GitSource:
        """What must change for what it applies to change; a few reads, never a listing of the cluster.

        Raises:
            VerdictdError: it is not known.
        """
        ...

    async def applier(self, workload: ObjectName) -> Applier | None:
        """What applies a workload of this name, of whichever kind; null: nothing is known to. Raises ``VerdictdError``."""
        ...
