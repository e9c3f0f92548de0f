"""What is known of recorded releases: healthy or bad, and since when. Written by people, beside the recordings.

A file ``labels.json`` in the folder of the recordings: ``{"web-1.jsonl": "healthy", "web-2.jsonl": {"label": "bad",
"onset_seconds": 60}}``. It stands beside the recordings and not in them, because the truth about a release is known only later,
and a recording is evidence that nobody should have to write to.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from config import files
from daemon.errors import InvalidInput

NAME = "labels.json"
_LARGEST_BYTES = 64 * files.MIB


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The truth about a release; ``onset_seconds`` is when it went bad, counted like the ticks' ``t``."""

    label: Literal["healthy", "bad"]
    onset_seconds: Annotated[float, Meta(ge=0.0)] = 0.0


_decoder = msgspec.json.Decoder(dict[str, Literal["healthy", "bad"] | Label])


def labels_of(paths: Sequence[Path], *, labels_file: Path | None = None) -> dict[Path, Label]:
    """Labels of those recordings that have one.

    Args:
        paths: the recordings.
        labels_file: labels for all of them; null: every folder's own ``labels.json``, where there is one.

    Raises:
        InvalidInput: a file of labels cannot be read.
    """
    if labels_file is not None:
        given, folder = _read(labels_file), labels_file.parent
        return {path: label for path in paths if (label := _given(path, folder, given)) is not None}
    folders = {path.parent for path in paths}
    own = {folder: _read(folder / NAME) for folder in folders if (folder / NAME).exists()}
    return {path: own[path.parent][path.name] for path in paths if path.name in own.get(path.parent, {})}


def _given(path: Path, folder: Path, given: Mapping[str, Label]) -> Label | None:
    """By the path below the folder of the labels, else by the name alone."""
    below = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    return given.get(below, given.get(path.name))


def _read(file: Path) -> dict[str, Label]:
    try:
        found = _decoder.decode(files.read_bytes(file, limit_bytes=_LARGEST_BYTES))
    except (files.Unreadable, UnicodeDecodeError, RecursionError, msgspec.MsgspecError) as error:
        fix = 'write {"RECORDING": "healthy", "ANOTHER": {"label": "bad", "onset_seconds": 60}}'
        raise InvalidInput(str(error), path=str(file), fix=fix) from error
    return {name: label if isinstance(label, Label) else Label(label=label) for name, label in found.items()}
