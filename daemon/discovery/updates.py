"""A rolling update: two templates of one Deployment have pods at the same time. Pure.

Which is new its Deployment says, and no route tells them apart: they can be observed by their pods, and nothing can be taken back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from daemon.discovery.forms import PodTemplate, read
from daemon.discovery.images import Image, image
from daemon.discovery.picture import Labels
from daemon.kube.resources import Json

REVISION = "deployment.kubernetes.io/revision"
HASH = "pod-template-hash"
OURS = "verdictd.io/"
"""How annotations begin that are about us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What is read of one.

    Attributes:
        namespace, name, uid: of the object.
        annotations: its own, those that are about us.
        labels: of its pods.
        images: of its pods' containers.
        wanted, ready: pods that it is to have, and that can be sent requests.
        number: of its newest template; 0: not known.
        is_updating: whether pods of an older template may be there.
        is_owned: whether a controller writes it.
    """

    namespace: str
    name: str
    uid: str
    annotations: Labels
    labels: Labels
    images: tuple[Image, ...]
    wanted: int
    ready: int
    number: int
    is_updating: bool
    is_owned: bool

    def __str__(self) -> str:
        """``Deployment shop/web``."""
        return f"Deployment {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One of a Deployment's templates, of which it makes a ReplicaSet.

    Attributes:
        uid: of the ReplicaSet.
        hash: by which its pods are told from the others'.
        number: the later template has the higher one; one that comes again gets a new one.
        pods: that there are.
        images: of its pods' containers.
    """

    uid: str
    hash: str
    number: int
    pods: int
    images: tuple[Image, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One that is under way."""

    old: Template
    new: Template

    @property
    def artifact(self) -> str:
        """The one image that is new; empty: there is none, or several."""
        fresh = sorted({str(one) for one in self.new.images} - {str(one) for one in self.old.images})
        return fresh[0] if len(fresh) == 1 else ""


class _Owner(msgspec.Struct, frozen=True):
    uid: str = ""
    controller: bool | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[_Owner] | None = None


class _Spec(msgspec.Struct, frozen=True):
    replicas: int | None = None
    template: PodTemplate = PodTemplate()


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0


class _Object(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()


def deployment(item: Json) -> Deployment:
    """What a Deployment says. Raises ``Refused``: it is not of a Deployment's form."""
    found = read(item, form=_Object, kind="Deployment")
    metadata, status = found.metadata, found.status
    return Deployment(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        # It is kept for each Deployment of a cluster, and may carry another one's whole text.
        annotations={key: value for key, value in (metadata.annotations or {}).items() if key.startswith(OURS)},
        labels=found.spec.template.metadata.labels or {},
        images=_images(found.spec.template),
        wanted=1 if found.spec.replicas is None else found.spec.replicas,
        ready=status.ready_replicas,
        number=_number(metadata),
        is_updating=status.observed_generation < metadata.generation or status.updated_replicas < status.replicas,
        is_owned=_controller(metadata) is not None,
    )


def templates(of: Deployment, sets: Iterable[Json]) -> tuple[Template, ...]:
    """Its templates among the ReplicaSets of its namespace, the newest first. Raises ``Refused``: one is of another form."""
    there = [read(one, form=_Object, kind="ReplicaSet") for one in sets]
    ours = [one for one in there if _controller(one.metadata) == of.uid]
    found = [
        Template(
            uid=one.metadata.uid,
            hash=(one.metadata.labels or {}).get(HASH, ""),
            number=_number(one.metadata),
            pods=one.status.replicas,
            images=_images(one.spec.template),
        )
        for one in ours
    ]
    return tuple(sorted(found, key=lambda one: -one.number))


def under_way(of: Deployment, found: Sequence[Template]) -> Update | None:
    """The update that is under way, beside the older template that has most pods; null: pods of one template at most are there."""
    if not found or not found[0].hash or found[0].number != of.number or not found[0].pods:
        return None
    older = [one for one in found[1:] if one.pods and one.hash]
    return Update(old=max(older, key=lambda one: one.pods), new=found[0]) if older else None


def _images(template: PodTemplate) -> tuple[Image, ...]:
    return tuple(image(each.image) for each in template.spec.containers if each.image)


def _number(metadata: _Metadata) -> int:
    written = (metadata.annotations or {}).get(REVISION, "")
    return int(written) if written.isascii() and written.isdecimal() and len(written) < 19 else 0


def _controller(metadata: _Metadata) -> str | None:
    return next((one.uid for one in metadata.owner_references or () if one.controller), None)
