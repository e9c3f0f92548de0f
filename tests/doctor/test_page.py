"""docs/doctor.md against the code: all that can be found stands there, and of each fault what the command says of it."""

import re
from pathlib import Path

import pytest

from daemon.doctor.diagnosis import Code
from tests.mesh.doctor_faults import FAULTS, HEALTHY
from tests.mesh.doctor_world import Fault

PAGE = Path(__file__).resolve().parents[2] / "docs/doctor.md"
_, CODES, SHOWN = re.split(r"^## What it (?:can find|says of each fault)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
OUTPUTS = dict(re.findall(r"^### (.+?)\n\n```console\n(.+?)\n```$", SHOWN, flags=re.MULTILINE | re.DOTALL))


def said(output: str) -> set[str]:
    """The codes of what is wrong in an output."""
    return set(re.findall(r"^(?:FAULT|WARNING) +(\S+) ", output, flags=re.MULTILINE))


def test_every_code_is_told_under_how_bad_it_is_and_no_other_is() -> None:
    faults, warnings, notes = re.split(r"^Warnings make|^Notes say", CODES, flags=re.MULTILINE)
    for part, severity in ((faults, "fault"), (warnings, "warning")):
        cells = " ".join(re.findall(r"^\| (`.+?) \|", part, flags=re.MULTILINE))
        assert set(re.findall(r"`([a-z-]+)`", cells)) == {one.value for one in Code if one.severity == severity}
    assert set(re.findall(r"`([a-z-]+)`", notes)) == {one.value for one in Code if one.severity == "note"}


def test_the_page_shows_each_fault_that_is_made_in_the_real_world() -> None:
    assert list(OUTPUTS) == [one.name for one in (HEALTHY, *FAULTS)], "python -m tests.mesh.doctorpage prints them"


@pytest.mark.parametrize("fault", FAULTS, ids=[one.name for one in FAULTS])
def test_what_the_page_shows_of_a_fault_is_what_must_be_found(fault: Fault) -> None:
    must = {code.value for code, _ in fault.found}
    assert must <= said(OUTPUTS[fault.name]) <= must | {code.value for code in fault.also}


def test_a_code_that_is_not_shown_is_said_not_to_be() -> None:
    [not_shown] = re.findall(r"^Not shown.+?\n\n", SHOWN, flags=re.MULTILINE | re.DOTALL)
    shown = {code for output in OUTPUTS.values() for code in said(output)}
    assert set(re.findall(r"`([a-z-]+)`", not_shown)) == {one.value for one in Code if one.severity != "note"} - shown
