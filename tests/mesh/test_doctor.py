"""The doctor in a real world with one thing wrong at a time: it finds that, says what mends it, and finds nothing else."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
import pytest_asyncio

from daemon.doctor.diagnosis import Code, Findings
from tests.mesh.doctor_faults import FAULTS, HEALTHY
from tests.mesh.doctor_world import Fault, World, examined, wrong
from tests.mesh.doctor_world import world as doctor_world

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(420),
    pytest.mark.xdist_group("doctor"),
]

_AT_A_TIME = 8
Found = Mapping[str, Findings | BaseException]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with doctor_world(tmp_path_factory.mktemp("world")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def found(request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What is found of each fault that is asked for, some at a time: most of it is waiting for scrapes."""
    asked = [item.callspec.params.get("fault") for item in request.session.items if hasattr(item, "callspec")]
    places = asyncio.Semaphore(_AT_A_TIME)

    async def examine(fault: Fault) -> Findings:
        async with places, examined(world, fault, tmp_path_factory.mktemp("fault")) as examination:
            return await examination.run()

    chosen = [fault for fault in (HEALTHY, *FAULTS) if fault is HEALTHY or fault in asked]
    results = await asyncio.gather(*(examine(fault) for fault in chosen), return_exceptions=True)
    return {fault.name: result for fault, result in zip(chosen, results, strict=True)}


def of(found: Found, fault: Fault) -> Findings:
    findings = found[fault.name]
    if isinstance(findings, BaseException):
        raise findings
    return findings


async def test_where_all_is_well_nothing_is_wrong(found: Found) -> None:
    findings = of(found, HEALTHY)
    assert wrong(findings) == []
    said = {one.code: one.found for one in findings.diagnoses}
    assert {"counted", "pace", "permissions", "route", "broker", "control-plane"} <= said.keys()


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
async def test_one_fault_is_found_with_what_mends_it_and_no_other(found: Found, fault: Fault) -> None:
    findings = of(found, fault)
    seen = wrong(findings)
    for code, words in fault.found:
        assert any(one == code and words in said for one, said in seen), seen
    # A store that has just begun may not have scraped the control plane yet, and it is right to say so.
    allowed = {code for code, _ in fault.found} | set(fault.also) | {Code.CONTROL_PLANE_UNSEEN}
    assert {code for code, _ in seen} <= allowed, seen
    assert all(one.fix for one in findings.diagnoses if one.severity != "note")
