"""What to write instead: the fix of a problem, guessed from what people write by habit.

``5m``, ``1%`` and ``"0.01"`` are refused, not converted (a unit that is guessed wrong turns 300 seconds into 5), but the
refusal carries the value that was probably meant.
"""

import difflib
import math
import re
from collections.abc import Iterable

from msgspec import inspect

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|sec|m|min|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg])(i?)b?", re.ASCII | re.IGNORECASE)
_PERCENT = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*%", re.ASCII)
_POWERS = {"k": 1, "m": 2, "g": 3}

Number = inspect.FloatType | inspect.IntType

# Whoever writes more than this did not slip with the pen, and the guesses below take time that grows with its square.
_LONGEST_WORD = 64
_LONGEST_NUMBER = 40


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` is probably a misspelling of."""
    if len(word) > _LONGEST_WORD:
        return None
    by_fold = {name.lower().replace("-", "_"): name for name in known}
    close = difflib.get_close_matches(word.lower().replace("-", "_"), by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def one_of(words: Iterable[object]) -> str:
    """``a, b or c``."""
    shown = [str(word) for word in words]
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def limits(kind: Number) -> str:
    """The range of a number in words, with a leading blank; empty when there is none."""
    words = (
        ("greater than", kind.gt),
        ("at least", kind.ge),
        ("less than", kind.lt),
        ("at most", kind.le),
    )
    return "".join(f" {'and ' if index else ''}{word} {bound:.15g}" for index, (word, bound) in enumerate(_given(words)))


def _given(words: Iterable[tuple[str, float | None]]) -> list[tuple[str, float]]:
    return [(word, bound) for word, bound in words if bound is not None]


def inside(kind: Number, value: float) -> bool:
    """Whether a number is within the limits of its kind."""
    return (
        (kind.gt is None or value > kind.gt)
        and (kind.ge is None or value >= kind.ge)
        and (kind.lt is None or value < kind.lt)
        and (kind.le is None or value <= kind.le)
    )


def number_fix(kind: Number, value: object, field: str) -> str:
    """What to write where a number is wanted. ``field`` is the setting's name, whose ending is its unit."""
    what = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
    default = f"write {what}{limits(kind)}"
    if isinstance(value, str):
        return (_text_fix(kind, value.strip(), field) if len(value) <= _LONGEST_NUMBER else None) or default
    if isinstance(value, int | float) and not isinstance(value, bool) and kind.le == 1.0 and 1.0 < value <= 100.0:
        return f"{default}; {value:g} % is {value / 100:g}"
    return default


def _text_fix(kind: Number, text: str, field: str) -> str | None:
    if (percent := _PERCENT.fullmatch(text)) is not None:
        return _percent_fix(kind, float(percent[1]), text)
    if field.endswith("seconds") or field == "deadline":
        seconds = duration_seconds(text)
        if seconds is not None:
            return f"write seconds as a number: {seconds:g}"
    if field.endswith("bytes") and (size := _SIZE.fullmatch(text)) is not None:
        base = 1024 if size[3] else 1000
        return f"write bytes as a number: {int(float(size[1]) * base ** _POWERS[size[2].lower()])}"
    try:
        number = float(text)
    except ValueError:
        return None
    return f"write it without quotes, as a plain number: {number:g}" if math.isfinite(number) else None


def _percent_fix(kind: Number, percent: float, text: str) -> str | None:
    if kind.le == 100.0 and kind.ge == 0.0:
        return f"write percent as a plain number: {percent:g}"
    if kind.gt == 1.0:
        return f"write a factor of the baseline's: {1 + percent / 100:g} ({text} more)"
    if (kind.le or kind.lt or math.inf) <= 1.0:
        return f"write a fraction: {percent / 100:g}"
    return None


def duration_seconds(text: str) -> float | None:
    """Seconds of ``90s``, ``5m``, ``1h30m``, ``500ms``; null when it is no duration."""
    parts = _DURATION_PART.findall(text.lower())
    if not parts or _DURATION_PART.sub("", text.lower()).strip():
        return None
    return sum(float(amount) * _SECONDS[unit] for amount, unit in parts)
