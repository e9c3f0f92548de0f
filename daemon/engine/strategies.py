"""How a canary gets its traffic, by its release's strategy: what routes must look like, and what then is compared with what. Pure.

===========  ============================  ===============================================================================
strategy     who gets the canary           compared
===========  ============================  ===============================================================================
canary       a share of all requests       both arms in the same seconds
header       those whom a rule picks out   their requests with all others: whether others would ask otherwise is not known
mirror       nobody: copies go to it       the copies with all others: what its answers would have done is not known
blue-green   nobody, then everybody        after the switch with what the baseline had served while it was watched, which is
                                           of another time of the day
pods         as each pod gets its part     pods of one application, some of which have a change of the mesh or its new version, in
                                           the same seconds
===========  ============================  ===============================================================================

Only a canary's share is held against a weight. A release whose routes are those of another strategy is not watched under a wrong
name: what its verdict says of the comparison would not be true.
"""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from config.policy import Policy
from daemon.engine.session import Session
from daemon.errors import InvalidInput
from daemon.model import Outcome, Release, Strategy
from daemon.placement import BY_HAND, RouteReference


def misfit(strategy: Strategy, routes: Sequence[RouteReference]) -> str:
    """Why routes are not those of a strategy; empty where they may be. Weights that are 0 may be raised yet."""
    users = [one for one in routes if one.kind != "mirror" and one.percent > 0.0]
    copies = [one for one in routes if one.kind == "mirror" and one.percent > 0.0]
    shares = [f"the canary gets a share of all requests ({one}); name the strategy canary" for one in users if one.percent < 100.0]
    match strategy:
        case "canary":
            wrong = []
        case "header":
            wrong = shares + [f"the canary gets copies only ({one}); name the strategy mirror" for one in copies if not users]
        case "mirror":
            wrong = [f"users' own requests reach the canary too ({one}); name the strategy canary or header" for one in users]
            wrong += [] if copies else ["no copies are sent to the canary; name the strategy canary"]
        case "blue-green":
            wrong = shares
        case "pods":
            wrong = []
        case _:
            assert_never(strategy)
    return f"the routes are not those of the strategy {strategy}: {wrong[0]}" if wrong else ""


def observed_only(strategy: Strategy) -> str:
    """Why nothing can be taken back by this strategy, whatever the mesh; empty where it can."""
    return "by the strategy pods no route tells the arms apart: its releases are observed only" if strategy == "pods" else ""


def check(release: Release, policy: Policy) -> None:
    """Refuse what contradicts the strategy of a release. Raises ``InvalidInput``."""
    strategy = release.strategy
    if (reason := observed_only(strategy)) and policy.mode == "enforce":
        raise InvalidInput(reason, path="$.strategy", fix="set observe: true, or name a policy whose mode is observe")
    if strategy == "pods" and (named := _subsets(release)):
        raise InvalidInput(
            "is a destination of routes, and by the strategy pods the arms are pods",
            path=f"$.{named}.subset",
            fix="name labels, a workload or a Service; what a route can move is released by the strategy canary",
        )
    if strategy != "canary" and release.weight is not None:
        wrong = f"is the canary's share of all requests, and by the strategy {strategy} it has none of its own"
        raise InvalidInput(wrong, path="$.weight", fix="leave it out")
    if strategy == "mirror" and policy.failures.mirrored == "excused":
        wrong = (
            f"policy {release.policy!r} leaves copies of requests out (failures.mirrored), and a mirror's canary gets nothing else"
        )
        raise InvalidInput(wrong, path="$.policy", fix="name a policy whose failures.mirrored is counted")


def has_weight(strategy: Strategy) -> bool:
    """Whether the weight of a route is the canary's share of all requests, while it is watched.

    A switch is none: it falls into one tick, of which no mean weight says how many requests came before it.
    """
    return strategy == "canary"


def compared(session: Session, outcome: Outcome) -> str:
    """What a verdict must say of the comparison, beginning with ``; ``; empty where it is a plain one, or there was none."""
    if session.started_at is None or session.after is not None:
        return ""
    if session.canary_requests == 0:
        said = _NOTHING_CAME[session.release.strategy]
    elif session.baseline_requests == 0:
        said = "the baseline served nothing while it was watched: there is nothing to compare latency with"
    else:
        said = _of_both(session, outcome)
    return f"; {said}" if said else ""


_NOTHING_CAME: Final[Mapping[Strategy, str]] = {
    "canary": "",  # what was asked for promotion says so, in numbers
    "header": "no request came that the canary's rule picks out",
    "mirror": "no copy of a request came",
    "blue-green": "the traffic was never switched to the canary",
    "pods": "no request came to the canary's pods",
}

_TEMPLATE_HASH: Final = "pod-template-hash"
_BOTH_SERVE: Final = "what is asked for a promotion is shown only in seconds in which both serve"


def _of_both(session: Session, outcome: Outcome) -> str:
    match session.release.strategy:
        case "canary":
            return ""
        case "header":
            return "compared are requests that the canary's rule picks out with all others: who sends them may differ"
        case "mirror":
            return "compared are copies of requests: no user had an answer of the canary's"
        case "blue-green":
            said = "once the baseline serves nothing, the canary is compared with what that had served while it was watched"
            return f"{said}; {_BOTH_SERVE}" if outcome is Outcome.INCONCLUSIVE else said
        case "pods":
            return _of_pods(session, outcome)
        case never:
            assert_never(never)


def _of_pods(session: Session, outcome: Outcome) -> str:
    several = "pods of several workloads together: where their mix differs, so do the arms; name a workload to compare it alone"
    said = f"compared are {f'pods of {session.workload}' if session.workload else several}"
    return f"{said}; {by_hand(session.release)}" if outcome is Outcome.ROLLBACK else said


def by_hand(release: Release) -> str:
    """What takes back what no route does: of a workload's new template, of a second workload, or of a change of the mesh.

    Only Deployments give their pods a template's hash, so that it is one that is named by it.
    """
    old, new = release.baseline, release.canary
    if None in (old.workload, new.workload):
        return BY_HAND
    hashes = (old.labels.get(_TEMPLATE_HASH), new.labels.get(_TEMPLATE_HASH))
    if old.workload != new.workload and hashes[1] is not None:
        return f"no route: scale it down with `kubectl -n {release.namespace} scale deployment/{new.workload} --replicas=0`"
    if old.workload != new.workload:
        return f"no route: scale {new.workload} of namespace {release.namespace} down, or take it out of the Service"
    if hashes[0] == hashes[1]:
        return BY_HAND
    return f"no route: undo the rollout with `kubectl -n {release.namespace} rollout undo deployment/{new.workload}`"


def _subsets(release: Release) -> str:
    """The first arm that names one; empty where none does."""
    return next((name for name, arm in (("baseline", release.baseline), ("canary", release.canary)) if arm.subset is not None), "")
