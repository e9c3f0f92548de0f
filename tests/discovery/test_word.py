"""What somebody has written beside a route: before which signs it goes, what it leaves open, and what it cannot do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from daemon.discovery.answers import Ask, FoundArms, NoRelease
from daemon.discovery.arms import arms
from daemon.discovery.openings import Asks, Opens, Quiet, outcomes
from daemon.discovery.owned import Owned, OwnedArm
from daemon.discovery.picture import Destination, Use, uses
from daemon.discovery.word import Word
from daemon.placement import ObjectName
from tests.discovery.hand import around, at, entry, path, route, split, the_contest, versions

V1, V2, V3 = (at(name) for name in ("v1", "v2", "v3"))
BLUE, GREEN = at("blue"), at("green")
CANARY_BLUE = Word(canary=BLUE)


def told(word: Word, *shares: tuple[Destination, float], before: Mapping[Destination, Use] | None = None) -> tuple[str, str, str]:
    """Canary, baseline and confidence, or why not."""
    answer = arms(the_contest(split(*shares)), before=before, word=word)
    match answer:
        case FoundArms():
            return answer.canary.name, answer.baseline.name, answer.confidence
        case Ask() | NoRelease():
            return type(answer).__name__, ",".join(answer.missing) if isinstance(answer, Ask) else "", answer.why


@pytest.mark.parametrize("word", [CANARY_BLUE, Word(baseline=GREEN), Word(canary=BLUE, baseline=GREEN)])
def test_of_two_either_is_enough(word: Word) -> None:
    assert told(word, (BLUE, 60), (GREEN, 40)) == ("blue", "green", "strong")


def test_it_goes_before_words_versions_and_what_was_before() -> None:
    before = uses(split((V2, 100), (V1, 0)))
    assert told(Word(canary=V2), (V1, 10), (V2, 90), before=before) == ("v2", "v1", "strong")


def test_of_three_the_baseline_is_what_had_most_or_is_asked_for() -> None:
    shares = (V1, 50.0), (V2, 40.0), (V3, 10.0)
    assert told(Word(canary=V3), *shares, before=uses(split((V1, 60), (V2, 40)))) == ("v3", "v1", "strong")
    assert told(Word(canary=V3), *shares)[:2] == ("Ask", "baseline")
    assert told(Word(baseline=V1), *shares)[:2] == ("Ask", "canary")


def test_a_canary_that_gets_nothing_is_none() -> None:
    found = told(CANARY_BLUE, (BLUE, 0), (GREEN, 100))
    assert found == ("NoRelease", "", "blue, by an annotation the canary, gets nothing")


def test_it_says_nothing_of_others() -> None:
    assert told(Word(canary=at("red")), (BLUE, 60), (GREEN, 40))[0] == "Ask"


def test_the_owners_word_goes_before_it() -> None:
    owned = Owned(
        owner=ObjectName(kind="Rollout", namespace="shop", name="web"),
        state="stepping",
        baseline=OwnedArm(service="web-stable"),
        canary=OwnedArm(service="web-canary"),
    )
    stable, canary = at(service="web-stable"), at(service="web-canary")
    there = around(owned=[owned], web_stable={"app": "web", "arm": "1"}, web_canary={"app": "web", "arm": "2"})
    answer = arms(the_contest(split((stable, 90), (canary, 10)), there), word=Word(canary=stable))
    assert isinstance(answer, FoundArms)
    assert (answer.canary.name, answer.confidence) == ("web-canary", "certain")


def test_it_tells_a_release_from_two_interfaces() -> None:
    paths = route(entry((BLUE, 100), on=[path("/a")]), entry((GREEN, 100), on=[path("/b")]))
    answer = arms(the_contest(paths), word=CANARY_BLUE)
    assert isinstance(answer, FoundArms)


def test_it_opens_what_was_never_seen_and_what_was_asked_about_and_else_nothing_that_stands_still() -> None:
    there, standing = versions("blue", "green"), split((BLUE, 60), (GREEN, 40))
    (unseen,) = outcomes(None, standing, around=there, word=CANARY_BLUE)
    (answered,) = outcomes(standing, standing, around=there, word=Word(canary=BLUE, is_answer=True))
    (still,) = outcomes(standing, standing, around=there, word=CANARY_BLUE)
    (about_others,) = outcomes(None, standing, around=there, word=Word(canary=at("red"), is_answer=True))
    assert isinstance(unseen, Opens)
    assert isinstance(answered, Opens)
    assert isinstance(still, Quiet)
    assert isinstance(about_others, Asks)


def test_what_was_before_may_be_what_each_destination_got() -> None:
    there, now = versions("v1", "v2"), split((V1, 90), (V2, 10))
    assert outcomes({V1: Use(percent=100.0)}, now, around=there) == outcomes(split((V1, 100)), now, around=there)
