"""Who stands behind an arm of Consul, and what follows for a revert. Pure.

An arm is instances, not a name: its resolver's filter chooses them, and a subset that was given another filter is another arm.
*Surely nobody* needs all of it read, and no failover that would serve in its place.
"""

from dataclasses import dataclass

from daemon.meshes.consul.entries import Entry, Target, field, text
from daemon.meshes.references import Json, listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which instances of its service a target is.

    Attributes:
        expression: the filter, in Consul's words; empty: all of them; null: that is not known.
        only_passing: whether a warning keeps requests from an instance.
        missing: that there is no such subset, in words; else empty.
        otherwise: what serves in their place where they do not, in words; else empty.
    """

    expression: str | None = ""
    only_passing: bool = False
    missing: str = ""
    otherwise: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """Who stands behind an arm: all instances, those that take requests, and why that may not be all."""

    target: Target
    chosen: Chosen
    there: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()
    hidden: str = ""


def chosen(target: Target, resolver: Entry | None) -> Chosen:
    """By the resolver of its service, where it has one."""
    if resolver is None:
        why = f"{target.service} has no resolver, and no subset {target.subset}"
        return Chosen(expression=None, missing=why) if target.subset else Chosen()
    subset = target.subset or text(resolver.body, "default_subset")
    subsets = field(resolver.body, "subsets")
    known: Json = subsets if isinstance(subsets, dict) else {}
    if subset and subset not in known:
        there = f"it has {listed(known)}" if known else "it has none"
        return Chosen(expression=None, missing=f"the resolver of {target.service} has no subset {subset} ({there})")
    one = known.get(subset) or {}
    return Chosen(
        expression=text(one, "filter"),
        only_passing=field(one, "only_passing") is True,
        otherwise=_otherwise(resolver, subset),
    )


def same(baseline: Backing, canary: Backing) -> str | None:
    """That both arms are the same instances, where that is sure: by what chooses them, or because they are."""
    said = f"baseline ({baseline.target}) and canary ({canary.target}) are the same instances"
    expression = baseline.chosen.expression
    if expression is not None and baseline.target.is_same_service(canary.target) and expression == canary.chosen.expression:
        return f"{said} ({expression or 'all of them'})"
    if baseline.there and baseline.there == canary.there:
        return f"{said} ({listed(baseline.there)})"
    return None


def harm(baseline: Backing, canary: Backing, *, convicted: str | None = None) -> str | None:
    """Why traffic must not be sent to the baseline, where that is sure. ``convicted``: the canary's filter when it was located."""
    if baseline.chosen.missing:
        return f"{baseline.chosen.missing}: taking the traffic back would answer errors to all of it"
    if (one := same(baseline, canary)) is not None:
        return f"{one}: there is nothing to go back to"
    if convicted and baseline.target.is_same_service(canary.target) and baseline.chosen.expression == convicted:
        return f"{baseline.target} has come to mean the canary's instances since they were located ({convicted})"
    if not baseline.ready and not baseline.hidden and not baseline.chosen.otherwise:
        behind = f"none of the {len(baseline.there)} behind it takes requests" if baseline.there else "no instance is behind it"
        return f"the baseline has no ready instances ({behind}): taking the traffic back would answer errors to all of it"
    return None


def account(baseline: Backing, canary: Backing) -> str:
    """What is known of who would serve, in a line."""
    if baseline.hidden and not baseline.there:
        told = f"how many instances the baseline has is not known: there may be {baseline.hidden}"
    else:
        told = f"{len(baseline.ready)} ready instances"
        told += "" if canary.hidden else f" (the canary has {len(canary.ready)})"
    if shared := len(baseline.there & canary.there):
        told += f"; {shared} of its {len(baseline.there)} instances are the canary's too, which get their part of what goes back"
    return told + (f"; {baseline.chosen.otherwise}" if baseline.chosen.otherwise and not baseline.ready else "")


def _otherwise(resolver: Entry, subset: str) -> str:
    """A redirect makes the filter say nothing; a failover serves where nobody is ready."""
    if field(resolver.body, "redirect") is not None:
        return f"{resolver.name} is redirected"
    sections = field(resolver.body, "failover")
    there = sections if isinstance(sections, dict) else {}
    return f"{resolver.name} has a failover" if subset in there or "*" in there else ""
