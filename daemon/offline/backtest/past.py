"""Which releases are meant: one each with its time, and what is known of how it went."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from config import documents
from daemon.errors import InvalidInput
from daemon.model import ArmSpec, Release
from daemon.offline.backtest.moments import moment
from daemon.offline.replay.labels import Label
from daemon.releasecheck import decode_release

_FIX = "write releases: a list, each with from, baseline and canary, and label: healthy or bad where it is known"


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """A release that is over.

    Attributes:
        release: as it would have been announced.
        begin: when the canary came into traffic, in seconds since 1970.
        end: how far it is watched at most; null: as long as the policies ask.
        label: whether it was good; null: nothing is known.
        became: what became of it, in words, where that was seen.
    """

    release: Release
    begin: float
    end: float | None = None
    label: Label | None = None
    became: str = ""


def recording_name(past: Past, *, end: float, tick_seconds: float | None, late_seconds: float | None = None, source: str) -> str:
    """The name of its recording: the same release, times and source give the same, and anything else another."""
    late = () if late_seconds is None else (late_seconds,)
    asked = (msgspec.to_builtins(past.release), round(past.begin, 3), round(end, 3), tick_seconds, source, *late)
    digest = hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()[:12]
    return f"{past.release.namespace}-{past.release.service}-{int(past.begin)}-{digest}.jsonl"


def arm_words(arm: ArmSpec) -> str:
    """How an arm is told, in short."""
    named = [value for value in (arm.workload, arm.subset, arm.service, arm.version) if value is not None]
    return " ".join([*named, *(f"{key}={value}" for key, value in sorted(arm.labels.items()))])


def pasts_in(file: Path, *, given: Mapping[str, Any], now: float) -> list[Past]:
    """The releases that a file lists, YAML or JSON. What stands beside the list is of all of them, and ``given`` before both.

    Raises:
        ConfigError: the file cannot be read.
        InvalidInput: what it says makes no sense, with the path.
    """
    document = documents.read(file)
    if not isinstance(document, dict) or not isinstance(document.get("releases"), list) or not document["releases"]:
        raise InvalidInput("there is no list of releases", path=f"{file}: releases", fix=_FIX)
    common = {key: value for key, value in document.items() if key != "releases"}
    found = []
    for number, one in enumerate(document["releases"]):
        path = f"{file}: releases[{number}]"
        if not isinstance(one, dict):
            raise InvalidInput("is no release", path=path, fix=_FIX)
        found.append(past_of({**common, **one, **given}, path=path, now=now))
    return found


def past_of(document: Mapping[str, Any], *, path: str, now: float) -> Past:
    """One release with its time. Raises ``InvalidInput``."""
    about = {key: document[key] for key in ("from", "to", "label", "onset_seconds") if document.get(key) is not None}
    if "from" not in about:
        raise InvalidInput("is missing", path=f"{path}.from", fix="say when the canary came into traffic")
    begin = moment(str(about["from"]), now=now, path=f"{path}.from")
    end = moment(str(about["to"]), now=now, path=f"{path}.to") if "to" in about else None
    if end is not None and end <= begin:
        raise InvalidInput("is not after from", path=f"{path}.to", fix="leave it out, or name a later moment")
    rest = {key: value for key, value in document.items() if key not in {"from", "to", "label", "onset_seconds"}}
    release = decode_release(rest, path=path)
    return Past(release=release, begin=begin, end=end, label=_label(about, path=path))


def _label(about: Mapping[str, Any], *, path: str) -> Label | None:
    if "label" not in about:
        return None
    told = {key: about[key] for key in ("label", "onset_seconds") if key in about}
    try:
        return msgspec.convert(told, Label)
    except msgspec.ValidationError as error:
        raise InvalidInput(str(error), path=f"{path}.label", fix="write healthy or bad, and onset_seconds: 0 or more") from error
