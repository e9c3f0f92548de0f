"""The calibration's own parts: its quick fold is the judge's, its cache is honest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analyzers.layout import Rows
from daemon.simulation.drawing import Stream
from daemon.simulation.trials import Watch, terms_for
from daemon.simulation.world import Change, Failures, Pods, Traffic, World
from tests.bench.calibration import probes, running
from tests.bench.calibration.cache import Results
from tests.bench.calibration.cells import TIMES, Cell, all_cells
from tests.bench.calibration.lean import Bench, tick_of

HARD = World(
    times=TIMES,
    traffic=Traffic(gap_chance=0.05, gap_ticks=2, reset_chance=0.05, flush_ticks=2),
    failures=Failures(errors=0.01, denied=0.01, clump=2),
    change=Change(onset_tick=5, errors=0.04, factor=1.1, denied=0.03),
)


@pytest.mark.parametrize("split", [True, False])
def test_the_quick_fold_gives_the_judges_numbers_to_the_last_bit(split: bool) -> None:
    world, releases = replace(HARD, split=split), 140
    cell = Cell(section="false", key="k", title="t", world=world, runs=releases)
    terms = terms_for(world, probes._policy(cell, probes.STRICTEST))
    bench = Bench(terms, releases)
    watch = Watch(world, terms, releases=releases, seed=1)
    for drawn, now in zip(Stream(world, releases=releases, seed=1).ticks(25), watch.rounds(25), strict=True):
        tick = tick_of(drawn, bench.places, t=float(drawn.number))
        convicted = set()
        totals, legs = [], []
        for part, found in bench.fold(tick):
            totals += found.total.tolist()
            legs += found.legs.tolist()
            asked = np.ones(part.stop - part.start, dtype=np.bool_)
            convicted |= set(bench.convicted(part, tick, found, asked=asked))
        assert totals == [ruling.evidence for ruling in now.rulings]
        assert legs == [[leg.e_value for leg in ruling.legs.values()] for ruling in now.rulings]
        assert convicted == {at for at, ruling in enumerate(now.rulings) if ruling.outcome == "rollback"}
    np.testing.assert_array_equal(bench.rows().counts, Rows(np.array([state.row for state in now.states])).counts)


@pytest.mark.parametrize("pods", [Pods(), Pods(canary=2, baseline=4, spread=0.1, told_apart=True)])
def test_both_ways_of_asking_give_the_same_answer(pods: Pods) -> None:
    world = replace(HARD, pods=pods)
    cell = Cell(section="false", key="k", title="t", world=world, runs=40, window_seconds=40.0, warmup_seconds=10.0)
    seed = np.random.SeedSequence(3)
    assert probes._by_arrays(cell, 40, seed) == probes._by_samples(cell, 40, seed)


def test_every_cell_has_a_name_of_its_own() -> None:
    cells = all_cells()
    assert len({(cell.section, cell.key) for cell in cells}) == len(cells)


def test_kept_blocks_are_found_again_and_only_for_the_same_question(tmp_path: Path) -> None:
    cell = all_cells()[0]
    Results(cell, tmp_path).add(0, {"boost": [0, 3]})
    Results(cell, tmp_path).add(1, {"boost": [4]})
    again = Results(replace(cell, runs=1), tmp_path)
    assert again.together(2) == {"boost": [0, 3, 4]}
    assert Results(replace(cell, window_seconds=10.0), tmp_path).blocks == {}


def test_another_judges_blocks_are_taken_over_only_where_the_first_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cell = Cell(
        section="false",
        key="k",
        title="t",
        world=World(times=TIMES),
        runs=running.BLOCK + 20,
        window_seconds=5.0,
        warmup_seconds=1.0,
    )
    first = running.run([cell], quick=False, processes=1)
    counted = len(first["false", "k"]["boost"])
    assert counted == running.BLOCK + 20
    folder = next((tmp_path / ".calibration").iterdir())
    folder.rename(folder.with_name("older"))
    asked: list[int] = []
    run_block = running.run_block

    def noted(one: Cell, block: int, releases: int) -> probes.First:
        asked.append(block)
        return run_block(one, block, releases)

    monkeypatch.setattr(running, "run_block", noted)
    assert running.run([cell], quick=False, processes=1, adopt=True) == first
    assert asked == [0]
    for path in (tmp_path / ".calibration").glob("*/*.json"):
        if path.parent.name != "older":
            path.unlink()
        else:
            path.write_text(path.read_text().replace('"boost": [0', '"boost": [1', 1))
    assert running.run([cell], quick=False, processes=1, adopt=True) == first
    assert asked == [0, 0, 1]
