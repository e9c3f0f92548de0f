"""A mesh's clusters side by side: a release is judged in the first one, and its traffic is taken back in all of them.

Each cluster is a matter of its own, from the first question to the guard: one that cannot be reached, or is slow, holds up no
other, and is retried alone while the others stand; so is one whose router has a defect. What is told of a cluster begins with its
name, where there are several.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import msgspec

from daemon.aio.tasks import TaskGroup
from daemon.engine.containedrouter import AllowedOwner, ContainedRouter
from daemon.engine.dependencies import MeshCluster
from daemon.engine.gitsources import from_where, of_workload, revision_and_who, sources
from daemon.engine.guarding import GIVEN_UP, Guarding, Held
from daemon.engine.handover import claimed
from daemon.engine.reasserting import GUARD_ENDED, Undone
from daemon.engine.reverting import NOTHING_TO_TAKE_BACK, TRAFFIC_LEFT, Hindered, Reverting, RevertOutcome
from daemon.engine.session import REVERT_GIVEN_UP, REVERTED_LATE
from daemon.engine.takenback import UndoLog
from daemon.errors import NotFound, TimedOut, VerdictdError
from daemon.model import Action, Release, TimedStep
from daemon.placement import ObjectName, Placement, RouteReference
from daemon.ports.routing import Claim

log = logging.getLogger(__name__)

T = TypeVar("T")

Clusters = Mapping[str, MeshCluster]
"""By name, the one where releases are judged first."""

NOWHERE = UndoLog()

FURTHER_SECONDS = 5.0
"""How long a watch waits for what is routed to the canary in further clusters; a revert looks for it anew."""
OWNER_SECONDS = 1.0


class _ByCluster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What several routers said that the arms are. A single one's own words are kept as they are."""

    words: dict[str, str]


async def locate(clusters: Clusters, release: Release) -> Placement:
    """Where the canary gets traffic from, in all clusters, and who owns those routes.

    Raises as ``TrafficRouter.locate`` of the first cluster. What is not known of a further one is said, and stops nothing.
    """
    home, *_ = clusters
    clusters = _contained(clusters)
    found = await _each(clusters, lambda name, one: _located(one, release, seconds=None if name == home else FURTHER_SECONDS))
    first = found[home]
    if isinstance(first, VerdictdError):
        raise first
    if len(clusters) == 1:
        return first
    placed = {name: one for name, one in found.items() if isinstance(one, Placement)}
    return Placement(
        routes=tuple(msgspec.structs.replace(route, cluster=name) for name, one in placed.items() for route in one.routes),
        canary_percent=first.canary_percent,
        baseline="; ".join(f"{name}: {one.baseline if isinstance(one, Placement) else one}" for name, one in found.items()),
        located=msgspec.json.encode(_ByCluster(words={name: one.located for name, one in placed.items()})).decode(),
        owners=first.owners,
        pods=first.pods,
        elsewhere=tuple(f"{name}: {said}" for name, one in placed.items() for said in one.elsewhere),
        unread=tuple(f"{name}: {said}" for name, one in placed.items() for said in one.unread),
        revision=first.revision,
        initiated_by=first.initiated_by,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """The procedure of one cluster, in each."""

    reverting: Reverting

    async def run(
        self,
        clusters: Clusters,
        release: Release,
        *,
        located: str = "",
        overtaken: Callable[[], bool] = lambda: False,
        undo_log: UndoLog = NOWHERE,
    ) -> RevertOutcome:
        """See ``Reverting.run``: the action is that of all clusters where they agree, else ``failed``.

        What was taken back in one is guarded while others are still tried, until the release is ``overtaken`` by a newer one.
        """
        words, clusters = words_of(clusters, located), _contained(clusters, undo_log=undo_log)
        left = set(clusters)

        async def one(name: str, cluster: MeshCluster) -> tuple[RevertOutcome, tuple[TimedStep, ...]]:
            outcome = await self._one(name, clusters, release, located=words[name], hindered=undo_log.hindered)
            left.discard(name)
            if outcome.action is not Action.REVERT or not left:
                return outcome, ()
            seen = await self._guarding.reassert(
                cluster.router, release, located=words[name], owners=cluster.owners, until=lambda: not left or overtaken()
            )
            return outcome, tuple(step for step in seen if step.step != GUARD_ENDED)

        return _together(await _each(clusters, one))

    async def guard(
        self,
        clusters: Clusters,
        release: Release,
        *,
        located: str,
        failed: bool,
        undo_log: UndoLog = NOWHERE,
        undone: Undone = lambda step: None,
        retried: Undone = lambda step: None,
    ) -> tuple[TimedStep, ...]:
        """Keep the traffic where it was taken back; where that has ``failed``, first go on with it.

        ``undone`` is told at once each time that somebody has put traffic back, and ``retried`` what has become of the failed
        revert, once that is known of all clusters.
        """
        became: dict[str, TimedStep] = {}
        words, clusters = words_of(clusters, located), _contained(clusters, undo_log=undo_log)

        async def one(name: str, cluster: MeshCluster) -> tuple[TimedStep, ...]:
            router, owners, said = cluster.router, cluster.owners, words[name]
            late = await self._guarding.keep_retrying(router, release, located=said, owners=owners) if failed else ()
            if late:
                log.warning("what became of a failed revert", extra={"at": name, "steps": [step.step for step in late]})
                said_last = next((step.detail for step in reversed(late) if step.detail), "")
                became[name] = msgspec.structs.replace(late[-1], detail=said_last)
                if len(became) == len(clusters) and (at_last := _at_last(became)) is not None:
                    retried(at_last)
            return (*late, *await self._guarding.reassert(router, release, located=said, owners=owners, undone=undone))

        return _in_order(await _each(clusters, one))

    async def hold(
        self, clusters: Clusters, release: Release, outcome: RevertOutcome, *, located: str, undo_log: UndoLog = NOWHERE
    ) -> RevertOutcome:
        """Look on after a revert until nobody has undone it for as long as the owners of the routes take to.

        ``failed`` where somebody puts the traffic back again and again.
        """
        words, clusters = words_of(clusters, located), _contained(clusters, undo_log=undo_log)
        seconds = outcome.reacts_within_seconds

        async def one(name: str, cluster: MeshCluster) -> Held:
            return await self._guarding.hold(
                cluster.router, release, quiet_seconds=seconds, located=words[name], owners=cluster.owners
            )

        found = await _each(clusters, one)
        steps = _in_order({name: held.steps for name, held in found.items()})
        ends = "; ".join(step.detail for step in steps if step.step == GUARD_ENDED)
        if all(held.stays for held in found.values()):
            reason, action = f"{outcome.reason}; it stayed so for {seconds:g} s ({ends})", outcome.action
        else:
            reason, action = f"{outcome.reason}; but it does not stay so: {ends}", Action.FAILED
        return replace(outcome, action=action, steps=(*outcome.steps, *steps), reason=reason)

    @property
    def _guarding(self) -> Guarding:
        return Guarding(reverting=self.reverting)

    async def _one(self, name: str, clusters: Clusters, release: Release, *, located: str, hindered: Hindered) -> RevertOutcome:
        """In a further cluster there need not be anything of the release: where nothing is routed to it, all is done."""
        one = clusters[name]
        outcome = await self.reverting.run(
            one.router, release, located=located, owners=one.owners, git=one.git, turns=one.turns, hindered=hindered
        )
        if name == next(iter(clusters)) or outcome.action in {Action.REVERT, Action.NONE}:
            return outcome
        try:
            if await one.router.canary_gets_traffic(release, located=located) is not None:
                return outcome
            said = "no route in force sends to the canary"
        except NotFound as error:
            said = str(error)
        except VerdictdError:
            return outcome
        step = TimedStep(step=NOTHING_TO_TAKE_BACK, at=self.reverting.clock.now(), detail=said)
        return RevertOutcome(action=Action.REVERT, steps=(step,), attempts=outcome.attempts, reason=said)


def _contained(clusters: Clusters, *, undo_log: UndoLog = NOWHERE) -> Clusters:
    """So that a defect in one ends no other's task, nor the release's own."""
    several = len(clusters) > 1
    return {
        name: replace(
            cluster,
            router=ContainedRouter(cluster.router, undo_log.of_cluster(name, several=several)),
            owners=tuple(AllowedOwner(owner, undo_log.allowed) for owner in cluster.owners),
        )
        for name, cluster in clusters.items()
    }


async def _located(cluster: MeshCluster, release: Release, *, seconds: float | None) -> Placement | VerdictdError:
    try:
        async with asyncio.timeout(seconds):
            placement = await cluster.router.locate(release)
    except TimeoutError:
        return TimedOut(f"what is routed to the canary was not known within {seconds or 0.0:g} s")
    except VerdictdError as error:
        return error
    async with TaskGroup() as group:
        appliers = (route.applier for route in placement.routes if route.applier is not None and not route.applier.left_alone)
        reading = group.create_task(sources(cluster.git, appliers, seconds=OWNER_SECONDS))
        named = ObjectName(kind="workload", namespace=release.namespace, name=release.canary.workload or placement.workload)
        deploying = group.create_task(of_workload(cluster.git, named, seconds=OWNER_SECONDS))
        claims = await claimed(cluster.owners, release, seconds=OWNER_SECONDS)
    git, deployed = reading.result(), deploying.result()
    told = {name: claim.object for name, claim in claims.items() if isinstance(claim, Claim)}
    owners = [f"{name} ({of})" for name, of in told.items()]
    known = {"", *(f"{of.kind} {of.name}" for of in told.values())}  # by the route's own word
    unknown = [claim for claim in claims.values() if isinstance(claim, str)]
    unknown += [f"the source of {one} ({said})" for one, said in {**git, **(deployed or {})}.items() if isinstance(said, str)]

    def owned(route: RouteReference) -> RouteReference:
        by = ", ".join([*owners, *({route.owner} - known)])
        if route.applier is not None:
            by = by.replace(str(route.applier), from_where(route.applier, git))
        return msgspec.structs.replace(route, owner=by)

    # Routes may come from another repository than what runs behind them.
    revision, who = revision_and_who(git if deployed is None else deployed)
    return msgspec.structs.replace(
        placement,
        routes=tuple(map(owned, placement.routes)),
        owners=tuple(told.values()),
        unread=(*placement.unread, *unknown),
        revision=revision,
        initiated_by=who,
    )


async def _each(clusters: Clusters, call: Callable[[str, MeshCluster], Awaitable[T]]) -> dict[str, T]:
    """All at the same time, each in a task that is named by it; a single one needs none."""
    if len(clusters) == 1:
        [(alone, cluster)] = clusters.items()
        return {alone: await call(alone, cluster)}

    async def one(name: str, cluster: MeshCluster) -> T:
        return await call(name, cluster)

    async with TaskGroup() as group:
        tasks = {name: group.create_task(one(name, cluster), name=f"cluster {name}") for name, cluster in clusters.items()}
    return {name: task.result() for name, task in tasks.items()}


def words_of(clusters: Clusters, located: str) -> dict[str, str]:
    """What the placement said of the arms, by cluster. A session that was kept when there was one cluster has the first one's."""
    try:
        by_cluster = msgspec.json.decode(located, type=_ByCluster).words
    except msgspec.MsgspecError:
        by_cluster = {next(iter(clusters)): located}
    return {name: by_cluster.get(name, "") for name in clusters}


def home_words(clusters: Clusters, located: str) -> str:
    """What the router of the cluster where releases are judged said that the arms are."""
    return words_of(clusters, located)[next(iter(clusters))]


def _together(outcomes: Mapping[str, tuple[RevertOutcome, tuple[TimedStep, ...]]]) -> RevertOutcome:
    if len(outcomes) == 1:
        [(outcome, _)] = outcomes.values()
        return outcome
    actions = {outcome.action for outcome, _ in outcomes.values()}
    return RevertOutcome(
        action=actions.pop() if len(actions) == 1 else Action.FAILED,
        steps=_in_order({name: (*outcome.steps, *seen) for name, (outcome, seen) in outcomes.items()}),
        attempts=max(outcome.attempts for outcome, _ in outcomes.values()),
        reason="; ".join(f"{name}: {outcome.reason}" for name, (outcome, _) in outcomes.items()),
        reacts_within_seconds=max(outcome.reacts_within_seconds for outcome, _ in outcomes.values()),
        remarks=tuple(f"{name}: {said}" for name, (outcome, _) in outcomes.items() for said in outcome.remarks),
        is_forbidden=all(outcome.is_forbidden for outcome, _ in outcomes.values()),
    )


def _at_last(became: Mapping[str, TimedStep]) -> TimedStep | None:
    """What has become of a revert that had failed: it is done when the traffic was seen to have left in every cluster."""
    ends = _in_order({name: (step,) for name, step in became.items()})
    gave_up = [step for step in ends if step.step == GIVEN_UP]
    if not gave_up and any(step.step != TRAFFIC_LEFT for step in ends):
        return None  # what could not be read may still send to the canary: nobody is told that all is well
    return TimedStep(
        step=REVERT_GIVEN_UP if gave_up else REVERTED_LATE,
        at=ends[-1].at,
        detail="; ".join(step.detail for step in gave_up or ends),
    )


def _in_order(steps: Mapping[str, tuple[TimedStep, ...]]) -> tuple[TimedStep, ...]:
    """By their time; each says its cluster, where there are several."""
    if len(steps) == 1:
        [alone] = steps.values()
        return alone
    said = [
        msgspec.structs.replace(step, detail=f"{name}: {step.detail}" if step.detail else name)
        for name, of_one in steps.items()
        for step in of_one
    ]
    return tuple(sorted(said, key=lambda step: step.at))
