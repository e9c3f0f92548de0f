"""The curves, and the two plots of them."""

import re
from xml.etree import ElementTree as ET

import pytest

from daemon.demo.acts import ACTS
from daemon.demo.charts import page, picture, round_top
from daemon.demo.overview import plot
from daemon.demo.timeline import timeline, turns
from daemon.demo.traffic import series
from daemon.offline.plotting.terminal import Canvas
from tests.demo.samples import BEGAN, promoted, steady, taken_back, traffic

LOG = traffic(
    [
        *steady("v1", begin=BEGAN, end=BEGAN + 10.0, every=0.01),
        *steady("v2", begin=BEGAN + 2.0, end=BEGAN + 6.0, every=0.02),
        *steady("v2", begin=BEGAN + 2.0, end=BEGAN + 6.0, every=0.02, status=500),
    ]
)
SERIES = series(LOG, versions=("v1", "v2"), begin=BEGAN, end=BEGAN + 10.0)


def test_curves_have_four_points_a_second() -> None:
    assert len(SERIES.at) == 40
    assert SERIES.at[:2] == (0.125, 0.375)


def test_shares_error_rates_and_medians_are_those_of_the_window() -> None:
    in_the_middle = SERIES.at.index(4.125)
    v1, v2 = SERIES.versions["v1"], SERIES.versions["v2"]
    assert (v1.share[in_the_middle], v2.share[in_the_middle]) == (50.0, 50.0)
    assert (v1.error_rate[in_the_middle], v2.error_rate[in_the_middle]) == (0.0, 50.0)
    assert abs((v2.p50_ms[in_the_middle] or 0.0) - 20.0) < 0.01


def test_a_version_without_traffic_has_a_share_of_zero_and_no_rate() -> None:
    v2 = SERIES.versions["v2"]
    assert (v2.share[0], v2.error_rate[0], v2.p50_ms[0]) == (0.0, None, None)


def test_no_traffic_at_all_is_no_share() -> None:
    empty = series(traffic([]), versions=("v1",), begin=BEGAN, end=BEGAN + 0.2)
    assert empty.versions["v1"].share == (None,)


def test_a_dot_is_where_it_belongs() -> None:
    canvas = Canvas(columns=2, rows=1)
    canvas.dot(0, 0)
    canvas.dot(3, 3)
    canvas.dot(9, 9)
    assert canvas.lines(colours=False) == ["⡀⠈"]


def test_a_curve_is_joined_and_breaks_at_its_gaps() -> None:
    canvas = Canvas(columns=3, rows=1)
    canvas.curve([0.0, 1.0, 1.0, None, None, 0.0])
    assert canvas.lines(colours=False) == ["⣸⠁⢀"]
    empty = Canvas(columns=1, rows=1)
    empty.curve([])
    assert empty.lines(colours=False) == ["⠀"]


def test_colours_are_written_only_when_asked_for() -> None:
    canvas = Canvas(columns=1, rows=1)
    canvas.curve([1.0], colour="\x1b[31m")
    assert canvas.lines(colours=True) == ["\x1b[31m⠉\x1b[0m"]
    assert canvas.lines(colours=False) == ["⠉"]


def test_the_plot_fits_into_80_columns_and_marks_the_turns() -> None:
    text = plot(SERIES, turns([promoted(), taken_back()]), colours=False)
    assert max(len(line) for line in text) <= 80
    joined = "\n".join(text)
    for word in ("share of the traffic", "failed requests", "median latency", "▲v2", "✔", "✖", "taken back", "60 %"):
        assert word in joined


def test_in_colour_the_versions_are_named_in_theirs() -> None:
    legend = plot(SERIES, [], colours=True)[0]
    assert re.findall(r"\x1b\[\d+m(v\d)\x1b\[0m", legend) == ["v1", "v2"]


def test_turns_are_those_that_happened() -> None:
    assert [turn.sign for turn in turns([promoted(shifted_at=None)])] == ["▲v2"]
    assert [turn.sign for turn in turns([taken_back(ACTS[2])])] == ["▲v4", "✖"]


def test_the_page_is_well_formed_needs_nothing_else_and_escapes_what_it_shows() -> None:
    played = taken_back()
    text = page(SERIES, [(played, timeline(played, LOG))])
    for svg in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        root = ET.fromstring(svg)  # noqa: S314  we wrote it ourselves
        assert len(root.findall("path")) == 2
        assert root.attrib["aria-label"]
    assert "because &lt;of&gt; &amp; this" in text
    assert re.search(r"(src|href|url)\s*[=(]", text) is None


@pytest.mark.parametrize(("value", "top"), [(5.0, 6.0), (9.31, 10.0), (10.0, 10.0), (33.1, 40.0), (0.7, 0.8), (81.0, 100.0)])
def test_an_axis_ends_at_a_round_number(value: float, top: float) -> None:
    assert round_top(value) == pytest.approx(top)


def test_the_picture_has_a_name_and_is_dark_for_who_reads_in_the_dark() -> None:
    root = ET.fromstring(picture(SERIES, [taken_back()]))  # noqa: S314  we wrote it ourselves
    space = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{space}title")
    style = root.findtext(f"{space}style") or ""
    assert ".ground { fill: #16181b; }" in style.partition("prefers-color-scheme: dark")[2]
    assert "var(" not in style, "not every viewer of pictures knows variables"
