"""How long releases are looked at, against how far apart and how late their samples are: too short a look is no fault of theirs."""

import re

import pytest

from config.policy import Policy
from config.settings import Mesh
from daemon.doctor.counting import Watched, diagnoses
from daemon.doctor.diagnosis import Code, Diagnosis
from daemon.doctor.routes import Case
from daemon.doctor.watching import watch
from daemon.doctor.witness import Witness
from daemon.meshes.istio.mesh import ISTIO
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.sampled import SampledTelemetry
from tests.hand.clock import HandClock
from tests.telemetry.fleet import SCHEMA, START, Fleet, Pod, Scraper, source_of
from tests.telemetry.support import workloads

ARMS = ("web-v1", "web-v2")


def scraped(*, every: float, phases: tuple[float, float], late: float = 0.0, died: float = 1e9) -> Fleet:
    """A pod of each arm; phases in shares of the interval."""
    scrapers = [Scraper(every=every, phase=phase * every, late=late) for phase in phases]
    return Fleet([Pod(workload=arm, name=f"{arm}-0", scrapers=(one,), died=died) for arm, one in zip(ARMS, scrapers, strict=True)])


async def looked(fleet: Fleet, *, seconds: float) -> dict[Code, Diagnosis]:
    """What is said of the release after so long."""
    clock, index = HandClock(START + 1.0), SeriesIndex(SCHEMA, as_text=True)
    source = source_of(fleet, index, clock=clock)
    witness = Witness(source, index, SCHEMA)
    telemetry = SampledTelemetry(witness, schema=SCHEMA, index=index, clock=clock)
    tallies = await watch(telemetry, [workloads()], witness, seconds=seconds, clock=clock, progress=lambda _: None)
    await source.close()
    case = Case(release=workloads().release, mesh_name="mesh", mesh=Mesh(telemetry="mesh"), policy=Policy())
    seen = Watched(
        case=case,
        kind=ISTIO,
        release_id="web-1",
        where="telemetry.mesh",
        tally=tallies["web-1"],
        witness=witness,
        tick_seconds=telemetry.tick_seconds,
        observed_seconds=seconds,
    )
    return {one.code: one for one in diagnoses(seen)}


@pytest.mark.parametrize(
    ("every", "late", "phases", "waited_for"),
    [
        (30.0, 20.0, (0.03, 0.43), "canary: no new scrape of web-v2-0 yet"),
        (60.0, 0.0, (0.93, 0.33), "canary: no new scrape yet, and one is due: it is waited for"),
        (60.0, 20.0, (0.93, 0.93), "baseline: no new scrape of web-v1-0 yet"),
        (120.0, 5.0, (0.93, 0.93), "baseline: no new scrape of web-v1-0 yet"),
    ],
)
async def test_what_a_look_was_too_short_for_is_no_fault_and_is_counted_in_the_time_that_is_said(
    every: float, late: float, phases: tuple[float, float], waited_for: str
) -> None:
    fleet = scraped(every=every, late=late, phases=phases)
    found = await looked(fleet, seconds=60.0)
    short = found[Code.OBSERVED_TOO_SHORT]
    assert short.severity == "warning"
    assert short.found.startswith("60 s are too short for anything to be counted: ")
    assert waited_for in short.found
    assert Code.NOT_COUNTED not in found
    [seconds] = re.findall(r"^look longer: --observe (\d+)$", short.fix)
    found = await looked(fleet, seconds=float(seconds))
    assert Code.COUNTED in found
    assert Code.OBSERVED_TOO_SHORT not in found


async def test_arms_scraped_so_unequally_often_that_they_cannot_be_compared_yet_are_in_the_time_that_is_said() -> None:
    fleet = Fleet([*scraped(every=15.0, phases=(0.9, 0.9)).pods[:1], *scraped(every=60.0, phases=(0.28, 0.28)).pods[1:]])
    short = (await looked(fleet, seconds=20.0))[Code.OBSERVED_TOO_SHORT]
    assert "unequal clocks: the baseline covers 15 s, the canary 60 s" in short.found
    assert Code.COUNTED in await looked(fleet, seconds=float(short.fix.rpartition(" ")[2]))


async def test_where_nobody_knows_how_far_apart_samples_are_it_is_looked_twice_as_long() -> None:
    found = await looked(scraped(every=900.0, phases=(0.0, 0.0)), seconds=90.0)
    assert found[Code.OBSERVED_TOO_SHORT].fix == "look longer: --observe 180"


async def test_what_was_looked_at_for_long_enough_and_is_scraped_no_more_is_a_fault() -> None:
    found = await looked(scraped(every=5.0, phases=(0.1, 0.7), died=-1.0), seconds=90.0)
    assert Code.OBSERVED_TOO_SHORT not in found
    fault = found[Code.NOT_COUNTED]
    assert fault.severity == "fault"
    assert "no new scrape of web-v" in fault.found
    assert "still scraped" in fault.fix
