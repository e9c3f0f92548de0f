"""The plan: every regression in every scenario, simulated over processes, counted into one table."""

from collections.abc import Callable, Sequence

import msgspec

from analyzers.fitness import Resolution
from config.identity import policy_hash
from config.policy import Policy
from daemon.offline.parallel import spread
from daemon.offline.plan.regressions import Regression
from daemon.offline.plan.service import Service, resolved
from daemon.offline.plan.trying import Cell, End, Trial, cell, ends

FINER = "finer buckets"
_BLOCK = 100
"""Releases simulated side by side: a block takes about a second, so that progress is seen and processes share the work evenly."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A way to release the service: as it is planned, or with something changed that could be bought.

    ``buckets`` is what its latency buckets can tell of the policy's tolerances.
    """

    name: str
    service: Service
    buckets: tuple[Resolution, ...]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One regression (null: a canary as good as the baseline), with a cell for each scenario."""

    label: str
    regression: Regression | None
    cells: tuple[Cell, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole table and what it was made from; ``releases`` were simulated for each cell."""

    scenarios: tuple[Scenario, ...]
    healthy: Row
    rows: tuple[Row, ...]
    releases: int
    seed: int
    policy: Policy
    policy_hash: str


def scenarios_for(service: Service, *, policy: Policy) -> tuple[Scenario, ...]:
    """The service as planned, with twice the canary's share, and with finer buckets."""
    heavier = min(50.0, 2.0 * service.weight)
    found = [(f"as planned ({service.weight:g} %)", service)]
    if heavier > service.weight:
        found.append((f"{heavier:g} % to the canary", msgspec.structs.replace(service, weight=heavier)))
    finer = service.finer()
    if len(finer.bounds_ms) > len(service.bounds_ms):
        found.append((FINER, finer))
    return tuple(Scenario(name=name, service=one, buckets=resolved(one, policy)) for name, one in found)


def plan(
    scenarios: Sequence[Scenario],
    *,
    policy: Policy,
    regressions: Sequence[Regression],
    releases: int,
    seed: int,
    processes: int,
    progress: Callable[[int, int], None],
) -> Plan:
    """Simulate and count. The same arguments but ``processes`` give the same plan; ``progress`` is told (done, of all) pieces.

    Raises:
        Unavailable: a worker process was killed.
    """
    asked: list[Regression | None] = [None, *regressions]
    sizes = [min(_BLOCK, releases - first) for first in range(0, releases, _BLOCK)]
    places = [(row, column) for row in range(len(asked)) for column in range(len(scenarios)) for _ in sizes]
    trials = [
        Trial(service=scenario.service, policy=policy, regression=regression, releases=size, seed=(seed, row, column, block))
        for row, regression in enumerate(asked)
        for column, scenario in enumerate(scenarios)
        for block, size in enumerate(sizes)
    ]
    found: dict[tuple[int, int], list[End]] = {}
    for number, (place, block_ends) in enumerate(zip(places, spread(ends, trials, processes=processes), strict=True), start=1):
        found.setdefault(place, []).extend(block_ends)
        progress(number, len(trials))
    cells = [[found[row, column] for column in range(len(scenarios))] for row in range(len(asked))]
    rows = [_row(one, ended, service=scenarios[0].service) for one, ended in zip(asked, cells, strict=True)]
    return Plan(
        scenarios=tuple(scenarios),
        healthy=rows[0],
        rows=tuple(rows[1:]),
        releases=releases,
        seed=seed,
        policy=policy,
        policy_hash=policy_hash(policy),
    )


def _row(regression: Regression | None, ended: Sequence[Sequence[End]], *, service: Service) -> Row:
    """One regression's row, from the ends of its releases in each scenario."""
    label, wanted = ("as good as the baseline", "promote") if regression is None else (regression.label(service), "rollback")
    return Row(label=label, regression=regression, cells=tuple(cell(one, wanted=wanted) for one in ended))
