"""What can be found, as data."""

from pathlib import Path

import pytest

from daemon.doctor.diagnosis import Code, Diagnosis, worst_first

PAGE = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"


@pytest.mark.parametrize(
    ("code", "severity"),
    [
        (Code.TELEMETRY_UNREACHABLE, "fault"),
        (Code.NOT_EXAMINED, "fault"),
        (Code.CLOCK_OFF, "warning"),
        (Code.PERMISSION_NARROW, "warning"),
        (Code.SERIES, "note"),
        (Code.BROKER, "note"),
    ],
)
def test_how_bad_it_is_belongs_to_the_code(code: Code, severity: str) -> None:
    assert Diagnosis(code=code, where="nats", found="so").severity == severity


def test_the_same_thing_found_twice_is_told_once_and_the_worst_first() -> None:
    note, fault, warning = (
        Diagnosis(code=code, where="nats", found="so") for code in (Code.BROKER, Code.NO_SERIES, Code.PODS_TWICE)
    )
    assert worst_first([note, warning, fault, warning]) == (fault, warning, note)


@pytest.mark.parametrize("code", list(Code))
def test_the_page_explains_every_code(code: Code) -> None:
    assert f"`{code}`" in PAGE.read_text(encoding="utf-8")
