"""Moments of the past as people write them: a date and time, seconds since 1970, or how long ago."""

import re
from datetime import UTC, datetime

from daemon.errors import InvalidInput

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def moment(text: str, *, now: float, path: str) -> float:
    """Seconds since 1970. A time without a zone is UTC.

    Raises:
        InvalidInput: it is none, or lies ahead.
    """
    found = _parsed(text.strip(), now=now)
    fix = "write 2026-11-03T10:00:00Z, seconds since 1970, or how long ago it was: 45m, 6h, 30d"
    if found is None:
        raise InvalidInput(f"{text!r} is no moment", path=path, fix=fix)
    if not 0.0 <= found <= now:
        raise InvalidInput(f"{text!r} is not in the past", path=path, fix=fix)
    return found


def shown(at: float) -> str:
    """A moment for reading, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _parsed(text: str, *, now: float) -> float | None:
    if text == "now":
        return now
    if (ago := _AGO.fullmatch(text)) is not None:
        return now - float(ago[1]) * _UNITS[ago[2]]
    try:
        return float(text)
    except ValueError:
        pass
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
