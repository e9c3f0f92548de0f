"""Istio's DestinationRule, read only: which rules a client goes by for a host, and what their subsets mean. Pure.

istiod looks in the namespace of the client, then of the service, then in the mesh's root namespace, and goes by the first in
which a rule fits; there the rules of the most specific host are taken together, the oldest first. What a namespace exports to
nobody else is for its own clients, and a rule with a workloadSelector for some of them only. (istio/istio,
pilot/pkg/model/push_context.go ``destinationRule`` and destination_rule.go ``mergeDestinationRule``.)
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from daemon.errors import VerdictdError
from daemon.kube.resources import Json
from daemon.meshes.istio.hosts import DEFAULT_DOMAIN, Destination, domain_of, fits, normal, service_of
from daemon.meshes.references import nearest
from daemon.model import ArmSpec

Labels = Mapping[str, str]
Rules = Mapping[str, Sequence[Json] | VerdictdError]
"""By namespace: its rules, or why they could not be read."""


class Listed(list[Json]):
    """The rules of a namespace as many releases look at them: by their hosts, which is worked out once. Nobody changes it."""

    @functools.cached_property
    def by_host(self) -> Mapping[str, Sequence[Json]]:
        """The rules for each host, or wildcard, as ``istiohosts.normal`` gives it."""
        found: dict[str, list[Json]] = {}
        for rule in self:
            found.setdefault(_host(rule), []).append(rule)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Subsets:
    """The subsets of a host as one client has them.

    Attributes:
        labels: by the subset's name.
        rules: the rules that say so, as ``namespace/name``; none: there is no rule for this host.
        partly: subsets that only rules for some of the client's workloads have.
        unread: why it is not known what the client goes by; empty when it is.
    """

    labels: Mapping[str, Labels]
    rules: tuple[str, ...] = ()
    partly: frozenset[str] = frozenset()
    unread: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetLabels:
    """What an arm's subset means to the clients that are sent there.

    Attributes:
        labels: those of its pods; null when it is not known or there is no such subset.
        missing: that surely no client has such a subset, in words; else empty.
        unknown: why its labels are not known; else empty.
        note: clients that have no such subset, though others have.
    """

    labels: Labels | None = None
    missing: str = ""
    unknown: str = ""
    note: str = ""


def namespaces_asked(host: str, *, clients: Sequence[str], root: str) -> list[str]:
    """Where rules for this host are looked for, in order, each once."""
    service = service_of(host)
    return list(dict.fromkeys([*clients, *([service[1]] if service else []), root]))


def subsets_for(client: str, rules: Rules, *, host: str, root: str) -> Subsets:
    """What a client of this namespace goes by for a host (in the form of ``istiohosts.normal``)."""
    partly: set[str] = set()
    for namespace, shown in _steps(client, host=host, root=root):
        there = rules.get(namespace, ())
        if isinstance(there, VerdictdError):
            return Subsets(labels={}, unread=f"the DestinationRules of namespace {namespace} could not be read: {there}")
        fitting = _most_specific(there, shown, host=host, rules=rules)
        partly |= {name for rule in fitting if _for_some(rule) for name in _subsets([rule])}
        whole = [rule for rule in fitting if not _for_some(rule)]
        if whole:
            labels = _subsets(whole)
            return Subsets(labels=labels, rules=tuple(_name(rule) for rule in whole), partly=frozenset(partly - labels.keys()))
    return Subsets(labels={}, partly=frozenset(partly))


def defining(subset: str, rules: Sequence[Json], *, host: str) -> tuple[str, ...]:
    """The rules, of any namespace and for whatever client, that define this subset of the host, as ``namespace/name``."""
    domains = _domains({"": rules})
    found = (rule for rule in rules if fits(_host(rule), host, domains=domains) and subset in _subsets([rule]))
    return tuple(sorted(_name(rule) for rule in found))


def subset_labels(arm: Destination, views: Mapping[str, Subsets]) -> SubsetLabels:
    """What the arm's subset means, given what each namespace of clients goes by."""
    if arm.subset is None:
        return SubsetLabels(labels={})
    having = {client: view.labels[arm.subset] for client, view in views.items() if arm.subset in view.labels}
    if having:
        if any(labels != next(iter(having.values())) for labels in having.values()):
            return SubsetLabels(unknown=f"subset {arm.subset} means other pods to clients of {' and '.join(sorted(having))}")
        lacking = [client for client, view in views.items() if client not in having and not view.unread]
        note = f"clients of {', '.join(lacking)} have no subset {arm.subset} of {arm.host}" if lacking else ""
        return SubsetLabels(labels=next(iter(having.values())), note=note)
    for view in views.values():
        if view.unread:
            return SubsetLabels(unknown=view.unread)
        if arm.subset in view.partly:
            return SubsetLabels(unknown=f"subset {arm.subset} is only in a rule for some workloads (workloadSelector)")
    return SubsetLabels(missing=_no_subset(arm, views))


def looked_everywhere(arm: Destination, found: SubsetLabels, rules: Sequence[Json] | VerdictdError) -> SubsetLabels:
    """A subset that the clients we know of have not, given all rules of the cluster: a gateway's proxies, and sidecars that we
    know nothing of, may be where a rule has it."""
    if isinstance(rules, VerdictdError):
        return SubsetLabels(unknown=f"{found.missing}; whether clients elsewhere have it could not be read: {rules}")
    having = defining(arm.subset or "", rules, host=arm.host)
    return SubsetLabels(unknown=f"{found.missing}; clients elsewhere may, by {', '.join(having)}") if having else found


def subset_of(arm: ArmSpec, known: Mapping[str, Labels]) -> str | None:
    """The subset that an arm without one means: by its labels, else by its version; null when none or several fit."""
    wanted = arm.labels or ({"version": arm.version} if arm.version else {})
    fitting = [name for name, labels in known.items() if wanted and labels and _within(labels, wanted)]
    return fitting[0] if len(fitting) == 1 else None


def _within(labels: Labels, wanted: Labels) -> bool:
    """Every label that the subset asks for is one of the arm's."""
    return all(wanted.get(key) == value for key, value in labels.items())


def _no_subset(arm: Destination, views: Mapping[str, Subsets]) -> str:
    rules = dict.fromkeys(rule for view in views.values() for rule in view.rules)
    if not rules:
        return f"no DestinationRule for {arm.host} defines subset {arm.subset}: there is none for it"
    known = {name for view in views.values() for name in view.labels}
    named = ", ".join(rules)
    return f"DestinationRule {named} for {arm.host} does not define subset {arm.subset} ({nearest(arm.subset or '', known)})"


def _steps(client: str, *, host: str, root: str) -> list[tuple[str, Callable[[Json], bool]]]:
    """Namespaces in istiod's order, and which of their rules it shows to the client.

    All of the client's own come first; but where that is the root namespace, only those that are for it alone do: the rest
    are meant for the whole mesh, and come last.
    """
    service = service_of(host)
    own = (client, _is_private) if client == root else (client, _is_any)

    def exported(rule: Json) -> bool:
        to = _exported_to(rule)
        return not _is_private(rule) and ("*" in to or client in to or ("." in to and client == _namespace(rule)))

    return [own, *([(service[1], exported)] if service else []), (root, exported)]


def _is_any(_rule: Json) -> bool:
    return True


def _is_private(rule: Json) -> bool:
    return set(_exported_to(rule)) <= {".", _namespace(rule)} or _for_some(rule)


def _exported_to(rule: Json) -> list[str]:
    """To all, where the rule does not say; the mesh's own default is not read."""
    return _spec(rule).get("exportTo") or ["*"]


def _most_specific(there: Sequence[Json], shown: Callable[[Json], bool], *, host: str, rules: Rules) -> list[Json]:
    """Of those shown the rules for exactly this host, else those of the longest wildcard that fits, the oldest first."""
    by_host = there.by_host if isinstance(there, Listed) else Listed(there).by_host
    found = [rule for rule in by_host.get(host, ()) if shown(rule)]
    wild = [] if found else [rule for pattern in by_host if pattern.startswith("*") for rule in by_host[pattern] if shown(rule)]
    if wild:
        domains = _domains(rules)
        longest = max((one for one in map(_host, wild) if fits(one, host, domains=domains)), key=len, default=None)
        found = [rule for rule in wild if _host(rule) == longest]
    return sorted(found, key=_age)


def _domains(rules: Rules) -> frozenset[str]:
    listed = [rule for there in rules.values() if not isinstance(there, VerdictdError) for rule in there]
    found = (domain_of(str(_spec(rule).get("host", ""))) for rule in listed)
    return frozenset({DEFAULT_DOMAIN, *(one for one in found if one)})


def _subsets(rules: Sequence[Json]) -> dict[str, Labels]:
    """Labels by subset; of two rules that have the same one, the first counts."""
    found: dict[str, Labels] = {}
    for rule in rules:
        for one in _spec(rule).get("subsets") or ():
            if isinstance(one, dict) and "name" in one:
                found.setdefault(str(one["name"]), one.get("labels") or {})
    return found


def _for_some(rule: Json) -> bool:
    return bool(_spec(rule).get("workloadSelector"))


def _age(rule: Json) -> tuple[str, str]:
    return str(rule.get("metadata", {}).get("creationTimestamp", "")), _name(rule)


def _name(rule: Json) -> str:
    return f"{_namespace(rule)}/{rule.get('metadata', {}).get('name', '')}"


def _host(rule: Json) -> str:
    return normal(str(_spec(rule).get("host", "")), namespace=_namespace(rule))


def _namespace(rule: Json) -> str:
    return str(rule.get("metadata", {}).get("namespace", ""))


def _spec(rule: Json) -> Json:
    spec = rule.get("spec")
    return spec if isinstance(spec, dict) else {}
