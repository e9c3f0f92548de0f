"""The walk over shapes that the settings do not have, but other documents do."""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from config.errors import ConfigError, shown
from config.load import checked
from config.settings import Settings
from config.walking import faults


class Colour(StrEnum):
    """An enumeration."""

    RED = "red"
    BLUE = "blue"


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Allows unknown keys, as what others send does."""

    colour: Colour = Colour.RED
    name: Annotated[str, Meta(max_length=3)] | None = None
    weight: Annotated[float, Meta(ge=0.0, le=100.0)] | None = None
    points: tuple[int, ...] = ()
    either: int | str = 0
    anything: Any = None


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ({"colour": "bleu"}, 'colour: "bleu" is not one of them; write blue, or else red'),
        ({"colour": 7}, "colour: 7 is not one of them; write red or blue"),
        ({"name": "long"}, "name: has 4 characters; write at most 3"),
        ({"weight": "10%"}, 'weight: "10%" is not a number; write percent as a plain number: 10'),
        ({"points": 1}, "points: 1 is not a list; write a list: [1]"),
        ({"points": None}, "points: null is not a list; write a list: [...]"),
        ({"points": [1, 2.5]}, "points[1]: 2.5 is not a whole number; write a whole number"),
    ],
)
def test_a_fault_is_found(document: object, line: str) -> None:
    assert [str(problem) for problem in faults(document, Shape)] == [line]


def test_a_good_document_has_no_problems() -> None:
    document = {"colour": "blue", "name": None, "points": [1], "either": "x", "anything": [1], "unknown": 1}
    assert faults(document, Shape) == ()


def test_paths_begin_where_the_caller_says() -> None:
    assert faults({"colour": 7}, Shape, path="$")[0].path == "$.colour"


def test_what_the_walk_lets_pass_is_still_decoded_by_the_model() -> None:
    """A union of plain types is left to msgspec, which then has the last word."""
    with pytest.raises(ConfigError, match=r"either: Expected `int \| str`, got `array`; see the schema"):
        checked({"either": []}, Shape, source="x")


def test_long_and_strange_values_are_shown_short() -> None:
    assert shown("x" * 100) == '"' + "x" * 56 + "..."
    assert shown({1}) == "{1}"


@pytest.mark.parametrize(
    "document",
    [
        {"telemetry": [{"kind": "prometheus", "headers": {"Authorization": "hunter2"}}]},
        {"telemetry": {"prom": {"kind": "prometheus", "url": {"password": "hunter2"}}}},
        {"telemetry": {"prom": {"kind": "prometheus", "query": "a", "tick_seconds": {"headers": {"X": "hunter2"}}}}},
        {"telemetry": {"prom": {"kind": "prometheus", "token_file": ["hunter2"]}}},
        {"telemetry": {"prom": {"kind": "prometheus", "password_file": {"value": "hunter2"}}}},
    ],
)
def test_what_may_be_secret_is_shown_in_no_refusal_of_its_form(document: object) -> None:
    refused = " ".join(map(str, faults(document, Settings)))
    assert "hunter2" not in refused
    assert "telemetry" in refused
