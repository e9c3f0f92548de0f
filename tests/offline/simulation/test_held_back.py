"""The second generator: its rates, regimes and failures are what was asked for, and it draws with nothing of the first."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from analyzers.counts import Arm, Sample
from tests.bench.calibration import held_back
from tests.bench.calibration.held_back import LINKERD_MS, Service


def _arms(service: Service, *, ticks: int = 40, releases: int = 50) -> Iterator[list[tuple[Arm, Arm]]]:
    for samples_of in held_back.feed(service, ticks=ticks, releases=releases, seed=np.random.SeedSequence(1)):
        samples: list[Sample] = samples_of(range(releases))
        yield [(one.canary, one.baseline) for one in samples if one.canary and one.baseline]


def _mean_ms(arm: Arm) -> float:
    assert arm.latency is not None
    return arm.latency.sum_ms / max(1, sum(arm.latency.counts))


def test_it_draws_with_nothing_of_the_first() -> None:
    tree = ast.parse(inspect.getsource(held_back))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {module for module in modules if module and module.startswith(("daemon", "tests"))}


def test_a_seed_names_a_stream() -> None:
    first, again = (list(_arms(Service(), ticks=3)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("law", ["weibull", "gammas", "truncated", "humps", "steps", "cauchy"])
def test_both_arms_have_the_rates_and_latencies_of_their_service(law: held_back.Law) -> None:
    service = Service(law=law, bounds_ms=LINKERD_MS, errors=0.02)
    pairs = [pair for tick in _arms(service) for pair in tick]
    for place, rate in ((0, 80.0), (1, 720.0)):
        arms = [pair[place] for pair in pairs]
        assert np.mean([arm.requests for arm in arms]) == pytest.approx(rate, rel=0.02)
        assert sum(arm.errors for arm in arms) / sum(arm.requests for arm in arms) == pytest.approx(0.02, rel=0.06)
    means = [np.mean([_mean_ms(pair[place]) for pair in pairs]) for place in (0, 1)]
    assert means[0] == pytest.approx(means[1], rel=0.03)


def test_the_canary_changes_after_the_onset_and_in_the_part_that_was_said() -> None:
    plain = Service(law="humps", bounds_ms=LINKERD_MS, onset_tick=5)

    def ratio(service: Service, *, before: bool = False) -> float:
        ticks = list(_arms(service, ticks=10))[:5] if before else list(_arms(service, ticks=10))[5:]
        pairs = [pair for tick in ticks for pair in tick]
        return float(np.mean([_mean_ms(c) for c, _ in pairs]) / np.mean([_mean_ms(b) for _, b in pairs]))

    slower = replace(plain, canary_factor=1.5)
    assert ratio(slower, before=True) == pytest.approx(1.0, abs=0.03)
    assert ratio(slower) == pytest.approx(1.5, abs=0.05)
    assert 1.02 < ratio(replace(plain, slowest=0.03, slow_factor=2.0)) < 1.4
    assert ratio(replace(plain, fastest_factor=0.5)) < 1.0
    failing = [pair for tick in list(_arms(replace(plain, canary_errors=0.3), ticks=10))[5:] for pair in tick]
    assert sum(c.errors for c, _ in failing) / sum(c.requests for c, _ in failing) == pytest.approx(0.3, rel=0.05)
    assert sum(b.errors for _, b in failing) / sum(b.requests for _, b in failing) < 0.01


def test_load_and_speed_jump_together_in_both_arms() -> None:
    pairs = [pair for tick in _arms(Service(busy=3.0, strain=2.0)) for pair in tick]
    requests = np.array([[arm.requests for arm in pair] for pair in pairs], dtype=float)
    means = np.array([[_mean_ms(arm) for arm in pair] for pair in pairs])
    assert np.corrcoef(requests[:, 0], requests[:, 1])[0, 1] > 0.9
    assert np.corrcoef(means[:, 0], means[:, 1])[0, 1] > 0.8
    assert np.corrcoef(requests[:, 1], means[:, 1])[0, 1] > 0.9


def test_failures_flicker_and_come_together_when_a_backend_is_down() -> None:
    def errors(service: Service) -> np.ndarray:
        return np.array([[arm.errors for arm in pair] for tick in _arms(service) for pair in tick], dtype=float)

    plain = Service(errors=0.01)
    even, flickering, down = (errors(one) for one in (plain, replace(plain, flicker=0.5), replace(plain, down=0.1)))
    assert even[:, 1].var() / even[:, 1].mean() == pytest.approx(1.0, rel=0.15)
    assert flickering[:, 1].var() / flickering[:, 1].mean() == pytest.approx(1.0 + 0.5 * 7.2, rel=0.25)
    assert flickering[:, 1].mean() == pytest.approx(even[:, 1].mean(), rel=0.1)
    assert np.corrcoef(down[:, 0], down[:, 1])[0, 1] > 0.5
    assert abs(np.corrcoef(flickering[:, 0], flickering[:, 1])[0, 1]) < 0.1
