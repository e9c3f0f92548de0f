"""One source of telemetry, opened as the daemon opens it: what it has of its mesh, and what it counts of the releases on it."""

from collections.abc import Mapping, Sequence

from config.settings import EnvoyTelemetry, Limits, PrometheusTelemetry
from daemon.aio.clock import Clock
from daemon.aio.parsing import ParserPool
from daemon.armpods import PodsByArm
from daemon.doctor import counting, pages, signsseen, stores
from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.doctor.routes import Case
from daemon.doctor.silence import SILENT, unanswered
from daemon.doctor.watching import Progress, watch
from daemon.doctor.witness import Witness
from daemon.engine.admission import WITHOUT_THE_SLOW_END, never_shown
from daemon.errors import InvalidInput, VerdictdError
from daemon.measurements import Watch
from daemon.meshes.kind import MeshKind
from daemon.meshes.registry import kind_read, schemas
from daemon.ports import telemetry as port
from daemon.telemetry.counters.collection import Source
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.factory import telemetry_from
from daemon.telemetry.schema import Schema

_FOLLOWS: Mapping[Code, frozenset[Code]] = {
    Code.CLOCK_SKEW: frozenset(
        {Code.STALE_DATA, Code.ARM_WITHOUT_SERIES, Code.LATE_SAMPLES, Code.NOT_COUNTED, Code.OBSERVED_TOO_SHORT}
    ),
    Code.CLOCK_OFF: frozenset({Code.LATE_SAMPLES}),
    Code.NO_SERIES: frozenset({Code.ARM_WITHOUT_SERIES, Code.ARMS_ALIKE}),
    Code.STALE_DATA: frozenset({Code.STALE_DATA, Code.ARM_WITHOUT_SERIES}),
    Code.SUMMED_COUNTERS: frozenset({Code.SUMMED_COUNTERS}),
    Code.NO_LATENCY: frozenset({Code.NO_LATENCY}),
}
"""What is not told of a release, since it follows from what is told of its source."""

Cases = Sequence[tuple[Case, PodsByArm | None]]
"""Releases, and which pods their arms are, where that is known."""


async def examine(
    entry: PrometheusTelemetry | EnvoyTelemetry,
    *,
    name: str,
    kind: MeshKind | None,
    cases: Cases,
    seconds: float,
    clock: Clock,
    progress: Progress,
) -> list[Diagnosis]:
    """What is wrong with it, and with what it counts.

    Args:
        entry: its settings.
        name: of the entry.
        kind: of the mesh that reads it; null: none does.
        cases: the releases that it counts.
        seconds: how long to watch them at most.
        clock: the daemon's.
        progress: is told what is waited for.
    """
    where, witnesses = f"telemetry.{name}", list[Witness]()

    def through(source: Source, index: SeriesIndex, schema: Schema) -> Source:
        witnesses.append(Witness(source, index, schema))
        return witnesses[-1]

    try:
        async with telemetry_from(entry, clock=clock, name=name, schemas=schemas(), through=through) as telemetry:
            [witness] = witnesses
            refused = [_refused(telemetry, case) for case, _ in cases]
            taken = [one for one, those in zip(cases, refused, strict=True) if not those]
            found = [one for those in refused for one in those]
            found += await _there(entry, witness, name=name, kind=kind, clock=clock)
            if any(one.code in SILENT for one in found):
                return found
            counted = await _watched(
                telemetry, witness, taken, where=where, dialect=entry.dialect, seconds=seconds, clock=clock, progress=progress
            )
            there = {one.code for one in found}
            follows = frozenset().union(*(_FOLLOWS.get(code, frozenset()) for code in there))
            return [*found, *(one for one in counted if one.code not in follows)]
    except InvalidInput as error:
        return [Diagnosis(code=Code.TELEMETRY_UNREACHABLE, where=error.path, found=error.message, fix=error.fix)]
    except VerdictdError as error:
        return [unanswered(error, where=where)]


async def _there(
    entry: PrometheusTelemetry | EnvoyTelemetry,
    witness: Witness,
    *,
    name: str,
    kind: MeshKind | None,
    clock: Clock,
) -> list[Diagnosis]:
    """What the store behind it has, or the proxies that are asked themselves."""
    if isinstance(entry, EnvoyTelemetry):
        async with ParserPool(unparsed_bytes=Limits().unparsed_bytes) as pool:
            return await pages.examine(entry, schema=witness.schema, name=name, clock=clock, pool=pool)
    assert witness.store is not None, "a Prometheus is read through its source"
    store = stores.Store(
        source=witness.store,
        schema=witness.schema,
        where=f"telemetry.{name}",
        build="" if kind is None else kind.build,
        stale_after_seconds=entry.stale_after_seconds,
        control_plane=None if kind is None else kind.control_plane,
        arm_signs=None if kind is None else kind.arm_signs,
        heeded=entry.control_plane,
        matchers=entry.matchers,
    )
    found = await stores.examine(store, clock=clock)
    unable = {Code.CLOCK_SKEW, *SILENT}
    return found if any(one.code in unable for one in found) else [*found, *await signsseen.examine(store)]


async def _watched(
    telemetry: port.Telemetry,
    witness: Witness,
    cases: Cases,
    *,
    where: str,
    dialect: str,
    seconds: float,
    clock: Clock,
    progress: Progress,
) -> list[Diagnosis]:
    """What a watch of all of them shows of each."""
    watches = [
        Watch(release_id=f"doctor-{number}", release=case.release, pods=pods, failures=case.policy.failures)
        for number, (case, pods) in enumerate(cases)
    ]
    if not watches:
        return []
    tallies = await watch(telemetry, watches, witness, seconds=seconds, clock=clock, progress=progress)
    if witness.failure is not None:
        return [unanswered(witness.failure, where=where)]
    found: list[Diagnosis] = []
    for (case, _), one in zip(cases, watches, strict=True):
        found += counting.diagnoses(
            counting.Watched(
                case=case,
                kind=kind_read(case.mesh, dialect=dialect),
                release_id=one.release_id,
                where=where,
                tally=tallies[one.release_id],
                witness=witness,
                tick_seconds=telemetry.tick_seconds,
                observed_seconds=seconds,
            )
        )
    return found


def _refused(telemetry: port.Telemetry, case: Case) -> list[Diagnosis]:
    """What admission would say of a release that this telemetry cannot count."""
    found = []
    if reason := telemetry.cannot_count(case.release):
        fix = "take it back by hand where it goes wrong (verdictd revert)"
        found.append(Diagnosis(code=Code.REFUSED, where=case.name, found=reason, fix=fix))
    if reason := never_shown(case.policy, timed=telemetry.timed(case.release)):
        where = f"policies.{case.release.policy}"
        found.append(Diagnosis(code=Code.REFUSED, where=where, found=reason, fix=WITHOUT_THE_SLOW_END))
    for sentence in telemetry.cannot_tell(case.policy.failures):
        wrong, _, fix = sentence.rpartition("; ")
        found.append(Diagnosis(code=Code.REFUSED, where=f"policies.{case.release.policy}", found=wrong, fix=fix))
    return found
