"""What comes of a look at who serves a Service: a second Deployment that is compared, or one that is over. Pure.

What stood is new to nobody: a Deployment opens something where it came, or began to run something else, beside one that had served
by then. It is looked at once its own update is over, so that its pods are of one template.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from daemon.discovery import siblings
from daemon.discovery.openings import Asks, Opens, Outcome, Quiet
from daemon.discovery.surroundings import Workload
from daemon.discovery.updates import Deployment
from daemon.watcher.annotations import BASELINE, CANARY, WATCH
from daemon.watcher.deployed import Chooser
from daemon.watcher.kept import RouteKey
from daemon.watcher.keptserving import KeptArm, KeptPair, KeptServer, KeptServing

Told = Callable[[Deployment, Deployment], str]
"""What is to be said of two Deployments; empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Two Deployments to be compared."""

    old: Deployment
    new: Deployment


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """What only somebody can say.

    Attributes:
        why: a sentence, which asks.
        words: the annotations that answer together, and the names that each may say.
        are_many: whether there are more than two, so that it is answered too where there are not.
    """

    why: str
    words: Mapping[str, tuple[str, ...]]
    are_many: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What comes of a look.

    Attributes:
        after: what is to be kept; null: nothing.
        found: to be announced, before it is kept with it.
        over: why the pair that is kept is over, which is told before; empty: it is not, or there is none.
        why: a sentence on what comes to nothing.
        asks: what somebody must say; null: nothing.
        goes_on: whether what was asked is open still: those that have come are on their way.
    """

    after: KeptServing | None
    found: Found | None = None
    over: str = ""
    why: str = ""
    asks: Undecided | None = None
    goes_on: bool = False


def came(
    key: RouteKey,
    kept: KeptServing | None,
    chooser: Chooser | None,
    there: Sequence[Deployment],
    *,
    told_apart: Told,
    left_to: Told,
) -> Came:
    """What comes of a look.

    Args:
        key, kept: the Service, and what is known of it.
        chooser: it as it is now; null: it is gone.
        there: the Deployments whose pods it chooses and that are to have some.
        told_apart: the route that sends to one of two and not to the other.
        left_to: the other Service behind which two are compared.
    """
    if chooser is None or kept is None or kept.uid != chooser.uid:
        over = "the Service is gone" if kept is not None and kept.pair is not None else ""
        stood = tuple(_server(one) for one in there)
        return Came(after=KeptServing(key=key, uid=chooser.uid, stood=stood) if chooser is not None and stood else None, over=over)
    ended = _ended(kept, kept.pair, there, told_apart=told_apart) if kept.pair is not None else None
    found = ended or _beside(kept, chooser, there, left_to=lambda old, new: told_apart(old, new) or left_to(old, new))
    nothing = found.after is not None and not found.after.stood and not there
    return dataclasses.replace(found, after=None) if nothing else found


def _beside(kept: KeptServing, chooser: Chooser, there: Sequence[Deployment], *, left_to: Told) -> Came:
    still, new = replace(kept, stood=_still(kept, there)), newcomers(kept, there)
    if not any(one.served for one in kept.stood):  # those that came together
        return Came(after=_with(still, new))
    settled = [one for one in new if one.ready > 0]
    names = {one.name for one in still.stood if one.served} - {one.name for one in new}
    before = [one for one in there if one.name in names]
    if not settled or any(one.is_updating for one in (*before, *new)):
        return Came(after=still, goes_on=bool(new))
    match outcome := _outcome(before, settled, chooser):
        case Found():
            if other := left_to(outcome.old, outcome.new):
                return Came(after=_with(still, settled), why=f"{outcome.old.name} and {outcome.new.name} are left to {other}")
            return Came(after=_with(still, [outcome.new]), found=outcome)
        case Asks():  # an older one by its names that stood there is merely updated
            is_update = {one.name for one in settled} <= {one.name for one in still.stood}
            asks = None if is_update else _undecided(outcome.ask.why, before, settled, chooser)
            return Came(after=_with(still, settled) if is_update else still, why=outcome.ask.why, asks=asks)
        case why:
            return Came(after=_with(still, settled), why=why)


def newcomers(kept: KeptServing, there: Sequence[Deployment]) -> list[Deployment]:
    """Those that were not there, or run something else by now."""
    stood = {(one.name, one.uid, one.runs) for one in kept.stood}
    return [one for one in there if (one.name, one.uid, runs(one)) not in stood]


def is_to_come(kept: KeptServing, chooser: Chooser, there: Sequence[Deployment], *, of: Deployment) -> bool:
    """Whether a Deployment is compared with another one, or will be once its pods are ready: its own update is part of that."""
    if kept.pair is not None and (kept.pair.canary.name, kept.pair.canary.uid) == (of.name, of.uid):
        return True
    new = newcomers(kept, there)
    names = {one.name for one in kept.stood if one.served} - {one.name for one in new}
    before = [one for one in there if one.name in names]
    return of in new and isinstance(_outcome(before, [of], chooser), Found)


def paired(serving: KeptServing, found: Found, *, release_id: str) -> KeptServing:
    """What is kept once it is announced."""
    old, new = (KeptArm(name=one.name, uid=one.uid, number=one.number) for one in (found.old, found.new))
    return replace(serving, pair=KeptPair(release_id=release_id, baseline=old, canary=new))


def runs(of: Deployment) -> str:
    """What tells what it runs from what it ran before."""
    return " ".join([*sorted(map(str, of.images)), _workload(of).version])


def _ended(kept: KeptServing, pair: KeptPair, there: Sequence[Deployment], *, told_apart: Told) -> Came | None:
    """That a pair is over, and what is kept then. Null: it goes on."""
    by_name: Mapping[str, Deployment] = {one.name: one for one in there}
    old, new = by_name.get(pair.baseline.name), by_name.get(pair.canary.name)
    still = replace(kept, pair=None, stood=_still(kept, there))
    for arm, now in ((pair.canary, new), (pair.baseline, old)):
        if now is None or now.uid != arm.uid:
            return Came(after=still, over=f"Deployment {arm.name} has no pods behind it any more")
    assert old is not None and new is not None  # noqa: PT018 - it was just looked at
    for arm, now in ((pair.canary, new), (pair.baseline, old)):
        if now.number != arm.number:
            # The canary is new again, beside what there is once nobody is being updated.
            again = tuple(one for one in still.stood if one.name != pair.canary.name)
            return Came(after=replace(still, stood=again), over=f"Deployment {arm.name} has another template by now")
    if route := told_apart(old, new):
        return Came(after=still, over=f"{route} tells {old.name} and {new.name} apart from now on")
    return None


def _outcome(before: Sequence[Deployment], new: Sequence[Deployment], chooser: Chooser) -> Found | Asks | str:
    """What newcomers beside those that served are; a sentence where they are nothing."""
    by_name = {one.name: one for one in (*before, *new)}
    told = [*(one.annotations for one in by_name.values()), chooser.annotations]
    canary, baseline = (next((said[key] for said in told if said.get(key) in by_name), None) for key in (CANARY, BASELINE))
    if canary is not None and canary not in {one.name for one in new}:
        return f"{canary} is the canary by its annotation, and has not changed"
    rest = [one for one in before if baseline in {None, one.name}]
    fresh = [one for one in new if canary in {None, one.name} and one.name != baseline]
    if (canary is not None or baseline is not None) and len(rest) == 1 and len(fresh) == 1:
        return Found(old=rest[0], new=fresh[0])
    outcome: Outcome = siblings.beside([_workload(one) for one in (*before, *new)], was={one.name for one in before})
    match outcome:
        case Opens():
            return Found(old=by_name[outcome.found.baseline.name], new=by_name[outcome.found.canary.name])
        case Asks():
            return outcome
        case Quiet():
            return outcome.why
        case _:
            raise AssertionError(f"no route, and yet {outcome}")


def _undecided(why: str, before: Sequence[Deployment], new: Sequence[Deployment], chooser: Chooser) -> Undecided | None:
    """Which annotations tell, and what of them is not said yet; null: nobody is to be asked."""
    if chooser.annotations.get(WATCH) == "off":
        return None
    words = {CANARY: tuple(one.name for one in new), BASELINE: tuple(one.name for one in before)}
    open_words = {key: names for key, names in words.items() if len(names) > 1}
    return Undecided(why=why, words=open_words or {CANARY: words[CANARY]}, are_many=len(before) + len(new) > 2)


def _still(kept: KeptServing, there: Sequence[Deployment]) -> tuple[KeptServer, ...]:
    """Of those that stood, who is there, with what it ran: what it runs now is looked at once it is ready."""
    by_name = {(one.name, one.uid): one for one in there}
    pairs = ((one, by_name.get((one.name, one.uid))) for one in kept.stood)
    return tuple(replace(one, served=one.served or now.ready > 0) for one, now in pairs if now is not None)


def _with(serving: KeptServing, more: Sequence[Deployment]) -> KeptServing:
    """They are new no more."""
    names = {one.name for one in more}
    others = (one for one in serving.stood if one.name not in names)
    return replace(serving, stood=(*others, *(_server(one) for one in more)))


def _server(of: Deployment) -> KeptServer:
    return KeptServer(name=of.name, uid=of.uid, runs=runs(of), served=of.ready > 0)


def _workload(of: Deployment) -> Workload:
    return Workload(
        kind="Deployment", namespace=of.namespace, name=of.name, labels=of.labels, images=of.images, replicas=max(of.ready, 1)
    )
