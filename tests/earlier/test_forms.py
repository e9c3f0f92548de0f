"""What is kept has a form with a number: today's is the one that was published, and no form takes back what an earlier one had."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from daemon import stored
from daemon.engine.keptforms import decode, decode_record, encode
from daemon.model import Stage
from daemon.stored import FORM
from tests.earlier.schema import HERE, alternatives, form

FORMS = range(1, FORM + 1)


def published(number: int) -> dict[str, frozenset[str]]:
    """The form with this number: what may stand at each path."""
    return dict(alternatives(line) for line in (HERE / f"schema-{number}.txt").read_text(encoding="utf-8").splitlines())


def kept(number: int) -> dict[str, Any]:
    """What a daemon kept in this form, a release in every stage."""
    found: dict[str, Any] = json.loads((HERE / f"kept-{number}.json").read_bytes())
    return found


def test_todays_form_is_the_one_that_was_published_under_its_number() -> None:
    raised = "what is kept has changed: raise FORM in daemon/stored.py, then run python -m tests.earlier, and keep the older files"
    assert dict(map(alternatives, form())) == published(FORM), raised


@pytest.mark.parametrize("number", FORMS[1:])
def test_no_form_removes_renames_or_narrows_what_the_one_before_it_had(number: int) -> None:
    before, after = published(number - 1), published(number)
    assert {path: words for path, words in before.items() if not words <= after.get(path, frozenset())} == {}


@pytest.mark.parametrize("number", FORMS)
def test_what_was_kept_in_a_form_is_within_it_as_it_was_published(number: int) -> None:
    allowed = published(number)
    documents = [("session", one) for one in kept(number)["sessions"].values()]
    documents += [("record", one) for one in kept(number)["records"].values()]
    values = [pair for name, document in documents for pair in _values(name, document)]
    assert [(path, value) for path, value in values if not _fits(value, allowed.get(path, frozenset()))] == []
    of_sessions = {path for path in allowed if path.startswith(("session.session.", "session.judge")) and "{" not in path}
    assert of_sessions <= {path for path, _ in values}, "the file shows every field of a session"


@pytest.mark.parametrize("number", FORMS)
def test_what_was_kept_in_any_form_is_read_whole(number: int) -> None:
    found = {key: decode(json.dumps(one).encode(), now=9.0) for key, one in kept(number)["sessions"].items()}
    assert {one.session.stage for one in found.values()} == {*Stage} - {Stage.ENDED}
    assert [one.unread for one in found.values() if one.unread] == []
    assert decode_record(json.dumps(kept(number)["records"]["ended-1"]).encode()).verdict.outcome == "promote"


def test_what_tomorrow_keeps_more_of_is_written_back_as_it_was() -> None:
    document = kept(FORM)["sessions"]["worse-1"] | {"form": FORM + 1, "lease": {"until": 7}}
    document["session"]["gate"] = {"name": "approval"}
    document["session"]["policy"]["budget"] = [1, 2]
    document["session"]["release"]["canary"]["zone"] = "b"
    read = decode(json.dumps(document).encode(), now=9.0)
    again = json.loads(encode(read.session, writer=document["writer"]))
    assert sorted(read.unread) == ["lease", "session.gate", "session.policy.budget", "session.release.canary.zone"]
    assert again == document | {"form": FORM}


@pytest.mark.parametrize(
    ("words", "instead"),
    [
        ('"stage":"watching"', '"stage":"pausing"'),
        ('"mode":"enforce"', '"mode":"advise"'),
        ('"evidence":"balanced"', '"evidence":"cautious"'),
        ('"strategy":"canary"', '"strategy":"shadow"'),
        ('"format":"verdictd.session/1"', '"format":"verdictd.session/2"'),
    ],
)
def test_a_word_of_tomorrow_is_a_newer_versions_and_not_guessed(words: str, instead: str) -> None:
    text = json.dumps(kept(FORM)["sessions"]["worse-1"] | {"form": FORM + 1}, separators=(",", ":"))
    assert words in text
    with pytest.raises(stored.NewerForm):
        decode(text.replace(words, instead).encode(), now=9.0)


def _values(path: str, value: object) -> Iterator[tuple[str, object]]:
    """Every value with its path, as the form names it; a map whose keys are data has its values under ``{}``."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            if path.endswith((".labels", ".fixed_horizon")):
                yield from _values(f"{path}{{}}", item)
            elif (path, key) not in {("session", "form"), ("record", "form"), ("session.session", "judge")} and key != "carried":
                yield from _values(f"{path}.{key}", item)
    elif isinstance(value, list):
        for item in value:
            yield from _values(f"{path}[]", item)


def _fits(value: object, words: frozenset[str]) -> bool:
    match value:
        case None:
            return "none" in words
        case bool():
            return "bool" in words
        case int() | float():
            return bool({"float", "int"} & words) and (isinstance(value, int) or "float" in words)
        case str():
            return f'"{value}"' in words or bool({"str", "bytes"} & words)
        case list():
            return "list" in words
        case _:
            return "object" in words
