"""Everything asked that a daemon with these settings would ask: its broker, its clusters, its sources of telemetry, and releases.

The releases are optional: with them it is said what would be counted and taken back; without, what is there to be counted. Whatever
cannot be reached is a diagnosis, and stops nothing else.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from config.settings import Mesh, Settings, SidecarTelemetry
from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.clusters import KubeClients
from daemon.doctor import broker, clusters, routes, sources
from daemon.doctor.diagnosis import Code, Diagnosis, Findings, worst_first
from daemon.doctor.routes import Case, Placed
from daemon.doctor.watching import Progress
from daemon.errors import InvalidInput
from daemon.meshes.registry import kind_of, kind_read, need_kubernetes


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What to examine.

    Attributes:
        cases: releases that run now, or might.
        seconds: how long to watch them at most.
        progress: is told what is waited for.
    """

    settings: Settings
    cases: Sequence[Case]
    seconds: float
    clock: Clock
    progress: Progress = lambda _: None

    async def run(self) -> Findings:
        """All of it, side by side where nothing waits for another."""
        began = self.clock.monotonic()
        async with AsyncExitStack() as stack:
            kubes = KubeClients(self.settings, stack)
            async with TaskGroup() as group:
                tasks = [group.create_task(broker.examine(self.settings.nats, keep=self.settings.keep), name="broker")]
                tasks += [
                    group.create_task(self._cluster(kubes, cluster), name=f"cluster {cluster}") for cluster in self._clusters_used()
                ]
                tasks += [
                    group.create_task(self._mesh(kubes, name, mesh), name=f"mesh {name}")
                    for name, mesh in self.settings.meshes.items()
                    if kind_of(mesh).router is not None and not need_kubernetes([mesh])
                ]
                tasks.append(group.create_task(self._telemetry(kubes), name="telemetry"))
            found = [one for task in tasks for one in task.result()]
        return Findings(diagnoses=worst_first(found), seconds=round(self.clock.monotonic() - began, 3))

    def _clusters_used(self) -> list[str]:
        used = [
            name for mesh in self.settings.meshes.values() if need_kubernetes([mesh]) for name in self.settings.clusters_of(mesh)
        ]
        return list(dict.fromkeys(used))

    async def _cluster(self, kubes: KubeClients, cluster: str) -> list[Diagnosis]:
        there = self.settings
        meshes = {
            name: mesh for name, mesh in there.meshes.items() if need_kubernetes([mesh]) and cluster in there.clusters_of(mesh)
        }
        cases = [case for case in self.cases if case.mesh_name in meshes]
        namespaces = clusters.Namespaces(
            observed=frozenset(case.release.namespace for case in cases),
            enforced=frozenset(case.release.namespace for case in cases if case.policy.mode == "enforce"),
        )
        where = f"kubernetes.{cluster}" if there.kubernetes else "kubernetes"
        # Pods are watched in the cluster where a mesh's releases are judged, and in no further one.
        sidecars = {
            name
            for name, mesh in meshes.items()
            if isinstance(entry := there.telemetry[mesh.telemetry], SidecarTelemetry)
            and entry.fallback is None
            and there.clusters_of(mesh)[0] == cluster
        }
        client = kubes.client(cluster)
        return await clusters.examine(client, where=where, meshes=meshes, namespaces=namespaces, sidecars=sidecars)

    async def _mesh(self, kubes: KubeClients, name: str, mesh: Mesh) -> list[Diagnosis]:
        """One that is in no cluster."""
        try:
            there = kubes.open_mesh(mesh, name=name)
        except InvalidInput as error:
            return [Diagnosis(code=Code.NOT_EXAMINED, where=error.path, found=error.message, fix=error.fix)]
        return await routes.examine_mesh(name, there, seconds=self.settings.limits.locate_seconds)

    async def _telemetry(self, kubes: KubeClients) -> list[Diagnosis]:
        """First the routes, which say which pods the arms are; then each source with its releases."""
        placed = {number: await self._placed(kubes, case) for number, case in enumerate(self.cases)}
        found = [diagnosis for one in placed.values() for diagnosis in one.diagnoses]
        async with TaskGroup() as group:
            tasks = [group.create_task(self._source(name, placed), name=name) for name in self.settings.telemetry]
        return [*found, *(one for task in tasks for one in task.result())]

    async def _source(self, name: str, placed: Mapping[int, Placed]) -> list[Diagnosis]:
        entry = self.settings.telemetry[name]
        if isinstance(entry, SidecarTelemetry):
            return [_unseen(entry, name=name)]
        here = [
            (self.cases[number], one.pods) for number, one in placed.items() if self._read_here(self.cases[number].mesh) == name
        ]
        read_here = [mesh for mesh in self.settings.meshes.values() if self._read_here(mesh) == name]
        kinds = [kind_read(mesh, dialect=entry.dialect) for mesh in read_here]
        return await sources.examine(
            entry,
            name=name,
            kind=next(iter(kinds), None),
            cases=here,
            seconds=self.seconds,
            clock=self.clock,
            progress=self.progress,
        )

    def _read_here(self, mesh: Mesh) -> str | None:
        """The entry that is examined for a mesh: what stands in for sidecars, which the daemon alone reads."""
        entry = self.settings.telemetry[mesh.telemetry]
        return entry.fallback if isinstance(entry, SidecarTelemetry) else mesh.telemetry

    async def _placed(self, kubes: KubeClients, case: Case) -> Placed:
        try:
            there = kubes.open_mesh(case.mesh, name=case.mesh_name)
        except InvalidInput as error:
            return Placed(diagnoses=[Diagnosis(code=Code.NOT_EXAMINED, where=error.path, found=error.message, fix=error.fix)])
        return await routes.examine(case, there, seconds=self.settings.limits.locate_seconds)


def _unseen(entry: SidecarTelemetry, *, name: str) -> Diagnosis:
    instead = (
        "nothing is watched in their place" if entry.fallback is None else f"telemetry.{entry.fallback} is watched in their place"
    )
    return Diagnosis(
        code=Code.SIDECARS_UNSEEN,
        where=f"telemetry.{name}",
        found=f"sidecars are read by the daemon only: {instead}",
        fix=f"look at a release's status while it is watched; telemetry.{name}.fallback names a Prometheus to be watched here",
    )
