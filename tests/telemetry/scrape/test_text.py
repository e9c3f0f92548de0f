"""The text format: what is wanted is read exactly, what is foreign is passed over, what is broken is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import InvalidInput
from daemon.telemetry.scrape.text import Wanted, parse_series, wanted_lines
from daemon.telemetry.wire import number

PAGE = """# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="2",cluster="a b}"} 204
requests_total{code="5"} 1e+03 1700000000000
requests_total_other{code="2"} 7
requests_total 12
  indented 3
something{broken
nothing_at_all
"""


def test_only_wanted_names_are_read_and_foreign_lines_raise_nothing() -> None:
    assert list(wanted_lines(PAGE, Wanted(["requests_total"]))) == [
        ('requests_total{code="2",cluster="a b}"}', 204.0),
        ('requests_total{code="5"}', 1000.0),
        ("requests_total", 12.0),
    ]


def test_nan_and_infinities_are_numbers_of_the_format() -> None:
    values = [value for _, value in wanted_lines("a NaN\na +Inf\na -Inf\na 0.5\na 1.5e-3", Wanted(["a"]))]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf, 0.5, 0.0015]


@pytest.mark.parametrize(
    "line", ["a", "a ", "a x", "a 1_000", "a 0x10", "a infinity", 'a{b="c"}', 'a{b="c"} ١', "a{b=", 'a{b="c"', "a{"]
)
def test_a_wanted_line_without_a_number_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        list(wanted_lines(f"# comment\n{line}", Wanted(["a"])))
    assert caught.value.path == "line 2"
    assert "number" in str(caught.value)


def test_labels_are_unescaped() -> None:
    assert parse_series(r'm{a="x\"y",b="back\\slash",c="two\nlines",d="\q",e="}{,="}') == (
        "m",
        {"a": 'x"y', "b": "back\\slash", "c": "two\nlines", "d": r"\q", "e": "}{,="},
    )


@pytest.mark.parametrize(("text", "labels"), [("m", {}), ("m{}", {}), ('m {a="b",}', {"a": "b"}), ('m{ a = "b" }', {"a": "b"})])
def test_series_with_few_or_oddly_spaced_labels(text: str, labels: dict[str, str]) -> None:
    assert parse_series(text) == ("m", labels)


@pytest.mark.parametrize("text", ["m{a}", 'm{a="b}', 'm{a="b" b="c"}', 'm{="b"}', 'm{a="b"} # {trace="x"}'])
def test_malformed_labels_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="malformed"):
        parse_series(text)


@given(st.dictionaries(st.from_regex(r"\A[a-z_][a-z0-9_]{0,8}\Z"), st.text(st.characters(exclude_categories=["Cs"]))))
def test_whatever_a_label_holds_comes_back(labels: dict[str, str]) -> None:
    escaped = {key: value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for key, value in labels.items()}
    text = "m{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"
    assert parse_series(text) == ("m", labels)


def test_number_takes_what_prometheus_writes_and_no_more() -> None:
    assert number("1.5e+06", path="x") == 1_500_000.0
    for text in ("", "1_0", "nan", "inf", "1 ", "--1"):
        with pytest.raises(InvalidInput, match="is not a number"):
            number(text, path="x")


def test_names_may_be_told_by_patterns_as_well() -> None:
    page = "a 1\nab_x_z 2\nab_z 3\nab_zz 4\nb_z 5\nc 6\ncd 7"
    wanted = Wanted(["a"], patterns=["ab_(x_)?z", "cd?"])
    assert list(wanted_lines(page, wanted)) == [("a", 1.0), ("ab_x_z", 2.0), ("ab_z", 3.0), ("c", 6.0), ("cd", 7.0)]
