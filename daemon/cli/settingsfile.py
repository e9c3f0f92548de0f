"""Which settings file a command reads: the one that is named, else what lies in a place where people put it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PLACES: Final = ("verdictd.yaml", "/etc/verdictd/verdictd.yaml")
"""The first that is there is read; relative ones lie in the working directory."""

DEFAULT: Final = f"$VERDICTD_CONFIG, else ./{PLACES[0]}, else {PLACES[1]}"
"""For the commands' help."""


def settings_file(named: str | None, *, environ: Mapping[str, str]) -> str | None:
    """The file to read; null: there is none.

    Args:
        named: by an option; it is not looked whether it is there, so that a slip is refused and no other file read instead.
        environ: where ``VERDICTD_CONFIG`` names one, as surely as an option.
    """
    if (chosen := named or environ.get("VERDICTD_CONFIG")) is not None:
        return chosen
    return next((place for place in PLACES if _is_there(place)), None)


def _is_there(place: str) -> bool:
    """Also one that cannot be read: it is refused when it is, and no default taken for it."""
    return os.path.lexists(Path(place))
