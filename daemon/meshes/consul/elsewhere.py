"""By what the canary may still be reached though no entry that can be written names it any more. Pure.

It is named and not touched: failovers to the canary, which are somebody's provision for a day on which nothing else serves; a
service without a default subset, of which all instances serve; and what another datacenter or cluster has of the same name.
"""

from collections.abc import Iterator, Sequence

from daemon.meshes.consul.entries import Entry, Target, field, numbered, text
from daemon.meshes.consul.routes import Arms, served, targets
from daemon.meshes.references import Json


def elsewhere(entries: Sequence[Entry], *, arms: Arms) -> tuple[str, ...]:
    """Each place, in the order of the entries."""
    found = [said for entry in entries for said in (*_failovers(entry, arms), *_abroad(entry, arms))]
    return tuple(dict.fromkeys([*found, *_undivided(entries, arms)]))


def resolver_of(entries: Sequence[Entry], service: Target) -> Entry | None:
    """The resolver of a service, where there is one."""
    return _of(entries, "service-resolver", service)


def default_subset(entries: Sequence[Entry], service: Target) -> str:
    """What its resolver says of requests that name no subset; empty: nothing, all instances serve."""
    resolver = resolver_of(entries, service)
    return "" if resolver is None else text(resolver.body, "default_subset")


def _failovers(entry: Entry, arms: Arms) -> Iterator[str]:
    sections = field(entry.body, "failover") if entry.kind == "service-resolver" else None
    for whose, section in sections.items() if isinstance(sections, dict) else ():
        failing = _narrowed(entry.own, None if whose == "*" else str(whose))
        if not isinstance(section, dict) or arms.is_canary(failing):
            continue
        for there in _failover_targets(entry, section, failing):
            if arms.is_canary(_here(there)):
                subset = "every subset" if whose == "*" else f"subset {whose}"
                yield f"{entry.kind} {entry.name}: failover of {subset} to {there}"


def _failover_targets(entry: Entry, section: Json, failing: Target) -> Iterator[Target]:
    """One that names neither service nor subset is the failing one itself, in another datacenter."""
    listed = [one for _, one in numbered(section, "targets")]
    for one in listed or [section]:
        named = entry.target(one)
        stays = named.service == entry.name and named.subset is None
        yield _narrowed(named, failing.subset) if stays else named


def _abroad(entry: Entry, arms: Arms) -> Iterator[str]:
    for target in targets(entry):
        if target.abroad and arms.is_canary(_here(target)):
            yield f"{entry.kind} {entry.name}: redirect to {target}"


def _undivided(entries: Sequence[Entry], arms: Arms) -> Iterator[str]:
    """What reaches all instances of the canary's service, the canary's among them."""
    whole = _narrowed(arms.canary, None)
    if arms.canary.subset is None or default_subset(entries, whole):
        return
    why = f"{whole} has no default subset, so that all its instances serve"
    splitter = _of(entries, "service-splitter", whole)
    if splitter is None:
        yield f"whoever asks for {whole} itself: {why}"
    elif whole in served(splitter):
        yield f"{splitter.kind} {splitter.name}: {why}"
    for entry in entries:
        if entry.kind == "service-resolver" and whole in targets(entry):
            yield f"{entry.kind} {entry.name}: {why}"


def _of(entries: Sequence[Entry], kind: str, service: Target) -> Entry | None:
    return next((one for one in entries if one.kind == kind and one.own.is_same_service(service)), None)


def _narrowed(target: Target, subset: str | None) -> Target:
    return Target(
        service=target.service, subset=subset, namespace=target.namespace, partition=target.partition, abroad=target.abroad
    )


def _here(target: Target) -> Target:
    """The same name in this datacenter."""
    return Target(service=target.service, subset=target.subset, namespace=target.namespace, partition=target.partition)
