"""What holds of every route and of every name."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from daemon.discovery.answers import FoundArms
from daemon.discovery.arms import arms
from daemon.discovery.contests import contests
from daemon.discovery.naming import BASELINE_WORDS, CANARY_WORDS, newer, speaks_of, stem
from daemon.discovery.openings import Opens, Outcome, Quiet, outcomes
from daemon.discovery.picture import Entry, Picture, Share, uses
from daemon.errors import Refused
from tests.discovery.hand import COOKIE, HEADER, around, at, path, route, workload
from tests.discovery.test_cases import CASES, found, read
from tests.discovery.world import pictures, surroundings

SOME = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

SUBSETS = ("", "v1", "v2", "v3", "canary", "stable", "blue", "green")
PLACES = st.builds(at, st.sampled_from(SUBSETS), service=st.sampled_from(("web", "web-canary", "till")))
PERCENTS = st.floats(0, 100, allow_nan=False)
SHARES = st.builds(Share, to=PLACES, percent=PERCENTS)
ENTRIES = st.builds(
    Entry,
    place=st.just("http #0"),
    conditions=st.frozensets(st.sampled_from((path("/a"), path("/b"))), max_size=1),
    pins=st.frozensets(st.sampled_from((COOKIE, HEADER)), max_size=1),
    shares=st.lists(SHARES, max_size=3).map(tuple),
    mirrors=st.lists(SHARES, max_size=1).map(tuple),
)
ROUTES = st.lists(ENTRIES, max_size=3).map(lambda entries: route(*entries))
WORLD = around(
    *(workload(f"web-{subset or 'all'}", runs=f"reg/web:{subset or 0}", version=subset) for subset in SUBSETS),
    web_canary={"app": "web", "track": "canary"},
    till={"app": "till"},
)

NAMES = st.text("bcdfghjklmpqtuwxz", min_size=6, max_size=9)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.text("ab1-.", max_size=5) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["host", "name", "weight", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@SOME
@given(before=ROUTES, after=ROUTES)
def test_every_change_has_an_outcome(before: Picture, after: Picture) -> None:
    assert outcomes(before, after, around=WORLD)


@SOME
@given(picture=ROUTES)
def test_a_picture_that_does_not_change_opens_nothing(picture: Picture) -> None:
    for before in (None, picture):
        assert not any(isinstance(one, Opens) for one in outcomes(before, picture, around=WORLD))
    assert all(isinstance(one, Quiet) for one in outcomes(picture, picture, around=WORLD))


@SOME
@given(before=ROUTES, after=ROUTES, data=st.data())
def test_the_order_of_destinations_changes_nothing(before: Picture, after: Picture, data: st.DataObject) -> None:
    turned = route(*(_turned(entry, data) for entry in after.entries))
    assert outcomes(before, turned, around=WORLD) == outcomes(before, after, around=WORLD)


def _turned(entry: Entry, data: st.DataObject) -> Entry:
    shares: Sequence[Share] = data.draw(st.permutations(entry.shares))
    return Entry(place=entry.place, conditions=entry.conditions, pins=entry.pins, shares=tuple(shares), mirrors=entry.mirrors)


@SOME
@given(one=st.floats(0.5, 100), other=st.floats(0.5, 100))
def test_shares_alone_never_name_a_canary(one: float, other: float) -> None:
    picture = route(Entry(place="", shares=(Share(to=at("blue"), percent=one), Share(to=at("green"), percent=other))))
    (contest,) = contests(picture, around=around())
    assert not isinstance(arms(contest), FoundArms)


@SOME
@given(picture=ROUTES, factors=st.lists(st.floats(0.01, 1), min_size=9, max_size=9))
def test_other_shares_never_make_another_one_the_canary(picture: Picture, factors: list[float]) -> None:
    turned = iter(factors)
    other = route(
        *(
            Entry(
                place=entry.place,
                conditions=entry.conditions,
                pins=entry.pins,
                shares=tuple(Share(to=share.to, percent=share.percent * next(turned)) for share in entry.shares),
                mirrors=entry.mirrors,
            )
            for entry in picture.entries
        )
    )
    assume({to for to, use in uses(picture).items() if use.is_live} == {to for to, use in uses(other).items() if use.is_live})
    pairs = zip(contests(picture, around=WORLD), contests(other, around=WORLD), strict=True)
    for answer, again in ((arms(one), arms(two)) for one, two in pairs):
        if isinstance(answer, FoundArms) and isinstance(again, FoundArms):
            assert answer.canary.destination == again.canary.destination


@SOME
@given(one=st.text(max_size=300), other=st.text(max_size=300))
def test_names_are_compared_the_same_from_both_sides(one: str, other: str) -> None:
    assert newer(one, other) == -newer(other, one)
    assert speaks_of(one, other) == -speaks_of(other, one)
    assert newer(one, one) == speaks_of(one, one) == 0
    assert isinstance(stem(one), str)


@SOME
@given(names=st.lists(NAMES, min_size=2, max_size=2, unique=True), case=st.sampled_from(CASES))
def test_other_names_for_everything_change_nothing(names: list[str], case: Any) -> None:
    words = CANARY_WORDS | BASELINE_WORDS
    assume(not any(word in name for name in names for word in words))
    told = read(case)
    base = _base(told)
    renamed = json.loads(json.dumps(told).replace(base, names[0]))
    assert _back(found(renamed), {names[0]: base}) == _back(found(told), {})


def _base(case: dict[str, Any]) -> str:
    """What the case's Services are called, but for what tells versions apart."""
    services = [one["metadata"]["name"] for one in case["objects"] if one["kind"] == "Service"]
    return stem(services[-1]) if services else "rates"


def _back(outcome: Outcome, names: dict[str, str]) -> str:
    said = repr(outcome)
    for name, before in names.items():
        said = said.replace(name, before)
    return said


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_an_object_holds_it_is_read_or_refused(case: Any, data: st.DataObject) -> None:
    objects = copy.deepcopy(read(case)["objects"])
    _mutate(data.draw(st.sampled_from(objects)), data)
    try:
        around_, there = surroundings(objects), pictures(objects)
    except Refused:
        return
    for picture in there:
        assert outcomes(None, picture, around=around_)
        assert outcomes(route(), picture, around=around_)


def _mutate(item: dict[str, Any], data: st.DataObject) -> None:
    """Put something else somewhere inside; which kind it is, and where it is, stays."""
    node: Any = item
    key: Any = data.draw(st.sampled_from(["spec", "metadata"]))
    while isinstance(node[key], dict | list) and node[key] and data.draw(st.integers(0, 3)):
        node = node[key]
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
    if (key, node) == ("metadata", item):
        node, key = item["metadata"], data.draw(st.sampled_from(["name", "labels", "annotations", "creationTimestamp"]))
    if key != "namespace":
        node[key] = data.draw(JSON)
