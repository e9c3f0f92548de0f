"""What the engine depends on, as one frozen value of ports: what the composition root hands over."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from config.policy import Policy
from config.settings import Limits
from daemon.aio.clock import Clock
from daemon.engine.turns import Turns
from daemon.errors import InvalidInput
from daemon.model import Strategy
from daemon.ports.awaiting import Awaiting
from daemon.ports.durable import AuditLog, SessionStore, Store, VerdictLog, VerdictSink
from daemon.ports.events import CommandSource, EventSource
from daemon.ports.routing import GitTools, Owner, RouteFollower, TrafficRouter
from daemon.ports.service import Meter
from daemon.ports.sharing import Carrier, Sharing
from daemon.ports.telemetry import Telemetry
from daemon.recorder import Recorder


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshCluster:
    """A mesh in one cluster: how to change its traffic, who may own the routes there, and who says weights without delay.

    ``git`` says where what Git's tools apply comes from. ``pods`` knows arms that no route tells apart, and takes nothing back.
    Null: nobody there does. ``turns`` says which of many reverts goes first.
    """

    router: TrafficRouter
    owners: tuple[Owner, ...] = ()
    git: GitTools | None = None
    follower: RouteFollower | None = None
    pods: TrafficRouter | None = None
    turns: Turns = field(default_factory=Turns)


def clusters_of(clusters: Mapping[str, MeshCluster], strategy: Strategy) -> Mapping[str, MeshCluster]:
    """The clusters as releases of this strategy meet them: of arms that no route tells apart, the pods of the first one are all.

    Raises:
        InvalidInput: the mesh does not know pods.
    """
    if strategy != "pods":
        return clusters
    name, home = next(iter(clusters.items()))
    if home.pods is None:
        raise InvalidInput(
            "the mesh's pods are not known here, and nothing else tells these arms apart",
            path="$.strategy",
            fix="name a mesh of Kubernetes, or arms that its routes name and their strategy",
        )
    return {name: MeshCluster(router=home.pods, git=home.git)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """What the engine needs of one configured mesh.

    Attributes:
        clusters: by name, first the one where its releases are judged; further ones are only reverted with it.
        telemetry: which source counts it.
        observed_only: why its traffic cannot be taken back; empty where it can.
    """

    clusters: Mapping[str, MeshCluster]
    telemetry: str
    observed_only: str = ""

    def of(self, strategy: Strategy) -> "Mesh":
        """The mesh as releases of this strategy meet it; raises as ``clusters_of``."""
        return self if strategy != "pods" else replace(self, clusters=clusters_of(self.clusters, strategy))

    @property
    def home(self) -> MeshCluster:
        """Where its releases are judged."""
        return next(iter(self.clusters.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """A further place for verdicts, and how it is tried.

    Attributes:
        to: the place.
        pauses_seconds: between attempts; the last one again and again.
        attempt_seconds: how long one attempt may take.
        patience_seconds: how long it is tried after the verdict was published; the release ends without it then, and its record
            says so.
        says_itself: it logs by itself why it does not take verdicts; nobody else does, but of a defect, and of
            an attempt that took too long.
    """

    to: VerdictSink
    pauses_seconds: tuple[float, ...] = (0.1, 0.5, 2.0, 5.0)
    attempt_seconds: float = 30.0
    patience_seconds: float = 300.0
    says_itself: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Which services are whose, and the way to whoever has one, who is replaced when silent for ``lease_seconds``."""

    sharing: Sharing
    carrier: Carrier
    lease_seconds: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports, and what the settings say of this daemon.

    ``aliases`` keeps, by the id that an announcement would have had, that of the release that it joined;
    ``freezes`` what is frozen, and ``promotions`` what was promoted of each service and what was taken back.
    ``awaiting`` has the announcements whose arms are looked for; null: nobody looks.
    ``shared`` is what is between this replica and others; null: it is the only one.
    """

    cluster: str
    meshes: Mapping[str, Mesh]
    telemetry: Mapping[str, Telemetry]
    policies: Mapping[str, Policy]
    events: Mapping[str, EventSource]
    commands: CommandSource
    verdicts: VerdictLog
    sessions: SessionStore
    records: Store
    aliases: Store
    freezes: Store
    promotions: Store
    audit: AuditLog
    clock: Clock
    meter: Meter
    limits: Limits
    sinks: Mapping[str, Sink] = field(default_factory=dict)
    recorder: Recorder | None = None
    awaiting: Awaiting | None = None
    shared: Shared | None = None
