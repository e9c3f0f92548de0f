"""The watch of routes put together from the settings."""

from collections.abc import Mapping

from config.settings import Settings
from daemon.aio.clock import Clock
from daemon.bus.opening import Bus
from daemon.delivery import owners
from daemon.kube.client import KubeClient
from daemon.meshes.registry import kind_of, knows_pods
from daemon.ports.sharing import Turn
from daemon.questions import Questions
from daemon.watcher.awaited import AwaitedCanaries
from daemon.watcher.lookout import WatchedCluster
from daemon.watcher.reading import Cluster
from daemon.watcher.seen import Manner
from daemon.watcher.settings import KubernetesSource, watched
from daemon.watcher.source import RouteWatcher
from daemon.watcher.watches import Watched, watched_kinds


def awaited(settings: Settings, *, bus: Bus, clock: Clock) -> AwaitedCanaries | None:
    """Where announcements wait for the sources that watch routes; null: there is none."""
    there = [own for own in settings.sources.values() if isinstance(own, KubernetesSource)]
    if not there:
        return None
    everywhere = any(not own.namespaces for own in there)
    namespaces = () if everywhere else tuple(dict.fromkeys(name for own in there for name in own.namespaces))
    longest = max(own.wait_seconds for own in there)
    return AwaitedCanaries(bus.awaited, lapsed=bus.lapsed, clock=clock, wait_seconds=longest, namespaces=namespaces)


def opened(
    own: KubernetesSource,
    *,
    settings: Settings,
    kubes: Mapping[str, KubeClient],
    bus: Bus,
    clock: Clock,
    waiting: AwaitedCanaries,
    turn: Turn,
) -> RouteWatcher:
    """The watch of the routes of all meshes that are to be watched, each in the cluster where its releases are judged."""
    owning = [kind.owning for kind in owners.kinds().values() if kind.owning is not None]
    by_cluster: dict[str, list[Watched]] = {}
    by_pods: dict[str, str] = {}
    for name in watched(own, settings):
        mesh = settings.meshes[name]
        pictured = kind_of(mesh).pictured
        assert pictured is not None  # its settings are refused otherwise
        manner = Manner(mesh=name, mode=own.mode, guard_seconds=settings.limits.guard_seconds)
        cluster = settings.clusters_of(mesh)[0]
        by_cluster.setdefault(cluster, []).append(Watched(mesh=mesh, manner=manner, pictured=pictured))
        if knows_pods(mesh):
            by_pods.setdefault(cluster, name)
    clusters = {
        name: WatchedCluster(
            cluster=Cluster(kubes[name], owning=owning),
            kinds=watched_kinds(meshes),
            namespaces=own.namespaces,
            updates_by=by_pods.get(name) if own.rolling_updates else None,
            pairs_by=by_pods.get(name) if own.second_deployments else None,
        )
        for name, meshes in by_cluster.items()
    }
    return RouteWatcher(
        clusters,
        store=bus.routes,
        updates=bus.updates,
        serving=bus.serving,
        questions=Questions(bus.questions),
        awaited=waiting,
        letters=bus.dead_letters,
        turn=turn,
        clock=clock,
    )
