"""Which pods the two arms of a release are: the one account of it, made by a mesh's router and used by whatever counts.

An arm is pods, not a name: a subset, a Service or a version only chooses them. Telemetry finds the labels by which the pods' series
are known in what is said here of each; whoever scrapes pods directly finds their addresses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPod:
    """One pod of an arm, as its mesh's telemetry may call it.

    Attributes:
        name, namespace: of the pod.
        address: its IP address.
        ready: whether it is sent requests.
        workloads: names that the mesh's telemetry may give its workload; more than one where versions of the mesh differ.
        revision: its canonical revision, as the mesh takes it from its labels.
        version: its label ``version``; empty where it has none.
        started_at: when its first container was started, in seconds since 1970; null while that is not known.
    """

    name: str
    namespace: str
    address: str
    ready: bool
    workloads: tuple[str, ...] = ()
    revision: str = ""
    version: str = ""
    started_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPods:
    """The pods of one arm.

    Attributes:
        pods: in the order of their names, ready or not; null: they are not known.
        labels: by which they are chosen, as far as that is known: the Service's selector and the subset's labels.
        unknown: why they are not known; else empty.
        service: the Service that chooses these pods and no other does; empty where others do too, or that was not looked for.
    """

    pods: tuple[ArmPod, ...] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    unknown: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodsByArm:
    """Both arms of a release."""

    baseline: ArmPods
    canary: ArmPods
