"""The calibration's page: figures from ticks, marks where they are worse, plots that are pictures."""

import math
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tests.bench.calibration.cells import all_cells
from tests.bench.calibration.figures import delay, reference, share
from tests.bench.calibration.page import page
from tests.bench.calibration.plots import all_plots
from tests.bench.calibration.probes import BOUND_TICKS, CERTIFICATES, LEGS, SUMS, First
from tests.bench.calibration.tables import Tables, markdown


def test_a_share_has_its_binomial_error() -> None:
    found = share([0] * 990 + [7] * 10)
    assert found.percent == pytest.approx(1.0)
    assert found.error == pytest.approx(100 * math.sqrt(0.01 * 0.99 / 1000))
    assert str(found) == "1.00 ± 0.31 %"


def test_a_share_is_worse_only_beyond_chance() -> None:
    ten_of_a_thousand = [0] * 990 + [7] * 10
    assert not share(ten_of_a_thousand, 0.6, 1000).worse
    assert not share(ten_of_a_thousand, 5.0, 1000).worse
    assert share(ten_of_a_thousand * 20, 0.5, 20000).worse


def test_delays_count_from_the_onset_and_never_is_the_longest() -> None:
    found = delay([*range(166, 251), *([0] * 10), 3, 160], 165)
    assert found.median == 48.0
    assert math.isinf(found.p90)
    assert found.found == pytest.approx(100 * 85 / 95)
    assert str(found) == "48 / - (89 %)"


def test_a_delay_is_worse_when_too_few_are_found_in_time() -> None:
    ticks = np.random.default_rng(1).integers(1, 21, 1000).tolist()
    assert not delay(ticks, 0, [10, 18]).worse
    assert delay(ticks, 0, [8, 18]).worse
    assert delay(ticks, 0, [10, 16]).worse


def test_a_table_is_aligned() -> None:
    assert markdown(["a", "long"], [["xxx", "y"]]) == "| a   | long |\n|-----|------|\n| xxx | y    |"


def _answers() -> dict[tuple[str, str], First]:
    """Invented ticks for every cell: one release in two hundred of the healthy, all of the others around tick 10."""
    rng = np.random.default_rng(2)
    answers: dict[tuple[str, str], First] = {}
    for cell in all_cells():
        columns = {"promotion": CERTIFICATES, "product": ("rollback", "promote", "inconclusive")}.get(cell.section, (*SUMS, *LEGS))
        ticks = rng.integers(1, 20, 200) + cell.world.change.onset_tick
        if cell.section == "false":
            ticks = np.where(np.arange(200) == 0, ticks, 0)
        first: dict[str, list[float]] = {column: ticks.tolist() for column in columns}
        if cell.section == "promotion":
            first |= {f"bound {tick}": [1.1] * 199 + [math.nan] for tick in BOUND_TICKS}
        answers[cell.section, cell.key] = first
    return answers


def test_the_page_holds_every_cell_and_says_what_is_worse() -> None:
    cells = all_cells()
    tables = Tables(cells, _answers(), reference())
    text = page(tables, fingerprint="abc", suite="## The suite", quick=True)
    for cell in cells:
        if not cell.key.endswith("at e0.5"):
            assert cell.title in text
    assert "A quick run" in text
    assert "**worse**" in text, "x1.5 is found within 2 ticks by the reference, here within 10"
    assert "detection: latency x1.5" in text
    assert "false: clean" not in text
    assert "nan" not in text.lower()


def test_the_plots_are_pictures_without_holes() -> None:
    tables = Tables(all_cells(), _answers(), reference())
    for name, drawing in all_plots(tables).items():
        root = ET.fromstring(drawing)  # noqa: S314 - our own drawing
        assert root.tag.endswith("svg"), name
        assert len(list(root.iter())) > 20
        assert "nan" not in drawing
        assert "inf" not in drawing
        assert f"plots/{name}" in page(tables, fingerprint="", suite="", quick=False)
