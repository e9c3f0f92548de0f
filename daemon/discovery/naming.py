"""What names say of versions, and what they only seem to say. Pure.

A name is read in whole words: ``rack`` is not in ``track``, and ``newsfeed`` is not new. Numbers order names only where all that
stands around them is the same, and where they do not count places: ``zone2`` is no version, ``infra-v1`` not before ``tls-2``.
"""

import re
from collections.abc import Collection

CANARY_WORDS = frozenset({"canary", "preview", "candidate", "next", "new", "beta", "experiment"})
BASELINE_WORDS = frozenset({"stable", "primary", "prod", "current", "baseline", "active", "control"})
_RELEASE_WORDS = CANARY_WORDS | BASELINE_WORDS

_ORDERLESS_WORDS = frozenset({"blue", "green", "red", "black", "ping", "pong"})
"""They tell versions apart and do not say which is newer."""

_DOUBLE_WORDS = frozenset({"mock", "mocks", "fake", "stub", "dummy", "double"})
"""Test doubles: who pins somebody to one releases nothing."""

_PLACE_WORDS = frozenset(
    {
        *("zone", "region", "subzone", "az", "rack", "cell", "shard", "cluster", "network", "datacenter", "dc", "site"),
        *("hostname", "node", "os", "arch", "role", "tier", "partition", "locality"),
    }
)
_VERSION_WORDS = frozenset({"v", "ver", "version", "rev", "revision", "r", "release"})

_LONGEST = 253
_WORDS = re.compile(r"[a-z]+")
_PIECES = re.compile(r"[a-z0-9]+")
_VERSION = re.compile(
    r"(?P<stem>.*?)(?:(?<![a-z])(?:version|ver|v|revision|rev|release|r))?[-_.]?"
    r"(?P<numbers>\d{1,18}(?:[-_.]\d{1,18})*)"
    r"(?:[-_.]?(?P<early>alpha|beta|rc|pre|preview|snapshot)[-_.]?(?P<nth>\d{0,18}))?(?:\+.*)?"
)

Version = tuple[tuple[int, ...], bool, str, int]
"""Numbers without zeros at the end, whether it is a whole release, and of one before it the kind and the number."""


def words(name: str) -> frozenset[str]:
    """The words in a name, in lower case."""
    return frozenset(_WORDS.findall(name.lower()))


def is_double(name: str) -> bool:
    """Whether it is named as a test double."""
    return bool(words(name) & _DOUBLE_WORDS)


def is_place(key: str, values: Collection[str]) -> bool:
    """Whether a label tells where or as what pods run, not which version: ``zone``, and ``role`` unless it says canary."""
    return bool(words(key.rpartition("/")[2]) & _PLACE_WORDS) and not any(words(value) & _RELEASE_WORDS for value in values)


def stem(name: str) -> str:
    """A name without what tells versions apart: ``basket`` of ``basket-new`` and ``basket2``; empty: nothing is left."""
    kept = []
    for piece in _PIECES.findall(name.lower()):
        bare = piece.rstrip("0123456789")
        if bare and bare not in _RELEASE_WORDS | _ORDERLESS_WORDS | _VERSION_WORDS:
            kept.append(bare)
    return "-".join(kept)


def newer(one: str, other: str) -> int:
    """1: the first name is of a newer version than the second, -1: of an older one, 0: their names do not say."""
    first, second = _parsed(one), _parsed(other)
    if first is None or second is None:
        return _beside_bare(one, other)
    if first[0] != second[0] or words(first[0]) & _PLACE_WORDS:
        return 0
    return (first[1] > second[1]) - (first[1] < second[1])


def speaks_of(one: str, other: str) -> int:
    """1: words say that the first is the canary, -1: the second, 0: neither. What both names have does not count."""
    mine, others = words(one) - words(other), words(other) - words(one)
    said = _leaning(mine) - _leaning(others)
    return (said > 0) - (said < 0)


def same_version(one: str, other: str) -> bool:
    """Whether both are written for one version: ``v0-5-3`` and ``version-v0.5.3``; other names only if equal."""
    first, second = _parsed(one), _parsed(other)
    if first is None or second is None:
        return one.lower() == other.lower()
    return first == second


def _leaning(said: Collection[str]) -> int:
    """Of words of one side; those of both kinds say nothing."""
    return bool(CANARY_WORDS & set(said)) - bool(BASELINE_WORDS & set(said))


def _beside_bare(one: str, other: str) -> int:
    """Of ``color`` and ``color2`` the first is number 1."""
    for bare, numbered, sign in ((one, _parsed(other), -1), (other, _parsed(one), 1)):
        if numbered is not None and _parsed(bare) is None and (plain := _plain(bare)) and plain == numbered[0]:
            return sign if numbered[1] > ((1,), True, "", 0) and not words(plain) & _PLACE_WORDS else 0
    return 0


def _parsed(name: str) -> tuple[str, Version] | None:
    """What stands before the version, and the version; null: there is none."""
    match = _VERSION.fullmatch(name.lower()) if len(name) <= _LONGEST else None
    if match is None:
        return None
    numbers = [int(one) for one in re.split(r"[-_.]", match["numbers"])]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    early = match["early"] or ""
    return _plain(match["stem"]), (tuple(numbers), not early, early, int(match["nth"] or 0))


def _plain(name: str) -> str:
    return "-".join(piece for piece in _PIECES.findall(name.lower()) if piece not in _VERSION_WORDS)
