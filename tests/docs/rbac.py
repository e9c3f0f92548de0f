"""deploy/manifests/10-rbac.yaml, made from the rights in the meshes' rows, and the owners'."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from daemon.connectors import Connector
from daemon.delivery.gittoolkind import GitToolKind
from daemon.delivery.ownerkind import OwnerKind
from daemon.kube.rights import Right, Scope
from daemon.meshes.kind import MeshKind

WithRights = MeshKind | OwnerKind | GitToolKind | Connector[Any]
"""A row that says what it needs of the API server."""

FILE = "deploy/manifests/10-rbac.yaml"

_ACCOUNT = """# Made from the rows of meshes, owners and sources by `python -m tests.docs --write`; do not edit.
# What the daemon may do. It may read and patch nothing until a namespace is bound to the roles below, see ../README.md.
apiVersion: v1
kind: ServiceAccount
metadata:
  name: verdictd
  namespace: verdictd
automountServiceAccountToken: false
"""

_OBSERVE = """# To watch releases of a namespace: where its routes are, what tells the two arms, which pods are behind them.
"""

_ENFORCE = """# To take traffic back in a namespace: the only right to change anything that is there.
"""

_FIND_ROUTES = """# To find routes that name a canary from another namespace, as the routes of a shared gateway do, and what tells
# the arms there; and to know that a host that no Service has is not another registry's. Without this binding verdictd looks in the
# release's own namespace, and where the routes found there hand requests on to; what it could not read is not known then, said, and
# blocks nothing.
"""

_ROLES: tuple[tuple[str, Scope, str], ...] = (
    ("verdictd-observe", "watched", _OBSERVE),
    ("verdictd-enforce", "enforced", _ENFORCE),
    ("verdictd-find-routes", "everywhere", _FIND_ROUTES),
)

_BINDING = """apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: verdictd-find-routes
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: verdictd-find-routes
subjects:
  - kind: ServiceAccount
    name: verdictd
    namespace: verdictd
"""


def manifest(kinds: Sequence[WithRights]) -> str:
    """The account, its roles, and the one binding that is there from the start."""
    found = rules(kinds)
    roles = [_role(name, words, found[name]) for name, _, words in _ROLES]
    return "---\n".join([_ACCOUNT, *roles, _BINDING])


def rules(kinds: Sequence[WithRights]) -> dict[str, str]:
    """The rules of each role by its name, as items of a list in YAML."""
    rights = [right for kind in kinds for right in kind.rights]
    return {name: _rules([one for one in rights if scope in one.scopes]) for name, scope, _ in _ROLES}


def _role(name: str, words: str, rules: str) -> str:
    indented = textwrap.indent(rules, "  ")
    return f"{words}apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: {name}\nrules:\n{indented}"


def _rules(rights: Iterable[Right]) -> str:
    """Objects of one group of the API of which the same may be done are one rule."""
    found: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    for one in rights:
        for resource in one.resources:
            found.setdefault((resource.group, one.verbs), {})[resource.ruled] = None
    return "".join(
        f"- apiGroups: [{group or chr(34) * 2}]\n  resources: [{', '.join(plurals)}]\n  verbs: [{', '.join(verbs)}]\n"
        for (group, verbs), plurals in found.items()
    )
