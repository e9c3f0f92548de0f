"""Which targets a release's two arms are, by what it says and by its services' resolvers. Pure.

What was seen of them when a watch began is kept with the session, as a string: a restart must not forget who is convicted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from daemon.errors import InvalidInput
from daemon.meshes.consul.elsewhere import default_subset, resolver_of
from daemon.meshes.consul.entries import DEFAULT, Entry, Target, field, text
from daemon.meshes.consul.routes import Arms
from daemon.model import ArmSpec, Release

_FIX = "name the subset of the service's resolver, or a service of its own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """The arms as they were when a watch began; ``canary_filter``: which instances were the canary's, null: that is not known."""

    arms: Arms
    canary_filter: str | None = None


def named(release: Release, *, namespace: str = DEFAULT, partition: str = DEFAULT) -> Arms:
    """The arms as the release names them; an arm's service that is not named is the released one.

    Raises:
        InvalidInput: the canary is not named, or both are the same.
    """
    if release.canary.service is None and release.canary.subset is None:
        raise InvalidInput("neither service nor subset is given: an arm of Consul is one of them", path="$.canary", fix=_FIX)

    def target(arm: ArmSpec) -> Target:
        return Target(service=arm.service or release.service, subset=arm.subset, namespace=namespace, partition=partition)

    arms = Arms(baseline=target(release.baseline), canary=target(release.canary))
    if arms.baseline == arms.canary:
        raise InvalidInput(f"baseline and canary are both {arms.canary}", path="$.canary", fix=_FIX)
    if arms.is_canary(arms.baseline):
        wrong = f"the canary is all of {arms.canary.service}, and the baseline, {arms.baseline}, is a part of it"
        raise InvalidInput(wrong, path="$.canary.subset", fix="name the canary's subset")
    return arms


def is_outright(arms: Arms) -> bool:
    """Whether they are known without a resolver: the baseline is not a whole service that the canary is a part of."""
    return arms.baseline.subset is not None or not arms.baseline.is_same_service(arms.canary)


def resolved(arms: Arms, entries: Sequence[Entry]) -> Arms:
    """The same with what resolvers say of them: the baseline's subset, where it is the default one, and the canary's other names.

    Raises:
        InvalidInput: the baseline is all of the service, or what its default subset is, and the canary is in it.
    """
    arms = replace(arms, aliases=_aliases(arms, entries))
    if is_outright(arms):
        return arms
    default = default_subset(entries, arms.baseline)
    if default in ("", arms.canary.subset, *arms.aliases):
        why = f"the default subset of {arms.baseline} is the canary's" if default else f"{arms.baseline} has no default subset"
        wrong = f"no subset is given, and {why}: the baseline would be the canary's instances too"
        raise InvalidInput(wrong, path="$.baseline.subset", fix="name the baseline's subset")
    return replace(arms, baseline=replace(arms.baseline, subset=default))


def _aliases(arms: Arms, entries: Sequence[Entry]) -> tuple[str, ...]:
    """The baseline is none, whatever its filter is."""
    resolver = resolver_of(entries, arms.canary)
    subsets = None if resolver is None else field(resolver.body, "subsets")
    if not isinstance(subsets, dict) or arms.canary.subset not in subsets:
        return ()
    own = text(subsets[arms.canary.subset], "filter")
    taken = {arms.canary.subset, arms.baseline.subset if arms.baseline.is_same_service(arms.canary) else None}
    return tuple(sorted(name for name, one in subsets.items() if name not in taken and text(one, "filter") == own))
