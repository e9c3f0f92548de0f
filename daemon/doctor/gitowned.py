"""Routes that Git applies: whether a revert of their traffic is undone there, and how Git's tool is told to leave weights alone.

What a tool is told to ignore is written in its own words, as jq or JSON pointers. They are shown, and not evaluated.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.engine.dependencies import MeshCluster
from daemon.engine.gitsources import Sources, must_change, sources
from daemon.placement import Applier, ObjectName, RouteReference
from daemon.ports.routing import GitSource

_WEIGHTS: Final = {
    "VirtualService": ".spec.http[]?.route[]?.weight",
    "HTTPRoute": ".spec.rules[]?.backendRefs[]?.weight",
    "GRPCRoute": ".spec.rules[]?.backendRefs[]?.weight",
    "TLSRoute": ".spec.rules[]?.backendRefs[]?.weight",
    "TCPRoute": ".spec.rules[]?.backendRefs[]?.weight",
    "TrafficSplit": ".spec.backends[]?.weight",
    "ServiceProfile": ".spec.dstOverrides[]?.weight",
    "ServiceSplitter": ".spec.splits[]?.weight",
}
"""Where the weights of a kind of routes are, as jq says it."""


async def examine(
    routes: Iterable[RouteReference], clusters: Mapping[str, MeshCluster], *, where: str, seconds: float
) -> list[Diagnosis]:
    """One diagnosis for each object that Git applies. ``seconds``: how long reading what each tool applies may take."""
    home = next(iter(clusters))
    applied = {(one.cluster or home, one.object): one.applier for one in routes if one.applier is not None}
    found: list[Diagnosis] = []
    for cluster, one in clusters.items():
        those = {name: applier for (at, name), applier in applied.items() if at == cluster}
        read = await sources(one.git, those.values(), seconds=seconds)
        found += [_diagnosis(name, applier, read, where=where) for name, applier in those.items()]
    return found


def _diagnosis(name: ObjectName, applier: Applier, found: Sources, *, where: str) -> Diagnosis:
    said, source = f"{name.kind} {name}", found.get(applier)
    if applier.left_alone:
        told = f"{said} is of {applier}, which leaves it as it is in the cluster ({applier.left_alone})"
        return Diagnosis(code=Code.GIT_LEAVES_ALONE, where=where, found=told)
    spared = source.spared(name) if isinstance(source, GitSource) else ()
    if spared and isinstance(source, GitSource) and not source.unspared:
        told = f"{said} is of {applier}, which leaves alone there: {', '.join(spared)}"
        return Diagnosis(code=Code.GIT_LEAVES_ALONE, where=where, found=told)
    told = f"a revert is undone in {said}, {must_change(applier, found)}"
    if spared and isinstance(source, GitSource):
        told += f"; {', '.join(spared)} are ignored there, but {source.unspared}"
    return Diagnosis(code=Code.GIT_PUTS_BACK, where=where, found=told, fix=_fix(name, applier))


def _fix(name: ObjectName, applier: Applier) -> str:
    """How its tool leaves the weights alone."""
    weights = _WEIGHTS.get(name.kind, ".spec")
    lines = {
        "Application": (
            f"have Application {applier.object} leave the weights alone:",
            "ignoreDifferences:",
            f'  - {{group: "*", kind: {name.kind}, name: {name.name}, jqPathExpressions: ["{weights}"]}}',
            "syncPolicy:",
            "  syncOptions: [RespectIgnoreDifferences=true]",
        ),
        "HelmRelease": (
            f"have HelmRelease {applier.object} leave it alone when it looks for drift, by an annotation in the chart's template:",
            'helm.toolkit.fluxcd.io/driftDetection: "disabled"',
        ),
        "Kustomization": (
            f"have Kustomization {applier.object} make it once and leave it alone then, by an annotation in Git:",
            'kustomize.toolkit.fluxcd.io/ssa: "IfNotPresent"',
        ),
    }
    return "\n".join(lines.get(applier.object.kind, (f"have {applier} leave it alone",)))
