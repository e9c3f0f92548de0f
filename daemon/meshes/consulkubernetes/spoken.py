"""How a cluster's custom resources of Consul are read: as which config entries, and whether Consul has taken them. Pure."""

from dataclasses import dataclass

from daemon.errors import InvalidInput
from daemon.kube.resources import Json, Resource
from daemon.meshes.consul import arms as naming
from daemon.meshes.consul import routes
from daemon.meshes.consul.entries import DEFAULT, RESOURCES, Entry, of_object
from daemon.meshes.consul.routes import Arms
from daemon.meshes.consulkubernetes.mesh import ROUTES
from daemon.meshes.kuberoutes import Objects
from daemon.meshes.references import identity
from daemon.model import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """How the cluster's resources are to be read: whether Consul's namespaces are Kubernetes', and its partition."""

    mirrored: bool
    partition: str

    def entry(self, item: Json, *, resource: Resource) -> Entry:
        """The config entry that consul-k8s makes of it."""
        return of_object(item, kind=RESOURCES[resource.kind], mirrored=self.mirrored, partition=self.partition)

    def entries(self, objects: Objects) -> list[Entry]:
        """Of all of them."""
        return [self.entry(item, resource=resource) for resource in ROUTES for item in objects.get(resource, ())]

    def named(self, release: Release) -> Arms:
        """The arms as the release names them. Raises as ``naming.named``."""
        namespace = release.namespace if self.mirrored else DEFAULT
        return naming.named(release, namespace=namespace, partition=self.partition)

    def refuse_doubles(self, objects: Objects, *, arms: Arms) -> None:
        """Of two resources of one kind and name consul-k8s makes one entry, unless Consul's namespaces are Kubernetes'.

        Raises:
            InvalidInput: there are two, and they have to do with the canary.
        """
        seen: dict[tuple[str, str, str], str] = {}
        for resource in ROUTES:
            for item in objects.get(resource, ()):
                (namespace, name), entry = identity(item), self.entry(item, resource=resource)
                if not (routes.names_canary(entry, arms=arms) or entry.own.is_same_service(arms.canary)):
                    continue
                if (other := seen.setdefault((resource.kind, entry.namespace, name), namespace)) != namespace:
                    wrong = (
                        f"{resource.kind} {name} is in the namespaces {other} and {namespace}: which one Consul has is not clear"
                    )
                    fix = "set mirrored_namespaces in the mesh's settings where Consul's namespaces are Kubernetes', or remove one"
                    raise InvalidInput(wrong, path="$.mesh", fix=fix)


def unsynced(item: Json) -> str:
    """Why Consul may have something else than what is written in this resource; empty where it has it."""
    state = _synced(item)
    if state is None:
        return "consul-k8s has said nothing of it"
    if state.get("status") == "True":
        return ""
    return " ".join(str(state[key]) for key in ("reason", "message") if state.get(key)) or "no reason is given"


def is_refused(item: Json) -> bool:
    """Whether Consul has surely not taken what is written in this resource."""
    state = _synced(item)
    return state is not None and state.get("status") == "False"


def _synced(item: Json) -> Json | None:
    status = item.get("status")
    conditions = (status.get("conditions") if isinstance(status, dict) else None) or ()
    return next((one for one in conditions if isinstance(one, dict) and one.get("type") == "Synced"), None)
