"""What a watch has shown, in words."""

import pytest

from analyzers.counts import Arm
from config.policy import Policy
from config.settings import Mesh
from daemon.doctor.counting import Watched, diagnoses
from daemon.doctor.diagnosis import Code
from daemon.doctor.routes import Case
from daemon.doctor.watching import Tally
from daemon.doctor.witness import Witness
from daemon.measurements import Reading, Watch
from daemon.meshes.envoy.mesh import ENVOY
from daemon.model import ArmSpec, Protocol, Release
from daemon.telemetry.counters.collection import Collection, Timing
from daemon.telemetry.counters.series import SeriesIndex


class Nobody:
    """A source that is not asked."""

    timing = Timing(tick_seconds=1.0, stale_after_seconds=30.0, patience_seconds=5.0)
    wait_seconds: float | None = None

    async def collect(self) -> Collection:
        raise AssertionError("nobody asks here")


@pytest.mark.parametrize(("protocol", "what"), [("http", "request"), ("tcp", "connection")])
def test_what_is_counted_is_called_by_its_name(protocol: Protocol, what: str) -> None:
    release = Release(service="web", baseline=ArmSpec(service="v1"), canary=ArmSpec(service="v2"), protocol=protocol)
    index, tally = SeriesIndex(ENVOY.telemetry), Tally()
    index.watch([Watch(release_id="one", release=release)])
    tally.add(Reading(seconds=5.0, baseline=Arm(requests=90), canary=Arm(requests=0)))
    case = Case(release=release, mesh_name="edge", mesh=Mesh(telemetry="edge"), policy=Policy())
    witness = Witness(Nobody(), index, ENVOY.telemetry)
    watched = Watched(
        case=case,
        kind=ENVOY,
        release_id="one",
        where="telemetry.edge",
        tally=tally,
        witness=witness,
        tick_seconds=1.0,
        observed_seconds=60.0,
    )
    said = {one.code: one.found for one in diagnoses(watched)}
    assert said[Code.COUNTED] == f"90 {what}s of the baseline and 0 of the canary in 5 s; 0 of the baseline's failed"
    assert said[Code.NO_REQUESTS] == f"the canary was sent no {what}"
