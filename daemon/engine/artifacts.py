"""Whether two names of an artifact are of one: like is compared with like, and what is unlike says nothing. Pure.

Who deploys the same thing names it in words of his own: an image with a tag, with a digest, as a package URL, or the commit that it
was built from.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote

_DIGEST = re.compile(r"sha(?:256|512):[0-9a-f]{32,128}")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_IMAGE = re.compile(r"(?P<name>[^\s@:]+(?::\d+/[^\s@:]+)?)(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha\d+:[0-9a-f]+))?")
_PURL: Final = "pkg:"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """What a name says; empty where it does not. ``name`` is without registry and folders, ``tag`` a version."""

    name: str = ""
    tag: str = ""
    digest: str = ""
    commit: str = ""


def same(one: str | None, other: str | None) -> bool | None:
    """Whether both are one artifact; null where that cannot be told."""
    if one is None or other is None:
        return None
    mine, theirs = _read(one), _read(other)
    if one == other or mine == theirs == _Name():  # of words of nobody's form only the same are one
        return one == other
    told = (_by_digest(mine, theirs), _by_commit(mine, theirs), _by_tag(mine, theirs))
    return next((answer for answer in told if answer is not None), None)


def is_lasting(text: str | None) -> bool:
    """Whether a name means the same for good, as far as names do: ``latest`` is another artifact every day.

    A digest and a commit do; so does a version, which has a digit.
    """
    if text is None:
        return False
    said = _read(text)
    version = text if said == _Name() else said.tag
    return bool(said.digest or said.commit) or any(character.isdigit() for character in version)


def _by_digest(one: _Name, other: _Name) -> bool | None:
    return one.digest == other.digest if one.digest and other.digest else None


def _by_commit(one: _Name, other: _Name) -> bool | None:
    """A commit, which may be cut short, by another one; or by one in a tag, of which only that it is the same says something."""
    if one.commit and other.commit:
        return _begins(one.commit, other.commit)
    pairs = ((one.commit, other.tag), (other.commit, one.tag))
    return any(commit and _begins(commit, part) for commit, tag in pairs for part in _COMMIT.findall(tag)) or None


def _by_tag(one: _Name, other: _Name) -> bool | None:
    """Of one image; another may be beside it in the same pod."""
    if not (one.tag and other.tag) or (one.name and other.name and one.name != other.name):
        return None
    return one.tag.removeprefix("v") == other.tag.removeprefix("v")


def _begins(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _read(text: str) -> _Name:
    if _DIGEST.fullmatch(text):
        return _Name(digest=text)
    if _COMMIT.fullmatch(text):
        return _Name(commit=text)
    if text.startswith(_PURL):
        return _of_package_url(text)
    found = _IMAGE.fullmatch(text)
    if found is None or not (found["tag"] or found["digest"]):
        return _Name()
    return _Name(name=found["name"].rpartition("/")[2], tag=found["tag"] or "", digest=found["digest"] or "")


def _of_package_url(text: str) -> _Name:
    """https://github.com/package-url/purl-spec: ``pkg:TYPE/NAME@VERSION?tag=TAG``; an image's version is its digest."""
    path, _, query = text.partition("#")[0].partition("?")
    name, _, version = unquote(path).partition("@")
    tags = parse_qs(query).get("tag", [""])
    is_digest = _DIGEST.fullmatch(version) is not None
    return _Name(name=name.rpartition("/")[2], tag=tags[0] or ("" if is_digest else version), digest=version if is_digest else "")
