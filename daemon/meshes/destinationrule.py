"""Istio's DestinationRule, read only: which subset an arm is, and which pods a subset means. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from daemon.meshes.istiohosts import normal
from daemon.model import ArmSpec

Json = dict[str, Any]


def subsets(rules: Iterable[Json], *, host: str) -> dict[str, Mapping[str, str]]:
    """Labels by subset name, of every rule for this host (in the form of ``istiohosts.normal``)."""
    found: dict[str, Mapping[str, str]] = {}
    for rule in rules:
        namespace = str(rule.get("metadata", {}).get("namespace", ""))
        spec = rule.get("spec", {})
        if normal(str(spec.get("host", "")), namespace=namespace) == host:
            found.update({one["name"]: one.get("labels") or {} for one in spec.get("subsets") or () if "name" in one})
    return found


def subset_of(arm: ArmSpec, known: Mapping[str, Mapping[str, str]]) -> str | None:
    """The subset that an arm without one means: by its labels, else by its version; null when none or several fit."""
    wanted = arm.labels or ({"version": arm.version} if arm.version else {})
    fitting = [name for name, labels in known.items() if wanted and labels and _within(labels, wanted)]
    return fitting[0] if len(fitting) == 1 else None


def _within(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Every label that the subset asks for is one of the arm's."""
    return all(wanted.get(key) == value for key, value in labels.items())
