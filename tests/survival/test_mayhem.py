"""The same seed strikes the same, and all that there is to be struck."""

from itertools import islice

from tests.survival.mayhem import OF_DAEMONS, WEIGHTS, How, strikes

ALL = frozenset(WEIGHTS)


def test_a_seed_names_its_strikes() -> None:
    first, again, other = (list(islice(strikes(seed, victims=ALL), 50)) for seed in ("1", "1", "2"))
    assert first == again
    assert first != other


def test_everybody_is_struck_in_every_way_and_nobody_who_is_not_there() -> None:
    some: frozenset[tuple[str, How]] = frozenset({("daemon", "kill"), ("broker", "hang")})
    assert {(one.victim, one.how) for one in islice(strikes("1", victims=ALL), 500)} == ALL
    assert {(one.victim, one.how) for one in islice(strikes("1", victims=some), 50)} == some


def test_a_strike_is_said_in_words() -> None:
    said = {str(one).split(" of ")[0].split(" for ")[0] for one in islice(strikes("1", victims=ALL), 500)}
    assert said == {
        *("kill -9", "the clock", "daemon is told to end"),
        *("daemon hangs", "broker hangs", "api server hangs", "sampler hangs"),
    }


def test_of_several_daemons_each_is_struck_and_told_apart() -> None:
    several = list(islice(strikes("1", victims=ALL, daemons=3), 500))
    assert {one.name for one in several if one.victim == "daemon"} == {"daemon", "daemon 2", "daemon 3"}
    assert {one.name for one in several if one.victim == "sampler"} == {"sampler", "sampler 2", "sampler 3"}
    assert {one.which for one in several if one.victim not in OF_DAEMONS} == {0}
    assert any(str(one) == "daemon 2 is told to end" for one in several)


def test_of_several_brokers_each_is_struck_and_told_apart() -> None:
    several = list(islice(strikes("1", victims=ALL, daemons=2, brokers=3), 1000))
    assert {one.name for one in several if one.victim == "broker"} == {"broker", "broker 2", "broker 3"}
    assert {one.broker for one in several if one.victim not in {"broker", "both"}} == {0}
    assert {one.name for one in several if one.victim == "both"} >= {
        "both",
        "both 2",
        "daemon and broker 2",
        "daemon 2 and broker 3",
    }
