"""The API server of a mesh: whether it is reached, whether it serves the mesh's objects, and what we may do, right by right.

What is asked for are the rows from which the manifest is made (``MeshKind.rights``): a right that is missing here is one that the
daemon would miss at a revert.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from config.settings import Mesh
from daemon.delivery import gittools, owners
from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.errors import Forbidden, VerdictdError
from daemon.kube import asking
from daemon.kube.client import KubeClient
from daemon.kube.resources import Resource
from daemon.kube.rights import Right, Scope, Verb
from daemon.kube.versions import served_version
from daemon.meshes.registry import kind_of

_ROLES: Mapping[Scope, str] = {
    "everywhere": "verdictd-find-routes",
    "watched": "verdictd-observe",
    "enforced": "verdictd-enforce",
}
"""Of the manifest."""
_MEANS: Mapping[Scope, str] = {
    "everywhere": "routes of other namespaces that name a canary are not found",
    "watched": "its releases cannot be watched",
    "enforced": "its traffic cannot be taken back",
}
"""What comes of it when a right is missing, where its row does not say otherwise."""
Need = tuple[Verb, Resource]
"""Something to be done to objects of a kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespaces:
    """The namespaces of the releases that were named: where they are watched, and where their traffic may be taken back."""

    observed: Collection[str] = ()
    enforced: Collection[str] = ()

    def of(self, scope: Scope) -> Sequence[str | None]:
        """Where a right of this scope is needed; null is everywhere."""
        match scope:
            case "everywhere":
                return (None,)
            case "watched":
                return sorted(self.observed)
            case "enforced":
                return sorted(self.enforced)
            case _:
                assert_never(scope)


async def examine(
    kube: KubeClient, *, where: str, meshes: Mapping[str, Mesh], namespaces: Namespaces, sidecars: Collection[str] = ()
) -> list[Diagnosis]:
    """One API server, for the meshes that are steered through it.

    Args:
        kube: asks it.
        where: it stands in the settings.
        meshes: by their names in the settings.
        namespaces: those that matter.
        sidecars: the meshes whose telemetry is read from the arms' pods and from nowhere else.
    """
    try:
        version = await asking.version(kube)
        rights = [
            replace(right, without="") if right.sidecars and name in sidecars else right
            for name, mesh in meshes.items()
            for right in kind_of(mesh).rights
        ]
        rights += [right for kind in owners.kinds().values() for right in kind.rights]
        rights += [right for kind in gittools.BUILT_IN for right in kind.rights]
        found = [*await _served(kube, meshes), *await _rights(kube, where=where, rights=rights, namespaces=namespaces)]
    except Forbidden as error:
        fix = f"set {where}.kubeconfig and context (or auth) to credentials that this API server takes"
        return [Diagnosis(code=Code.CLUSTER_FORBIDDEN, where=where, found=str(error), fix=fix)]
    except VerdictdError as error:
        fix = f"set {where}.kubeconfig and context (or auth) to an API server that answers, within request_timeout_seconds"
        return [Diagnosis(code=Code.CLUSTER_UNREACHABLE, where=where, found=str(error), fix=fix)]
    return [Diagnosis(code=Code.CLUSTER, where=where, found=f"the API server answers: Kubernetes {version}"), *found]


async def _served(kube: KubeClient, meshes: Mapping[str, Mesh]) -> list[Diagnosis]:
    """Whether the objects of each mesh exist here at all, in the version that is read and written."""
    found = []
    for name, mesh in meshes.items():
        kind = kind_of(mesh)
        wanted = dict.fromkeys(one for right in kind.rights for one in right.resources if one.group)
        served = {one: await served_version(kube.document, one) for one in wanted}
        missing = [one for one in wanted if served[one] is None and not one.optional]
        if missing:
            said = f"the API server does not serve {', '.join(f'{one} {one.version}' for one in missing)}"
            fix = f"install {kind.name}'s CustomResourceDefinitions here, or name the cluster that has them: meshes.{name}.cluster"
            found.append(Diagnosis(code=Code.MESH_NOT_SERVED, where=f"meshes.{name}", found=said, fix=fix))
        elif wanted:
            groups = ", ".join(dict.fromkeys(f"{one.group}/{version}" for one, version in served.items() if version))
            said = f"the API server serves {groups}, as {kind.name}'s objects are read and written"
            found.append(Diagnosis(code=Code.CONTROL_PLANE, where=f"meshes.{name}", found=said))
    return found


async def _rights(kube: KubeClient, *, where: str, rights: Sequence[Right], namespaces: Namespaces) -> list[Diagnosis]:
    """What we may not do and would, by scope and namespace: one rule each."""
    who = await asking.who_we_are(kube)
    found: list[Diagnosis] = []
    asked = 0
    for scope in _ROLES:
        # What it is needed for first is what its lack means.
        needed: dict[Need, str] = {}
        for one in rights:
            if scope in one.scopes:
                for need in ((verb, resource) for verb in one.verbs for resource in one.resources):
                    needed.setdefault(need, one.without or _MEANS[scope])
        for namespace in namespaces.of(scope):
            asked += len(needed)
            missing = {
                need: means for need, means in needed.items() if not (await asking.may(kube, *need, namespace=namespace)).allowed
            }
            if missing:
                found.append(_missing(missing, scope=scope, namespace=namespace, who=who, where=where))
    if not found:
        those = (
            f"; in {', '.join(sorted(namespaces.observed))} too"
            if namespaces.observed
            else "; name a release to ask for its namespace"
        )
        said = f"all {asked} rights asked for are there{f', as {who}' if who else ''}{those}"
        found.append(Diagnosis(code=Code.PERMISSIONS, where=where, found=said))
    return found


def _missing(missing: Mapping[Need, str], *, scope: Scope, namespace: str | None, who: str, where: str) -> Diagnosis:
    """The rule that is missing, what comes of that, and how the role of the manifest that has it is bound."""
    place = "in all namespaces" if namespace is None else f"in namespace {namespace}"
    verbs: dict[str, list[str]] = {}
    for verb, resource in missing:
        verbs.setdefault(resource.ruled, []).append(verb)
    those = ", ".join(f"{'/'.join(some)} {plural}" for plural, some in verbs.items())
    means = "; ".join(dict.fromkeys(missing.values()))
    role = _ROLES[scope]
    lines = [
        f"bind ClusterRole {role} {place}, or a role with these rules:",
        *rules(missing),
        f"kubectl {_binding(role, namespace, who)}",
    ]
    return Diagnosis(
        code=Code.PERMISSION_MISSING if scope != "everywhere" and _MEANS[scope] in missing.values() else Code.PERMISSION_NARROW,
        where=where,
        found=f"{who or 'these credentials'} may not {those} {place}; {means}",
        fix="\n".join(lines),
    )


def rules(missing: Iterable[Need]) -> list[str]:
    """As they stand under ``rules`` of a Role, a line each; what may be done to objects of one group is one rule."""
    by_kind: dict[tuple[str, str], dict[Verb, None]] = {}
    for verb, resource in missing:
        by_kind.setdefault((resource.group, resource.ruled), {})[verb] = None
    together: dict[tuple[str, tuple[Verb, ...]], list[str]] = {}
    for (group, plural), verbs in by_kind.items():
        together.setdefault((group, tuple(verbs)), []).append(plural)
    return [
        f'- {{apiGroups: ["{group}"], resources: [{", ".join(plurals)}], verbs: [{", ".join(verbs)}]}}'
        for (group, verbs), plurals in together.items()
    ]


def _binding(role: str, namespace: str | None, who: str) -> str:
    account = who.removeprefix("system:serviceaccount:")
    subject = f"--user={who or 'NAME'}" if account == who else f"--serviceaccount={account}"
    if namespace is None:
        return f"create clusterrolebinding {role} --clusterrole={role} {subject}"
    return f"-n {namespace} create rolebinding {role} --clusterrole={role} {subject}"
