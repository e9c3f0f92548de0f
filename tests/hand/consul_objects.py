"""Consul's custom resources: their definitions, and a split with its resolver, as consul-k8s has them."""

from pathlib import Path

from daemon.kube.resources import Json, Resource
from daemon.meshes.consulkubernetes.mesh import SERVICE_RESOLVERS, SERVICE_SPLITTERS
from tests.meshes.consul_entries import resolver, resource, split, splitter

CRDS = Path(__file__).parent / "crds" / "consul.yaml"


def created() -> list[tuple[Resource, Json]]:
    """Each with its kind; they have no namespace of their own."""
    made = (
        (SERVICE_RESOLVERS, resolver(default_subset="v1")),
        (SERVICE_SPLITTERS, splitter(split(90, subset="v1"), split(10, subset="v2"))),
    )
    return [(kind, unversioned(entry)) for kind, entry in made]


def unversioned(entry: Json) -> Json:
    """A resource that is not there yet."""
    item = resource(entry)
    return {**item, "metadata": {"name": item["metadata"]["name"]}}
