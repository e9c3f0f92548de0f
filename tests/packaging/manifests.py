"""The plain manifests, read as `kubectl apply -f` reads the folder."""

from collections.abc import Iterator
from typing import Any

import yaml

from tests.packaging.installation import ROOT

FOLDER = ROOT / "deploy" / "manifests"

Json = dict[str, Any]

_PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


def documents() -> Iterator[Json]:
    """Every object, in the order of the files' names."""
    for file in sorted(FOLDER.glob("*.yaml")):
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            assert isinstance(document, dict), f"{file.name} holds an empty document"
            yield document


def the(kind: str, name: str = "verdictd") -> Json:
    """The object of this kind and name."""
    (found,) = (one for one in documents() if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def collection(document: Json) -> str:
    """The path that an object of this kind is created at."""
    return _PATHS[document["kind"]].format(namespace=document["metadata"].get("namespace", ""))
