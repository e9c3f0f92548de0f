"""Flux: which source and revision a Kustomization or a HelmRelease applies, and when it undoes what others write.

A Kustomization writes over everything at each reconciliation. A HelmRelease does so only where it is told to look for drift; what
it installs comes of a chart and of its own values, so that whoever applies the HelmRelease is asked in its turn.
"""

from typing import TYPE_CHECKING, Final

import msgspec

from daemon.delivery.claimed import read
from daemon.delivery.gittoolkind import READ_GIT, UNREAD_GIT, GitToolKind
from daemon.errors import Refused, VerdictdError
from daemon.kube import applying
from daemon.kube.resources import Json, Resource
from daemon.kube.rights import Right
from daemon.placement import ObjectName
from daemon.ports.routing import GitSource, Spared

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

KUSTOMIZATIONS = Resource(
    group="kustomize.toolkit.fluxcd.io",
    version="v1",
    plural="kustomizations",
    kind="Kustomization",
    earlier=("v1beta2",),
    optional=True,
)
HELM_RELEASES = Resource(
    group="helm.toolkit.fluxcd.io",
    version="v2",
    plural="helmreleases",
    kind="HelmRelease",
    earlier=("v2beta2", "v2beta1"),
    optional=True,
)
_ANY: Final = ".*"
_SUSPENDED: Final = "it is not applied again while that is suspended"


class _Reference(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""
    namespace: str = ""

    def said(self, *, beside: str) -> str:
        """With its namespace, which is that of the object ``beside`` it where it names none."""
        return f"{self.kind} {self.namespace or beside}/{self.name}"


class _Target(msgspec.Struct, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""


class _Ignored(msgspec.Struct, frozen=True):
    paths: tuple[str, ...] = ()
    target: _Target | None = None

    @property
    def spared(self) -> Spared:
        """Without a target it is about all objects."""
        wanted = self.target or _Target()
        found = (wanted.kind or _ANY, wanted.namespace or _ANY, wanted.name or _ANY)
        return Spared(paths=self.paths, kind=found[0], namespace=found[1], name=found[2])


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    interval: str = ""
    path: str = ""
    suspend: bool = False
    source_ref: _Reference | None = None
    ignore: tuple[_Ignored, ...] = ()


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    last_applied_revision: str = ""
    last_applied_origin_revision: str = ""


class _Kustomization(msgspec.Struct, frozen=True):
    spec: _Spec = _Spec()
    status: _Status = _Status()


class _ChartSpec(msgspec.Struct, frozen=True, rename="camel"):
    chart: str = ""
    source_ref: _Reference | None = None


class _Chart(msgspec.Struct, frozen=True):
    spec: _ChartSpec = _ChartSpec()


class _Drift(msgspec.Struct, frozen=True):
    mode: str = ""
    ignore: tuple[_Ignored, ...] = ()


class _HelmSpec(msgspec.Struct, frozen=True, rename="camel"):
    interval: str = ""
    suspend: bool = False
    chart: _Chart | None = None
    chart_ref: _Reference | None = None
    drift_detection: _Drift = _Drift()


class _Installed(msgspec.Struct, frozen=True, rename="camel"):
    chart_name: str = ""
    chart_version: str = ""


class _HelmStatus(msgspec.Struct, frozen=True, rename="camel"):
    history: tuple[_Installed, ...] = ()
    last_applied_revision: str = ""


class _HelmRelease(msgspec.Struct, frozen=True):
    spec: _HelmSpec = _HelmSpec()
    status: _HelmStatus = _HelmStatus()


async def source(kube: "KubeClient", applier: ObjectName) -> GitSource:
    """What this Kustomization or HelmRelease applies. Raises ``Refused`` where that cannot be known, and as ``KubeClient.get``."""
    if not applier.namespace:
        raise Refused(f"the mark of {applier.kind} {applier.name} names no namespace")
    if applier.kind == HELM_RELEASES.kind:
        item = await kube.get(HELM_RELEASES, namespace=applier.namespace, name=applier.name)
        return _of_release(item, at=applier, declared=await _declared(kube, item, at=applier))
    return _of_kustomization(await kube.get(KUSTOMIZATIONS, namespace=applier.namespace, name=applier.name), at=applier)


def _of_kustomization(item: Json, *, at: ObjectName) -> GitSource:
    one = read(item, kind=_Kustomization)
    where = one.spec.source_ref.said(beside=at.namespace) if one.spec.source_ref is not None else "no source"
    return GitSource(
        of=where + (f", {one.spec.path}" if one.spec.path else ""),
        revision=one.status.last_applied_revision,
        deployed=one.status.last_applied_origin_revision,
        applied_again=_SUSPENDED if one.spec.suspend else _reconciled(one.spec.interval),
        spares=tuple(rule.spared for rule in one.spec.ignore),
    )


def _of_release(item: Json, *, at: ObjectName, declared: str) -> GitSource:
    one = read(item, kind=_HelmRelease)
    spec, newest = one.spec, next(iter(one.status.history), _Installed())
    chart = spec.chart.spec if spec.chart is not None else _ChartSpec()
    reference = spec.chart_ref or chart.source_ref
    name = newest.chart_name or chart.chart
    if spec.suspend:
        applied_again = _SUSPENDED
    elif spec.drift_detection.mode == "enabled":
        applied_again = _reconciled(spec.interval)
    else:
        applied_again = "it is applied again at its next upgrade, since it is not told to look for drift"
    return GitSource(
        of=f"chart {name}" + (f" of {reference.said(beside=at.namespace)}" if reference is not None else ""),
        revision=newest.chart_version or one.status.last_applied_revision,
        applied_again=applied_again,
        declared=declared,
        spares=tuple(rule.spared for rule in spec.drift_detection.ignore),
    )


async def _declared(kube: "KubeClient", item: Json, *, at: ObjectName) -> str:
    """Where the HelmRelease itself comes from, with its values, as far as that is known."""
    applier = applying.applied_by({"kind": HELM_RELEASES.kind, **item})
    if applier is None or applier.object.kind != KUSTOMIZATIONS.kind:
        return f"{at.kind} {at} is applied by {applier}" if applier is not None else ""
    try:
        return f"{at.kind} {at} itself comes from {await source(kube, applier.object)}"
    except VerdictdError as error:
        return f"{at.kind} {at} is applied by {applier}, of which no more could be read ({error})"


def _reconciled(interval: str) -> str:
    return "it is applied again at each reconciliation" + (f", every {interval}" if interval else "")


FLUX = GitToolKind(
    name=applying.FLUX,
    source=source,
    rights=(
        Right(
            verbs=("get",),
            resources=(KUSTOMIZATIONS, HELM_RELEASES),
            scopes=("everywhere",),
            purpose=READ_GIT,
            without=UNREAD_GIT,
        ),
    ),
)
