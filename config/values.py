"""One value against its type: what is wrong with it, and what to write instead, guessed from what people write by habit.

``5m``, ``1%`` and ``"0.01"`` are refused, not converted (a unit that is guessed wrong turns 300 seconds into 5), but the
refusal carries the value that was probably meant.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import inspect

from config.errors import WHOLE_NUMBERS, as_text, nearest, one_of
from config.urls import Unusable

_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|sec|s|min|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg])(i?)b?", re.ASCII | re.IGNORECASE)
_PERCENT = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*%", re.ASCII)
_POWERS = {"k": 1, "m": 2, "g": 3}
# Whoever writes more digits than this did not slip with the pen.
_LONGEST_NUMBER = 40
_MOST_OTHERS = 8
"""Of the words that could have been meant beside the nearest one; more are not listed."""

Number = inspect.FloatType | inspect.IntType


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """What is wrong with a value. ``fix`` takes time to say; ``named``: the message begins with the value."""

    message: str
    fix: Callable[[], str]
    named: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What a model says itself of a value, in the ``extra`` of its ``Meta``.

    Attributes:
        fix: what to write there, where the value has another form.
        check: called with a text of the right form; raises ``Unusable`` when it cannot be used all the same.
        secret: that what stands there, and in it, is not shown.
    """

    fix: str | None = None
    check: Callable[[str], object] | None = None
    secret: bool = False

    def under(self, extra: Mapping[str, Any] | None) -> "Own":
        """With what an inner type says, which goes first."""
        if extra is None:
            return self
        secret = extra.get("secret", self.secret)
        return Own(fix=extra.get("fix", self.fix), check=extra.get("check", self.check), secret=secret)


NOTHING = Own()


def wrong(kind: inspect.Type, value: object, *, field: str, own: Own = NOTHING) -> Wrong | None:
    """What is wrong with a value that holds no others; null when nothing is.

    Args:
        kind: its type. One that no model uses yet is left to msgspec, which decodes the document afterwards.
        field: the name of the setting, whose ending is its unit.
        own: the model's own word on it.
    """
    match kind:
        case inspect.LiteralType():
            return none_of(kind.values, value)
        case inspect.EnumType():
            return none_of(tuple(member.value for member in kind.cls), value)
        case inspect.FloatType() | inspect.IntType():
            return _number(kind, value, field)
        case inspect.StrType():
            return _text(kind, value, own)
        case inspect.BoolType() if not isinstance(value, bool):
            return Wrong(message="is not true or false", fix=lambda: "write true or false, without quotes")
        case _:
            return None


def none_of(allowed: tuple[Any, ...], value: object) -> Wrong | None:
    """Whether a value is none of those that are allowed."""
    if isinstance(value, str | int) and value in allowed and not isinstance(value, bool):
        return None

    def fix() -> str:
        guess = nearest(value, map(str, allowed)) if isinstance(value, str) else None
        others = [word for word in allowed if word != guess]
        if guess is None or not 0 < len(others) <= _MOST_OTHERS:
            return f"write {guess or one_of(allowed)}"
        return f"write {guess}, or else {one_of(others)}"

    return Wrong(message="is not one of them", fix=fix)


def _number(kind: Number, value: object, field: str) -> Wrong | None:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    whole = isinstance(kind, inspect.IntType)
    if isinstance(number, int) and number not in WHOLE_NUMBERS:
        message = "is out of range"
    elif number is None or not math.isfinite(number):
        message = f"is not a {'whole ' if whole else ''}number"
    elif whole and not isinstance(number, int):
        message = "is not a whole number"
    elif not _inside(kind, number):
        message = "is out of range"
    else:
        return None
    return Wrong(message=message, fix=lambda: _number_fix(kind, value, field))


def _text(kind: inspect.StrType, value: object, own: Own) -> Wrong | None:
    if not isinstance(value, str):
        if own.secret or isinstance(value, Mapping | list | tuple):
            fix = "write a text" if isinstance(value, Mapping | list | tuple) else "write it in quotes"
            return Wrong(message="is not text", fix=lambda: fix, named=not own.secret)
        quoted = as_text(value)
        in_vain = own.fix and kind.pattern is not None and re.search(kind.pattern, quoted) is None
        return Wrong(message="is not text", fix=lambda: own.fix if in_vain and own.fix else f'write it in quotes: "{quoted}"')
    if kind.min_length is not None and len(value) < kind.min_length:
        least = kind.min_length
        empty = "is empty" if not value else f"has {len(value)} characters"
        return Wrong(
            message=empty, fix=lambda: own.fix or f"write at least {least} character{'s' if least > 1 else ''}", named=False
        )
    if kind.max_length is not None and len(value) > kind.max_length:
        return Wrong(message=f"has {len(value)} characters", fix=lambda: f"write at most {kind.max_length}", named=False)
    # For JSON Schema "$" is the end of the text; for Python also the place before a line break at its end.
    if kind.pattern is not None and (value.endswith("\n") or re.search(kind.pattern, value) is None):
        return Wrong(message="has a form that cannot be used", fix=lambda: own.fix or f"match {kind.pattern}")
    return None if own.check is None else _checked(own.check, value)


def _checked(check: Callable[[str], object], value: str) -> Wrong | None:
    try:
        check(value)
    except Unusable as error:
        fix = error.fix
        return Wrong(message=error.message, fix=lambda: fix, named=False)
    return None


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


def _inside(kind: Number, value: float) -> bool:
    """Whether a number is within the limits of its kind."""
    return (
        (kind.gt is None or value > kind.gt)
        and (kind.ge is None or value >= kind.ge)
        and (kind.lt is None or value < kind.lt)
        and (kind.le is None or value <= kind.le)
    )


def _number_fix(kind: Number, value: object, field: str) -> str:
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
