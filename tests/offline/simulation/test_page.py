"""The calibration's page: every row with its limits, what is not met, 0.1 beside it, and plots that are pictures."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from tests.bench.calibration.asks import Promoted, RolledBack
from tests.bench.calibration.before import KEPT, Before, keep
from tests.bench.calibration.page import Answers, markdown, not_met, page, table
from tests.bench.calibration.plots import all_plots
from tests.bench.calibration.row import Row
from tests.bench.calibration.rows import all_rows

NOTHING = Path("nowhere.json")


def _answers(rows: list[Row]) -> Answers:
    """Invented ends: one of 200 of the same code is taken back, the others are promoted; the bad are found around tick 10."""
    rng = np.random.default_rng(2)
    answers = {}
    for row in rows:
        ends = (rng.integers(1, 20, 200) + row.onset).tolist()
        if isinstance(row.asked, RolledBack):
            ends = [7, *([0] * 199)]
        if isinstance(row.asked, Promoted):
            ends = [-300] * 199 + [0]
        answers[row.name] = ends
    return answers


def test_a_table_is_aligned() -> None:
    assert markdown(["a", "long"], [["xxx", "y"]]) == "| a   | long |\n|-----|------|\n| xxx | y    |"


def _page(rows: list[Row], answers: Answers, *, quick: bool) -> str:
    return page(rows, answers, before=Before(NOTHING), fingerprint="abc", quick=quick, gamma_ms=45.0, slow_ms=200.0)


def test_the_page_holds_every_row_and_says_what_is_not_met() -> None:
    rows = all_rows()
    answers = _answers(rows)
    text = _page(rows, answers, quick=False)
    for row in rows:
        assert row.title in text
    assert "A quick run" not in text
    assert "bad: errors 20 %" in text.split("## The same code")[0], "2/2 is wanted, about 10 is what was found"
    assert "same code: clean: " not in text
    assert "No constant of the judge was chosen by them" in text
    assert "nan" not in text.lower()
    assert "0.50 (0.01-2.8) %" in text
    assert "recision" not in text


def test_a_part_makes_a_page_too() -> None:
    rows = [row for row in all_rows() if row.tested]
    text = _page(rows, _answers(rows), quick=True)
    assert "A quick run" in text
    assert "plots/" not in text
    assert "## In short" not in _page(rows[:1], _answers(rows), quick=True)


def test_what_is_not_met_is_said_with_its_figure() -> None:
    row = next(row for row in all_rows() if row.name == "same code: clean")
    assert not_met([row], {row.name: [0] * 2000}) == []
    assert not_met([row], {row.name: [5] * 60 + [0] * 1940}) == ["- same code: clean: 3.0 (2.3-3.8) %, wanted at most 1 %"]


def test_kept_figures_stand_beside_the_rows_that_ask_the_same(tmp_path: Path) -> None:
    row = next(row for row in all_rows() if row.name == "same code: clean")
    path = tmp_path / "kept.json"
    keep([(row, [4] + [0] * 199)], path)
    before = Before(path)
    assert before.figure(row) == "0.50 (0.01-2.8) %, n 200"
    assert "0.50 (0.01-2.8) %, n 200 |" in table([row], {row.name: [0] * 400}, before)
    assert before.figure(replace(row, watch=replace(row.watch, seconds=400.0))) == ""
    assert Before(tmp_path / "none.json").figure(row) == ""
    keep([(replace(row, title="another"), [0] * 200)], path)
    assert Before(path).figure(row) == "0.50 (0.01-2.8) %, n 200", "other rows stay"


def test_the_figures_of_0_1_are_to_the_questions_of_today() -> None:
    rows = {row.name: row for row in all_rows()}
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    stale = [name for name in kept if name not in rows or not Before(KEPT).figure(rows[name])]
    assert not stale, "the row's stream or watch has changed: its figure of 0.1 must be measured again, or go"
    assert len(kept) > 100


def test_the_plots_are_pictures_without_holes() -> None:
    rows = all_rows()
    answers = _answers(rows)
    text = _page(rows, answers, quick=False)
    for name, drawing in all_plots([(row, answers[row.name]) for row in rows]).items():
        root = ET.fromstring(drawing)  # noqa: S314 - our own drawing
        assert root.tag.endswith("svg"), name
        assert len(list(root.iter())) > 20
        assert "nan" not in drawing
        assert "inf" not in drawing
        assert f"plots/{name}" in text
