"""Scales, frames and axes: what is drawn is where it belongs, and nothing is lost on the way."""

import pytest

from daemon.offline.plotting.terminal import LABEL, LogScale, framed, moments, resampled, time_axis


def test_a_logarithmic_scale_places_powers_evenly_and_keeps_what_is_outside_on_the_edge() -> None:
    scale = LogScale(bottom=0.1, top=1000.0)
    assert [scale.place(value) for value in (0.0, 0.1, 1.0, 10.0, 1000.0, 1e250)] == pytest.approx([0, 0, 0.25, 0.5, 1, 1])
    assert [scale.row(value, rows=9) for value in (1000.0, 10.0, 0.1)] == [0, 4, 8]


@pytest.mark.parametrize("points", [1, 3, 7, 100])
def test_resampling_loses_no_peak_and_keeps_the_ends(points: int) -> None:
    values = [1.0, 9.0, 2.0, 3.0, 4.0, 5.0, 7.0]
    found = resampled(values, points=points)
    assert len(found) == points
    assert max(found) == 9.0
    assert found[-1] == (9.0 if points == 1 else 7.0)


def test_labels_stand_at_their_rows() -> None:
    text = framed(["a", "b", "c"], labels={0: "top", 2: "low"}, title="what")
    assert text == [" " * (LABEL + 2) + "what", "      top ┤a", "          │b", "      low ┤c"]


@pytest.mark.parametrize("seconds", [0.0, 0.5, 3.0, 47.0, 300.0, 86_400.0 * 30])
def test_an_axis_of_time_has_its_width_and_begins_at_0(seconds: float) -> None:
    ruler, labels = time_axis(columns=58, seconds=seconds)
    assert len(ruler) == 58 + LABEL + 2
    assert labels.split("s")[0].strip() == "0"
    assert ruler.count("┴") <= 8


def test_moments_are_whole_numbers_people_count_in() -> None:
    assert moments(47.0) == [0, 10, 20, 30, 40]
    assert moments(300.0) == [0, 60, 120, 180, 240, 300]
    assert moments(0.4) == [0]
    assert len(moments(1e7)) <= 8
