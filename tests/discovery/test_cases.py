"""Whole cases: what a cluster had before, what it has now, what was announced, and what must come of it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, assert_never

import pytest
import yaml

from daemon.discovery import siblings
from daemon.discovery.announced import Notice
from daemon.discovery.answers import FoundArm
from daemon.discovery.openings import Asks, Ends, GoesOn, OpenRelease, Opens, Outcome, Quiet, outcomes
from daemon.discovery.picture import Destination, Picture
from tests.discovery.world import pictures, surroundings

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
NAMESPACE = "market"


@functools.cache
def read(path: Path) -> dict[str, Any]:
    """A case; who changes something in it copies it before."""
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def found(case: dict[str, Any]) -> Outcome:
    """The one outcome of the case: of its Service where it has no route."""
    objects, before, expect = case["objects"], case["before"], case["expect"]
    around = surroundings(objects)
    if "service" in expect:
        was = None if before is None else surroundings(before)
        return siblings.outcome(was, around, namespace=NAMESPACE, service=expect["service"])
    (after,) = pictures(objects)
    (outcome,) = outcomes(
        None if before is None else _before(before, objects),
        after,
        around=around,
        opened=[_opened(case["opened"])] if "opened" in case else [],
        announcement=Notice(**case["announced"]) if "announced" in case else None,
    )
    return outcome


def _before(before: list[dict[str, Any]], objects: list[dict[str, Any]]) -> Picture:
    (picture,) = pictures(before, rules=[one for one in objects if one["kind"] == "DestinationRule"])
    return picture


def _opened(said: dict[str, Any]) -> OpenRelease:
    return OpenRelease(baseline=_destination(said["baseline"]), canary=_destination(said["canary"]))


def _destination(said: dict[str, str]) -> Destination:
    host = f"{said['host']}.{NAMESPACE}.svc"
    return Destination(namespace=NAMESPACE, host=host, service=said["host"], subset=said.get("subset", ""))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_each_case_comes_out_as_it_says(path: Path) -> None:
    case = read(path)
    expect = case["expect"]
    outcome = found(case)
    match outcome:
        case Opens():
            said = outcome.found
            assert expect["outcome"] == "opens", said.why
            _check_arm(said.baseline, expect["baseline"])
            _check_arm(said.canary, expect["canary"])
            assert said.confidence == expect["confidence"]
            assert list(said.by) == expect.get("by", list(said.by))
            assert said.strategy == expect.get("strategy", said.strategy)
            assert (f"{said.owner.kind} {said.owner}" if said.owner else None) == expect.get("owner")
            assert expect.get("why", "") in said.why
        case GoesOn():
            assert expect["outcome"] == "goes on"
            assert outcome.release.canary.subset == expect["canary"]["subset"]
            assert outcome.percent == expect["canary"]["percent"]
        case Asks():
            assert expect["outcome"] == "asks", outcome.ask.why
            assert list(outcome.ask.missing) == expect["missing"]
            assert [one.name for one in outcome.ask.candidates] == expect["among"]
            assert expect["why"] in outcome.ask.why
        case Quiet():
            assert expect["outcome"] == "quiet", outcome.why
            assert expect["why"] in outcome.why
        case Ends():
            pytest.fail(f"no case ends: {outcome}")
        case _:
            assert_never(outcome)


def _check_arm(arm: FoundArm, expect: dict[str, Any]) -> None:
    if "subset" in expect:
        assert arm.destination is not None
        assert arm.destination.subset == expect["subset"]
    if "service" in expect:
        assert arm.destination is not None
        assert arm.destination.service == expect["service"]
    if "workloads" in expect:
        assert arm.workloads == tuple(expect["workloads"])
    if "labels" in expect:
        assert arm.labels == expect["labels"]
    if "percent" in expect:
        assert arm.percent == expect["percent"]
