"""The judge on releases of which the truth is known: a small seeded part of `make calibration`, against what is wanted of it.

A row fails when a judge that just does what is wanted would look so bad once in a million seeds.
"""

from typing import Final

import pytest

from daemon.offline.simulation.world import World
from tests.bench.calibration import watching
from tests.bench.calibration.asks import Found, Promoted, RolledBack, too_many
from tests.bench.calibration.row import Row, Watch
from tests.bench.calibration.rows import AGAIN, SHORT, TESTED, all_rows

NOT_REACHED: Final[frozenset[str]] = frozenset()
"""What the judge of today does not reach, each with its reason in the page; a row that is reached again must go from here."""


def _tested() -> list[object]:
    return [
        pytest.param(row, id=row.name, marks=[pytest.mark.xfail(strict=True)] if row.name in NOT_REACHED else [])
        for row in all_rows()
        if row.tested
    ]


@pytest.mark.broad
@pytest.mark.timeout(300)  # seconds of one core that nobody else wants; a busy one needs more than the usual limit
@pytest.mark.parametrize("row", _tested())
def test_the_judge_does_what_is_wanted(row: Row) -> None:
    ends = watching.ends(row, block=0, releases=row.tested)
    assert not row.asked.refuted(ends, row.onset), row.asked.answer(ends, row.onset).figure


def test_what_is_refuted_is_what_chance_cannot_explain() -> None:
    assert not too_many(0, 100, 0.0)
    assert too_many(1, 100, 0.0)
    assert not too_many(8, 100, 0.01)
    assert too_many(10, 100, 0.01)
    assert RolledBack(at_most=0.01).refuted([5] * 10 + [0] * 90, 0)
    assert not RolledBack().refuted([5] * 100, 0)
    assert Promoted(at_least=0.95).refuted([0] * 30 + [-60] * 70, 0)
    assert not Promoted(at_least=0.95).refuted([0] * 10 + [-60] * 90, 0)
    assert Promoted(at_most=0.0).refuted([-60], 0)
    assert Found(median=3, p90=5).refuted([*([3] * 60), *([7] * 40)], 0)
    assert Found(median=3, p90=9).refuted([*([3] * 20), *([7] * 80)], 0)
    assert not Found(median=3, p90=5).refuted([*([13] * 60), *([15] * 40)], 10)


def test_every_row_has_a_name_of_its_own_and_a_stream_that_begins() -> None:
    rows = all_rows()
    names = {row.name for row in rows}
    assert len(names) == len(rows)
    assert set(TESTED) <= names
    for section, titles in (("short ticks", SHORT), ("default watch", AGAIN)):
        assert {f"{section}: {title}" for title in titles} <= names
    for row in rows:
        setting = watching.setting(row)
        seconds = row.stream.traffic.tick_seconds if isinstance(row.stream, World) else row.stream.tick_seconds
        assert setting.ticks * seconds >= 300.0
        assert row.onset < setting.ticks, row.name


def test_what_is_wanted_of_a_rate_can_be_told_by_a_full_calibration() -> None:
    for row in all_rows():
        assert row.releases >= (300 if isinstance(row.asked, Found) or not row.asked.wanted else 2000), row.name


def test_a_seed_names_a_rows_releases_and_the_deadlines_words_are_not_paid_for() -> None:
    row = next(row for row in all_rows() if row.name == "bad: x2")
    first, again, other = (watching.ends(row, block=block, releases=20) for block in (0, 0, 1))
    assert first == again
    assert first != other or len(set(first)) == 1
    setting = watching.setting(row)
    assert setting.terms.window_seconds > setting.ticks * 1.0
    assert setting.terms.horizon == setting.ticks


def test_a_watch_says_its_policy() -> None:
    assert Watch().length_seconds == 300.0
    assert Watch().policy.promotion.min_seconds > 300.0
    assert Watch(seconds=None).length_seconds == Watch(seconds=None, promoting=True).policy.window_seconds
    assert Watch(strict=True).policy.evidence == "strict"
    usual = Watch(seconds=None, promoting=True).policy
    assert usual == type(usual)()
