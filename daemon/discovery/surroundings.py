"""What stands behind destinations: Services, workloads and their owners, as they were read at one time. Pure.

A destination is pods, not a name: its Service's selector and its subset's labels say which, and the workloads' templates say what
those pods run. What was not read is not known, and is never taken for not being there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from daemon.discovery.forms import PodTemplate, read
from daemon.discovery.images import Image, image
from daemon.discovery.owned import Owned
from daemon.discovery.picture import Destination, Labels
from daemon.kube.resources import Json

VERSION_LABELS = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
"""Where pods carry their version, in the order in which meshes look for it."""
TRACK_LABELS = ("track", "role", "release", "app.kubernetes.io/track")
"""Where pods carry a word for their arm."""
APP_LABELS = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app", "k8s-app", "name")
"""Where pods carry what they are a version of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Whatever makes pods from one template.

    Attributes:
        kind, namespace, name: of the object.
        labels, annotations: of its pods.
        images: of its pods' containers.
        replicas: that it is to have.
        created_at: as the object says it, to be compared only; empty: not known.
    """

    kind: str
    namespace: str
    name: str
    labels: Labels = field(default_factory=dict)
    annotations: Labels = field(default_factory=dict)
    images: tuple[Image, ...] = ()
    replicas: int = 1
    created_at: str = ""

    @property
    def version(self) -> str:
        """Its pods' version label; empty: they have none."""
        return _first(self.labels, VERSION_LABELS)

    @property
    def app(self) -> str:
        """What its pods are a version of; empty: they do not say."""
        return _first(self.labels, APP_LABELS)

    def carries(self, labels: Labels) -> bool:
        """Whether its pods have all these labels."""
        return all(self.labels.get(key) == value for key, value in labels.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Who stands behind a destination.

    Attributes:
        chosen: the labels that choose its pods; null: not known.
        workloads: that have such pods, in the order of their names; null: not known.
    """

    chosen: Labels | None = None
    workloads: tuple[Workload, ...] | None = None

    @property
    def version(self) -> str:
        """The version label of all its workloads; empty where it has none, or several."""
        return _only({one.version for one in self.workloads or ()})

    @property
    def workload(self) -> str:
        """Its workload's name; empty where it has none, or several."""
        return _only({one.name for one in self.workloads or ()})

    @property
    def tracks(self) -> str:
        """The words for its arm that its workloads' labels have."""
        found = {one.labels[key] for one in self.workloads or () for key in TRACK_LABELS if key in one.labels}
        return " ".join(sorted(found))

    @property
    def apps(self) -> frozenset[str]:
        """What its workloads are versions of."""
        return frozenset(one.app for one in self.workloads or () if one.app)

    @property
    def created_at(self) -> str:
        """When its first workload was made; empty: not known."""
        return min((one.created_at for one in self.workloads or ()), default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What was read of a cluster.

    Attributes:
        services: their selectors by namespace and name; an empty one chooses no pods.
        workloads: that are to have pods, or may get some.
        owned: the arms that controllers say.
        unread: what could not be read, a sentence each.
    """

    services: Mapping[tuple[str, str], Labels] = field(default_factory=dict)
    workloads: tuple[Workload, ...] = ()
    owned: tuple[Owned, ...] = ()
    unread: tuple[str, ...] = ()

    def behind(self, destination: Destination, *, labels: Labels | None = None) -> Behind:
        """Who stands behind a destination. ``labels``: that its pods are known to have besides."""
        selector = self.services.get((destination.namespace, destination.service)) if destination.service else None
        if not selector or destination.labels is None:
            return Behind()
        chosen = {**selector, **destination.labels, **(labels or {})}
        return Behind(chosen=chosen, workloads=self.carrying(chosen, namespace=destination.namespace))

    def carrying(self, labels: Labels, *, namespace: str) -> tuple[Workload, ...]:
        """The workloads of a namespace whose pods have these labels."""
        found = (one for one in self.workloads if one.namespace == namespace and one.carries(labels))
        return tuple(sorted(found, key=lambda one: (one.name, one.kind)))


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: str | None = None


class _WorkloadSpec(msgspec.Struct, frozen=True):
    template: PodTemplate = PodTemplate()
    replicas: int | None = None


class _Workload(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _WorkloadSpec = _WorkloadSpec()


class _ServiceSpec(msgspec.Struct, frozen=True):
    selector: dict[str, str] | None = None
    type: str = "ClusterIP"


class _Service(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _ServiceSpec = _ServiceSpec()


def workload(item: Json, *, kind: str) -> Workload:
    """What an object with a template of pods says. Raises ``Refused``: it is not of that form."""
    found = read(item, form=_Workload, kind=kind)
    template, metadata = found.spec.template, found.metadata
    return Workload(
        kind=kind,
        namespace=metadata.namespace,
        name=metadata.name,
        labels=template.metadata.labels or {},
        annotations=template.metadata.annotations or {},
        images=tuple(image(one.image) for one in template.spec.containers if one.image),
        replicas=1 if found.spec.replicas is None else found.spec.replicas,
        created_at=metadata.creation_timestamp or "",
    )


def selectors(services: Iterable[Json]) -> dict[tuple[str, str], Labels]:
    """By what Services choose their pods. Raises ``Refused``: one is not of that form."""
    there = (read(one, form=_Service, kind="Service") for one in services)
    return {
        (one.metadata.namespace, one.metadata.name): {} if one.spec.type == "ExternalName" else one.spec.selector or {}
        for one in there
    }


def _first(labels: Labels, keys: Iterable[str]) -> str:
    return next((value for key in keys if (value := labels.get(key))), "")


def _only(values: set[str]) -> str:
    return next(iter(values)) if len(values) == 1 else ""
