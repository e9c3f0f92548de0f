"""Who applies an object of the API server by itself, as the object tells, and who wrote it last. Pure.

Git's tools mark what they apply: Argo CD by a tracking id, Flux by labels. A mark that is about another object, as one that was
copied with the rest, counts for nothing.
"""

from typing import Final

from daemon.kube.resources import Json, metadata_of
from daemon.placement import Applier, ObjectName

US: Final = "verdictd"
ARGO_CD: Final = "Argo CD"
FLUX: Final = "Flux"

_ARGO_ID: Final = "argocd.argoproj.io/tracking-id"
_ARGO_LABELS: Final = ("argocd.argoproj.io/instance", "app.kubernetes.io/instance")
_FLUX: Final = {"kustomize.toolkit.fluxcd.io": "Kustomization", "helm.toolkit.fluxcd.io": "HelmRelease"}
_LEFT_ALONE: Final = {
    "kustomize.toolkit.fluxcd.io/reconcile": {"disabled"},
    "kustomize.toolkit.fluxcd.io/ssa": {"ignore", "ifnotpresent"},
    "helm.toolkit.fluxcd.io/driftDetection": {"disabled"},
}
"""Labels or annotations, and their values, whose case Flux does not look at."""


def applied_by(item: Json) -> Applier | None:
    """What of Git's applies it; null: nothing known."""
    return _argo(item) or _flux(item)


def put_back_by(item: Json) -> Applier | None:
    """The same, where it is not told to leave the object as it is: what others write is undone."""
    applier = applied_by(item)
    return applier if applier is not None and not applier.left_alone else None


def controlled_by(item: Json) -> str:
    """The object whose controller writes it, as ``Canary web``; empty: there is none."""
    references = metadata_of(item).get("ownerReferences") or ()
    return next((f"{one.get('kind')} {one.get('name')}" for one in references if one.get("controller")), "")


def written(item: Json) -> str:
    """Who wrote it last, other than us, and when, by its managed fields: ``kubectl at 2026-01-01T00:00:00Z``; empty: unknown."""
    entries = [one for one in _managed(item) if one.get("manager") != US and not one.get("subresource")]
    last = max(entries, key=lambda one: str(one.get("time", "")), default=None)
    return f"{last.get('manager')} at {last.get('time')}" if last is not None else ""


def wrote_last(item: Json) -> bool:
    """Whether it was us who last wrote what the object is to do (``spec``), by its managed fields.

    Who writes a list takes all of it, and with it the field from whoever had it. Only where parts of an object are others' does
    the time tell, which goes by whole seconds: who writes at the same time as we do is taken for us.
    """
    specs = [one for one in _managed(item) if not one.get("subresource") and "f:spec" in (one.get("fieldsV1") or {})]
    ours = [str(one.get("time", "")) for one in specs if one.get("manager") == US]
    others = [str(one.get("time", "")) for one in specs if one.get("manager") != US]
    return bool(ours) and max(ours) >= max(others, default="")


def _argo(item: Json) -> Applier | None:
    metadata = metadata_of(item)
    name, _, about = str(_of(item, "annotations").get(_ARGO_ID, "")).partition(":")
    if not (name and about.endswith(f"/{item.get('kind')}:{metadata.get('namespace')}/{metadata.get('name')}")):
        own, shared = (_of(item, "labels").get(label) for label in _ARGO_LABELS)
        applies = any(str(one.get("manager", "")).startswith("argocd") for one in _managed(item))
        name = str(own or (shared if applies else "") or "")  # the second label is many tools'
    # One that is not in Argo CD's own namespace is known by both names.
    namespace, _, name = name.rpartition("_")
    return Applier(tool=ARGO_CD, object=ObjectName(kind="Application", namespace=namespace, name=name)) if name else None


def _flux(item: Json) -> Applier | None:
    labels = _of(item, "labels")
    marks = {**labels, **_of(item, "annotations")}
    for group, kind in _FLUX.items():
        if name := labels.get(f"{group}/name"):
            told = (key for key, words in _LEFT_ALONE.items() if key.startswith(group) and str(marks.get(key)).lower() in words)
            left_alone = next((f"{key}: {marks[key]}" for key in told), "")
            named = ObjectName(kind=kind, namespace=str(labels.get(f"{group}/namespace", "")), name=str(name))
            return Applier(tool=FLUX, object=named, left_alone=left_alone)
    return None


def _of(item: Json, what: str) -> Json:
    found = metadata_of(item).get(what)
    return found if isinstance(found, dict) else {}


def _managed(item: Json) -> list[Json]:
    return [one for one in metadata_of(item).get("managedFields") or () if isinstance(one, dict)]
