"""Weights as Kubernetes writes quantities: exact, whatever unit they are in."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.meshes.smi.quantities import BILLION, billionths, quantity


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (90, "90"),
        (0, "0"),
        (99.5, "99.5"),
        (0.1, "1/10"),
        ("1", "1"),
        ("500m", "1/2"),
        ("0m", "0"),
        ("+1", "1"),
        (".5", "1/2"),
        ("2.", "2"),
        ("1u", "1/1000000"),
        ("1n", "1/1000000000"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("2Mi", "2097152"),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("5E-1", "1/2"),
        ("1E", "1000000000000000000"),
    ],
)
def test_a_quantity_is_read_exactly(written: object, value: str) -> None:
    assert billionths(written) == Fraction(value) * BILLION


def test_what_is_finer_than_a_billionth_is_rounded_up_as_kubernetes_does() -> None:
    assert billionths("0.1n") == 1
    assert billionths("1.0000000001") == BILLION + 1


@pytest.mark.parametrize(
    "written",
    [
        *("", "m", "1x", "1 ", "1mm", "half", "-1", "1e", "1e999999999", "1E99", "1e99", "9223372036854775808", "1" * 60, "٣"),
        *(-1, -0.5, True, None, [], {}, float("nan"), float("inf")),
    ],
)
def test_what_is_no_weight_is_none(written: object) -> None:
    assert billionths(written) is None


@given(st.integers(0, 2**63 * BILLION - BILLION))
def test_what_is_written_is_read_as_the_same(weight: int) -> None:
    assert billionths(quantity(weight)) == weight


@pytest.mark.parametrize(
    ("weight", "written"), [(BILLION, "1"), (1_100_000_000, "1100m"), (1_000, "1u"), (1, "1n"), (0, "0"), (1500 * BILLION, "1500")]
)
def test_it_is_written_in_the_coarsest_unit_that_tells_it(weight: int, written: str) -> None:
    assert quantity(weight) == written
