from __future__ import annotations

import pytest

from daemon.discovery.naming import is_double, is_place, newer, same_version, speaks_of, stem, words


@pytest.mark.parametrize(
    ("older", "later"),
    [
        ("v1", "v2"),
        ("v9", "v10"),
        ("1.4.0", "1.5.0"),
        ("1.4", "1.4.1"),
        ("v0-5-3", "v0-5-4"),
        ("version-v1", "v2"),
        ("web-v1", "web-v2"),
        ("2.0.0-rc1", "2.0.0"),
        ("2.0.0-rc1", "2.0.0-rc2"),
        ("1.9.9", "2.0.0-alpha"),
        ("color", "color2"),
        ("2026-01-31", "2026-02-01"),
        ("1.0.0+build7", "1.1.0+build1"),
    ],
)
def test_names_are_ordered_by_the_versions_in_them(older: str, later: str) -> None:
    assert newer(later, older) == 1
    assert newer(older, later) == -1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("v1", "v1"),
        ("1.4", "1.4.0"),
        ("v0-5-3", "version-v0.5.3"),
        ("blue", "green"),
        ("a", "b"),
        ("ping", "pong"),
        ("web-gke", "web-eks"),
        ("stable", "v2"),
        ("", "v2"),
        ("color", "color1"),
        ("color", "paint2"),
        ("v1-delay", "v1-error"),
    ],
)
def test_names_that_are_equal_or_without_order_say_nothing(one: str, other: str) -> None:
    assert newer(one, other) == newer(other, one) == 0


@pytest.mark.parametrize(("one", "other"), [("zone1", "zone2"), ("rack-1", "rack-2"), ("zone", "zone2"), ("dc1", "dc2")])
def test_numbered_places_are_no_versions(one: str, other: str) -> None:
    assert newer(one, other) == newer(other, one) == 0


def test_numbers_order_only_names_that_are_the_same_around_them() -> None:
    assert newer("infra-v1", "tls-2") == 0
    assert newer("backend-2", "frontend-1") == 0
    assert newer("backend-2", "backend-1") == 1


def test_a_name_longer_than_any_object_has_says_nothing() -> None:
    assert newer("v" + "1" * 10_000, "v2") == 0
    assert newer("1-" * 200 + "x", "v2") == 0


@pytest.mark.parametrize(
    ("canary", "baseline"),
    [
        ("canary", "stable"),
        ("web-canary", "web"),
        ("web", "web-primary"),
        ("preview", "active"),
        ("v2-beta", "v1"),
        ("next", "current"),
    ],
)
def test_words_say_which_is_the_canary(canary: str, baseline: str) -> None:
    assert speaks_of(canary, baseline) == 1
    assert speaks_of(baseline, canary) == -1


@pytest.mark.parametrize(
    ("one", "other"),
    [("canary-a", "canary-b"), ("web", "shop"), ("newsfeed", "feed"), ("stable-new", "x"), ("canary", "next"), ("betas", "x")],
)
def test_words_that_both_have_or_that_are_parts_of_others_do_not_count(one: str, other: str) -> None:
    assert speaks_of(one, other) == 0


def test_of_names_with_a_word_in_common_the_others_count() -> None:
    assert speaks_of("canary-new", "canary") == 1


def test_a_word_is_not_found_inside_another() -> None:
    assert "rack" not in words("track")
    assert not is_place("track", ["canary", "stable"])
    assert is_place("rack", ["1", "2"])


@pytest.mark.parametrize("key", ["zone", "topology.kubernetes.io/zone", "region", "kubernetes.io/os", "kubernetes.io/arch", "dc"])
def test_labels_of_places_are_known(key: str) -> None:
    assert is_place(key, ["a", "b"])


def test_a_role_that_says_canary_is_no_place() -> None:
    assert is_place("role", ["leader", "follower"])
    assert not is_place("role", ["canary", "stable"])
    assert not is_place("version", ["1", "2"])


@pytest.mark.parametrize("name", ["basket", "basket-new", "basket-v2", "basket2", "basket-blue", "basket-primary", "Basket_v1.2"])
def test_the_stem_is_what_all_versions_have_in_common(name: str) -> None:
    assert stem(name) == "basket"


def test_of_a_name_that_only_tells_versions_apart_no_stem_is_left() -> None:
    assert stem("canary") == stem("v2") == stem("blue") == ""
    assert stem("traffic-recorder") == "traffic-recorder"


def test_one_version_is_known_however_it_is_written() -> None:
    assert same_version("version-v1", "v1")
    assert same_version("v0-5-3", "v0.5.3")
    assert same_version("Nightly", "nightly")
    assert not same_version("left", "right")
    assert not same_version("v1.5", "v1.5.1")
    assert not same_version("v1.5-rc1", "v1.5")


def test_test_doubles_are_known_by_their_names() -> None:
    assert is_double("payments-mock")
    assert not is_double("mockingbird")
