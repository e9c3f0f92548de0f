"""Which destinations of a route are versions of one thing, so that one of them may be the canary of another. Pure.

Those that share an entry's requests are, whatever they are called: somebody weighs them. Those that get requests by who sends them,
or copies, are where they are kindred: of one host, of one name but for its version, or of one application. Those that differ by
path are where they are subsets of one host, and then nobody can tell a second interface from a release. What is outside of the
cluster is nobody's version.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from daemon.discovery.naming import stem
from daemon.discovery.owned import Owned
from daemon.discovery.picture import UNUSED, Condition, Destination, Entry, Picture, Use, uses
from daemon.discovery.surroundings import Behind, Surroundings
from daemon.placement import ObjectName


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One of the destinations: what it gets, and who stands behind it."""

    destination: Destination
    use: Use
    behind: Behind

    @property
    def is_live(self) -> bool:
        """Whether it gets anything."""
        return self.use.is_live

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """All that it is called, by what sort of name that is: only like is compared with like."""
        found = (
            ("subset", self.destination.subset),
            ("service", self.destination.service),
            ("version label", self.behind.version),
            ("track label", self.behind.tracks),
            ("workload", self.behind.workload),
        )
        return tuple((sort, name) for sort, name in found if name)

    def __str__(self) -> str:
        """``v4 (70 %)``."""
        return f"{self.destination.short} ({self.gets})"

    @property
    def gets(self) -> str:
        """What it gets, for a sentence."""
        said = [f"{self.use.percent:.4g} %"] if self.use.percent > 0 or not self.is_live else []
        said += ["pinned"] if self.use.is_pinned else []
        said += [f"copies of {self.use.mirrored_percent:.4g} %"] if self.use.mirrored_percent > 0 else []
        return ", ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Destinations of one route of which one may be the canary of another.

    Attributes:
        route: the object.
        hosts: that the object is for.
        candidates: in the order of their destinations, whatever the object's is; live or not.
        by_path: whether they differ by the path that is asked for.
        unclear: why it is not known who gets what; empty where it is.
        owned: the arms that a controller says; none, or several where controllers contend.
        unread: what could not be read of what stands around, a sentence each.
    """

    route: ObjectName
    hosts: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    by_path: bool = False
    unclear: str = ""
    owned: tuple[Owned, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def live(self) -> tuple[Candidate, ...]:
        """Those that get anything."""
        return tuple(one for one in self.candidates if one.is_live)

    def at(self, destination: Destination) -> Candidate | None:
        """The candidate at a destination; null: it is none of these."""
        return next((one for one in self.candidates if one.destination == destination), None)


def contests(picture: Picture, *, around: Surroundings) -> tuple[Contest, ...]:
    """Every contest of a route, in the order of their first destinations."""
    groups = _Groups()
    kindred = _kindred(around)
    for entry in picture.entries:
        groups.join([share.to for share in entry.shares if share.to.service])
        for mirror in entry.mirrors:
            for share in entry.shares:
                if kindred(mirror.to, share.to):
                    groups.join([mirror.to, share.to])
    for one, other in _pinned_beside(picture.entries):
        for share in one.shares:
            groups.join_each(share.to, [beside.to for beside in other.shares if kindred(share.to, beside.to)])
    versions = [group for group in groups.all() if len(group) > 1]
    paths = list(_by_path(picture.entries, set().union(*versions)))
    found = [_contest(picture, group, around, by_path=False) for group in versions]
    found += [_contest(picture, group, around, by_path=True) for group in paths]
    return tuple(sorted(found, key=lambda one: one.candidates[0].destination))


def why_none(picture: Picture, *, around: Surroundings) -> str:
    """Of a route without contests, why."""
    if not picture.entries:
        return "the route sends nothing anywhere"
    there = [share for entry in picture.entries for share in (*entry.shares, *entry.mirrors)]
    mirrored = [mirror.to for entry in picture.entries for mirror in entry.mirrors if mirror.percent > 0]
    if mirrored:
        return f"{mirrored[0]} gets copies and is another application"
    if len({share.to for share in there}) < 2:
        return "all goes to one destination"
    outside = next((share.to for share in there if not share.to.service), None)
    if outside is not None:
        return f"{outside} is outside of the cluster"
    return "its destinations are no versions of each other"


def _contest(picture: Picture, group: Iterable[Destination], around: Surroundings, *, by_path: bool) -> Contest:
    used, members = uses(picture), sorted(group)
    owned = tuple(one for one in around.owned if _has_both_arms(one, members, picture.route))
    candidates = []
    for destination in members:
        arm = owned[0].arm_at(destination, route=picture.route) if len(owned) == 1 else None
        behind = around.behind(destination, labels=arm.labels if arm is not None else None)
        candidates.append(Candidate(destination=destination, use=used.get(destination, UNUSED), behind=behind))
    unclear = [entry.unclear for entry in picture.entries if entry.unclear and any(share.to in members for share in entry.shares)]
    return Contest(
        route=picture.route,
        hosts=picture.hosts,
        candidates=tuple(candidates),
        by_path=by_path,
        unclear=unclear[0] if unclear else "",
        owned=owned,
        unread=around.unread,
    )


def _has_both_arms(owned: Owned, members: Sequence[Destination], route: ObjectName) -> bool:
    arms = [owned.arm_at(one, route=route) for one in members]
    return owned.baseline in arms and owned.canary in arms and owned.baseline != owned.canary


def _kindred(around: Surroundings) -> Callable[[Destination, Destination], bool]:
    def kindred(one: Destination, other: Destination) -> bool:
        if not one.service or not other.service or one.namespace != other.namespace:
            return False
        if one.host == other.host or (stem(one.service) and stem(one.service) == stem(other.service)):
            return True
        return bool(around.behind(one).apps & around.behind(other).apps)

    return kindred


def _pinned_beside(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Pairs of entries that the same requests may come by, but for who sends them."""
    for one, other in combinations(entries, 2):
        if (one.pins or other.pins) and one.is_beside(other):
            yield one, other


def _by_path(entries: Sequence[Entry], taken: set[Destination]) -> Iterator[set[Destination]]:
    """By host, the subsets that get all of one path each and are told apart by nothing else."""
    single = [(entry, entry.shares[0].to) for entry in entries if not entry.pins and len(entry.shares) == 1]
    found: dict[tuple[str, str], set[Destination]] = {}
    for (one, first), (other, second) in combinations(single, 2):
        like = first.host == second.host and first != second and first.service and not {first, second} & taken
        if like and one.protocol == other.protocol and _differ_by_path(one.conditions, other.conditions):
            found.setdefault((first.namespace, first.host), set()).update((first, second))
    yield from found.values()


def _differ_by_path(one: frozenset[Condition], other: frozenset[Condition]) -> bool:
    return {condition.of for condition in one ^ other} == {"path"}


class _Groups:
    """Destinations that were joined, directly or by others."""

    def __init__(self) -> None:
        self._of: dict[Destination, set[Destination]] = {}

    def join(self, members: Iterable[Destination]) -> None:
        """These belong together."""
        whole: set[Destination] = set()
        for one in members:
            whole |= self._of.get(one, {one})
        for one in whole:
            self._of[one] = whole

    def join_each(self, one: Destination, others: Iterable[Destination]) -> None:
        """Each of these belongs to one."""
        for other in others:
            self.join([one, other])

    def all(self) -> list[set[Destination]]:
        """Every group once."""
        return list({id(group): group for group in self._of.values()}.values())
