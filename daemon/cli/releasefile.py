"""A release from a file or standard input, checked before anything is done with it: its faults together."""

import sys
from collections.abc import Mapping
from pathlib import Path

from config import documents, files
from config.errors import ConfigError, Fault
from daemon.errors import InvalidInput
from daemon.events.hearing import Hearing
from daemon.model import Outline, Release
from daemon.releasecheck import decode_release


def load_release(name: str) -> Release:
    """Read a release from YAML or JSON; ``-`` is standard input. Raises ``ConfigError`` with every problem found."""
    if name != "-":
        return checked_release(documents.read(Path(name)), source=name)
    source = "standard input"
    return checked_release(documents.parse(standard_input(source), source=source), source=source)


def load_announcement(name: str) -> Mapping[str, object]:
    """Read what announces a release, whose arms may be for the daemon to find. Raises ``ConfigError`` as ``load_release``."""
    source = "standard input" if name == "-" else name
    document = documents.parse(standard_input(source), source=source) if name == "-" else documents.read(Path(name))
    checked_announcement(document, source=source)
    assert isinstance(document, Mapping)  # it announces something
    return document


def checked_announcement(document: object, *, source: str) -> Release | Outline:
    """What a plain document announces: a release, or an outline whose arms the daemon finds. Raises ``ConfigError`` likewise."""
    try:
        return Hearing(finds_arms=True).announced(document, path="")[0]
    except InvalidInput as error:
        raise ConfigError(error.faults, source=source) from error


def checked_release(document: object, *, source: str) -> Release:
    """A plain document as a release. Raises ``ConfigError`` with every problem found."""
    try:
        return decode_release(document, path="")
    except InvalidInput as error:
        raise ConfigError(error.faults, source=source) from error


def refused(error: InvalidInput, *, source: str) -> ConfigError:
    """What settings refuse of a release, with the path as a person would write it."""
    return ConfigError((Fault(path=error.path.removeprefix("$."), message=error.message, fix=error.fix),), source=source)


def standard_input(source: str) -> str:
    """All of it, up to the size that a file may have."""
    try:
        return files.as_text(files.read_stream(sys.stdin.buffer, limit_bytes=documents.MAX_BYTES))
    except files.Unreadable as error:
        raise ConfigError((Fault(path="$", message=error.message, fix=error.fix),), source=source) from error


def looks_like_release(document: object) -> bool:
    """Whether a document has keys that only a release has."""
    return isinstance(document, Mapping) and bool({"service", "canary", "baseline"} & document.keys())
