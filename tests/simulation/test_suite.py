"""The labelled suite: its labels are the truth, and its recordings are judged as the releases were."""

import json
from pathlib import Path

import numpy as np

from daemon.replay import replay_file
from daemon.simulation.trials import Ends
from tests.bench.calibration import suite
from tests.bench.calibration.kinds import Kind, bad, healthy


def test_the_suite_is_half_healthy_half_bad_and_divides_a_thousand() -> None:
    assert len(healthy()) == len(bad())
    assert suite.RELEASES % len(suite.kinds()) == 0
    assert len({kind.name for kind in suite.kinds()}) == len(suite.kinds())
    for kind in suite.kinds():
        change = kind.world.change
        harmful = change.factor > 1.1 or change.tail > 1.1 or (change.errors or 0) > 0.005 or (change.denied or 0) > 0
        assert harmful == kind.bad, kind.name


def test_precision_and_recall_count_rollbacks() -> None:
    def score(kind: Kind, outcomes: str) -> suite.Score:
        names = {"r": "rollback", "p": "promote", "i": "inconclusive"}
        ends = Ends(outcomes=tuple(names[one] for one in outcomes), ticks=np.ones(len(outcomes), dtype=int), legs=())
        return suite.Score(kind=kind, ends=ends)

    found = [score(healthy()[0], "pppr"), score(bad()[0], "rrri")]
    assert suite.precision_and_recall(found) == (0.75, 0.75)


def test_recordings_are_judged_as_the_releases_were(tmp_path: Path) -> None:
    chosen = [next(kind for kind in suite.kinds() if kind.name == name) for name in ("cold canary pods", "errors 5 %, not split")]
    assert suite.write(tmp_path, releases=4, chosen=chosen) == 4
    labels = json.loads((tmp_path / "labels.json").read_text())
    again = {name: replay_file(tmp_path / name) for name in labels}
    expected = [
        (outcome, tick)
        for score in suite.scores(releases=4, chosen=chosen)
        for outcome, tick in zip(score.ends.outcomes, score.ends.ticks.tolist(), strict=True)
    ]
    assert [(one.verdict, one.ticks) for one in again.values()] == expected
    assert [label for name, label in labels.items() if again[name].verdict == "rollback"] == ["bad", "bad"]


def test_the_report_names_precision_recall_and_every_kind() -> None:
    chosen = [next(kind for kind in suite.kinds() if kind.name == name) for name in ("half of the traffic", "errors 20 %")]
    text = suite.report(releases=20, chosen=chosen)
    assert "Precision 100.0" in text
    assert "Recall 100.0" in text
    for kind in chosen:
        assert kind.name in text
