"""What is written in the settings to have the routes of Kubernetes watched, and what is wrong with it."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta

from config.errors import Fault
from config.settings import ConnectorSettings, Name, Settings
from daemon.events.hearing import Hearing
from daemon.meshes.kind import MeshKind
from daemon.meshes.registry import kind_of

Mode = Literal["observe", "enforce"]

MOST_NAMESPACES: Final = 8
"""A client has a hundred connections to an API server, and each kind of route and of owner is watched by one in each namespace."""


class KubernetesSource(
    ConnectorSettings, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="kubernetes", tag_field="kind"
):
    """Releases that nobody announces, noticed where a route begins to send to another version ([watching.md](watching.md))."""

    mode: Annotated[
        Mode,
        Meta(
            description="observe: verdicts are told, and nothing is taken back. enforce: the policy's mode counts, where it is "
            "sure which version is new."
        ),
    ] = "observe"
    meshes: Annotated[
        tuple[Name, ...], Meta(description="Names under meshes, of those whose routes are watched; none: all that can be.")
    ] = ()
    wait_seconds: Annotated[
        float,
        Meta(ge=1.0, le=86_400.0, description="How long an announcement that names no arms waits for its canary to take traffic."),
    ] = 1_800.0
    namespaces: Annotated[
        tuple[Name, ...],
        Meta(
            description="Where routes are watched, at most 8, since each has connections of its own; none: in the whole cluster.",
        ),
    ] = ()
    rolling_updates: Annotated[
        bool, Meta(description="Whether rolling updates of Deployments that no route tells apart are observed, by their pods.")
    ] = True
    second_deployments: Annotated[
        bool,
        Meta(description="Whether a second Deployment behind one Service, told apart by no route, is observed, by its pods."),
    ] = True


def hearing_of(settings: Settings) -> Hearing:
    """What a daemon with these settings knows beside an announcement: it finds arms where routes are watched."""
    finds_arms = any(isinstance(own, KubernetesSource) for own in settings.sources.values())
    return Hearing(cluster=settings.cluster, mapping=tuple(settings.mapping), finds_arms=finds_arms)


def watched(own: KubernetesSource, settings: Settings) -> Sequence[str]:
    """The meshes whose routes are watched, by their names."""
    return own.meshes or [name for name, mesh in settings.meshes.items() if _can_be(kind_of(mesh))]


def faults(own: KubernetesSource, settings: Settings) -> Iterator[Fault]:
    """What is wrong with it beside the other settings; paths are those below its own."""
    can_be = [name for name, mesh in settings.meshes.items() if _can_be(kind_of(mesh))]
    known = f"write one of {', '.join(can_be)}" if can_be else "there is none that can be watched; add one under meshes"
    for index, name in enumerate(own.meshes):
        if name not in settings.meshes:
            yield Fault(path=f"meshes[{index}]", message=f"names {name!r}, which is not under meshes", fix=known)
        elif name not in can_be:
            kind = kind_of(settings.meshes[name]).name
            yield Fault(path=f"meshes[{index}]", message=f"names {name!r}, and routes of {kind} cannot be watched", fix=known)
    if len(own.namespaces) > MOST_NAMESPACES:
        wrong = f"names {len(own.namespaces)}, and each is watched by connections of its own to the API server"
        fix = f"name at most {MOST_NAMESPACES}, or none to watch the whole cluster"
        yield Fault(path="namespaces", message=wrong, fix=fix)
    if not own.meshes and not can_be:
        yield Fault(path="", message="finds no mesh whose routes can be watched", fix="add one under meshes, or remove this source")


def _can_be(kind: MeshKind) -> bool:
    return kind.needs_kubernetes and kind.pictured is not None
