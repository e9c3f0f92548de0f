"""Argo CD: which source and revision an Application applies, when it undoes what others write, and what it is told to ignore.

An object's mark names its Application, and the namespace only where that is not Argo CD's own; then it is looked for by its name.
What an Application ignores is left out of the comparison; a sync writes it all the same, unless it is told to respect that.
"""

import fnmatch
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from daemon.delivery.claimed import Metadata, read
from daemon.delivery.gittoolkind import READ_GIT, UNREAD_GIT, GitToolKind
from daemon.errors import NotFound, Refused
from daemon.kube import applying
from daemon.kube.resources import Json, Resource, metadata_of
from daemon.kube.rights import Right
from daemon.placement import ObjectName
from daemon.ports.routing import GitSource, Spared

if TYPE_CHECKING:
    from daemon.kube.client import KubeClient

APPLICATIONS = Resource(group="argoproj.io", version="v1alpha1", plural="applications", kind="Application", optional=True)
RESPECT: Final = "RespectIgnoreDifferences=true"
_AUTOMATED: Final = "Argo CD's automated sync"
_APPLIES: Final = frozenset({"Running", "Succeeded"})
"""Phases of an operation by which what it applies is, or is about to be, in the cluster."""


class _Where(msgspec.Struct, frozen=True, rename="camel"):
    repo_url: str = msgspec.field(name="repoURL", default="")
    path: str = ""
    chart: str = ""

    def __str__(self) -> str:
        """Without what an address may hold of credentials."""
        parts = urlsplit(self.repo_url)
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return ", ".join(filter(None, (url, self.path, f"chart {self.chart}" if self.chart else "")))


class _Automated(msgspec.Struct, frozen=True, rename="camel"):
    enabled: bool = True
    self_heal: bool = False


class _SyncPolicy(msgspec.Struct, frozen=True, rename="camel"):
    automated: _Automated | None = None
    sync_options: tuple[str, ...] = ()


class _Ignored(msgspec.Struct, frozen=True, rename="camel"):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    json_pointers: tuple[str, ...] = ()
    jq_path_expressions: tuple[str, ...] = ()
    managed_fields_managers: tuple[str, ...] = ()

    @property
    def spared(self) -> Spared:
        """Its kind may have wildcards; its name is one, or any."""
        ours = ("all that verdictd has written",) if applying.US in self.managed_fields_managers else ()
        return Spared(
            paths=(*self.json_pointers, *self.jq_path_expressions, *ours),
            kind=fnmatch.translate(self.kind or "*"),
            namespace=re.escape(self.namespace) or ".*",
            name=re.escape(self.name) or ".*",
        )


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    source: _Where | None = None
    sources: tuple[_Where, ...] = ()
    sync_policy: _SyncPolicy | None = None
    ignore_differences: tuple[_Ignored, ...] = ()


class _Sync(msgspec.Struct, frozen=True):
    revision: str = ""
    revisions: tuple[str, ...] = ()

    def __str__(self) -> str:
        return _listed(self.revision, self.revisions)


class _Initiator(msgspec.Struct, frozen=True):
    username: str = ""
    automated: bool = False

    def __str__(self) -> str:
        return self.username or (_AUTOMATED if self.automated else "")


class _Operation(msgspec.Struct, frozen=True, rename="camel"):
    initiated_by: _Initiator = _Initiator()


class _Ran(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    operation: _Operation = _Operation()
    sync_result: _Sync | None = None


class _Past(msgspec.Struct, frozen=True, rename="camel"):
    revision: str = ""
    revisions: tuple[str, ...] = ()
    initiated_by: _Initiator = _Initiator()


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    sync: _Sync = _Sync()
    operation_state: _Ran | None = None
    history: tuple[_Past, ...] = ()


class _Application(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


async def source(kube: "KubeClient", applier: ObjectName) -> GitSource:
    """What this Application applies. Raises ``Refused`` where several may be meant, and as ``KubeClient.get``."""
    one = read(await _found(kube, applier), kind=_Application)
    spec, applied = one.spec, _applied(one.status)
    policy = spec.sync_policy or _SyncPolicy()
    wheres = [spec.source] if spec.source is not None else list(spec.sources)
    return GitSource(
        of=" and ".join(map(str, wheres)) or "no source",
        revision=str(one.status.sync),
        deployed=applied[0],
        initiated_by=applied[1],
        applied_again=_applied_again(policy.automated),
        spares=tuple(rule.spared for rule in spec.ignore_differences),
        unspared="" if RESPECT in policy.sync_options else f"a sync writes them all the same without {RESPECT}",
    )


def _applied(status: _Status) -> tuple[str, str]:
    """Which revision the last sync has applied, or applies now, and who had it do so. A sync that failed has brought nothing."""
    ran = status.operation_state
    if ran is not None and ran.phase in _APPLIES:
        return str(ran.sync_result or status.sync), str(ran.operation.initiated_by)
    if status.history:
        last = status.history[-1]
        return _listed(last.revision, last.revisions), str(last.initiated_by)
    return str(status.sync), ""


def _listed(revision: str, revisions: tuple[str, ...]) -> str:
    return revision or " and ".join(revisions)


async def _found(kube: "KubeClient", applier: ObjectName) -> Json:
    if applier.namespace:
        return await kube.get(APPLICATIONS, namespace=applier.namespace, name=applier.name)
    listing = await kube.list(APPLICATIONS, fields=f"metadata.name={applier.name}")
    found = [item for item in listing.items if metadata_of(item).get("name") == applier.name]
    if not found:
        raise NotFound(f"there is no Application {applier.name}")
    if len(found) > 1:
        those = ", ".join(sorted(str(metadata_of(item).get("namespace")) for item in found))
        raise Refused(f"there are Applications {applier.name} in the namespaces {those}, and which one is meant is not marked")
    return found[0]


def _applied_again(automated: _Automated | None) -> str:
    if automated is None or not automated.enabled:
        return "it is applied again when somebody syncs it"
    if automated.self_heal:
        return "it is applied again at once, since it heals itself"
    return "it is applied again at the next sync, as of a new revision"


ARGO_CD = GitToolKind(
    name=applying.ARGO_CD,
    source=source,
    rights=(
        Right(
            verbs=("get", "list"),
            resources=(APPLICATIONS,),
            scopes=("everywhere",),
            purpose=READ_GIT,
            without=UNREAD_GIT,
        ),
    ),
)
