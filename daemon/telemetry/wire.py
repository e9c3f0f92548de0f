"""What the sources' formats have in common: how numbers are written, and answers cut so that each piece can be read by itself.

Decoding a large answer is one call that keeps the interpreter to itself, so that a thread alone does not keep the event loop
free: only many short calls do. Cutting JSON between two elements is safe without reading it: the bytes of the cut hold a bare
quote after a brace, and no JSON string can.
"""

import re
from collections.abc import Iterator

import msgspec

from daemon.aio.parsing import LONGEST_BYTES
from daemon.errors import InvalidInput

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are not what they should be; the last for what is nested without end."""

# What stands before an object's first key; the search ends there.
_COMMA = re.compile(rb"\}\s*(?P<comma>,)\s*\{\s*\Z")
_BRACKET = re.compile(rb"(?P<bracket>\[)\s*\{\s*\Z")
_BLANKS = 256
"""How far before the key that is looked for, blanks between them included."""

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|Inf|NaN)", re.ASCII)
"""A number as Prometheus writes it; Python's own forms are none."""
_RE2_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")


def number(text: str, *, path: str) -> float:
    """Read one number as Prometheus writes it; raises ``InvalidInput`` on anything else."""
    if NUMBER.fullmatch(text) is None:
        raise InvalidInput(f"{text[:40]!r} is not a number", path=path)
    return float(text)


def literal(text: str) -> str:
    """The RE2 pattern that matches exactly ``text``."""
    return _RE2_SPECIAL.sub(r"\\\g<0>", text)


class Lines:
    """Whole lines of a text that comes in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """The lines that are whole by now, each with its end."""
        whole = self._rest + piece
        end = whole.rfind(b"\n") + 1
        self._rest = _kept(whole[end:])
        return whole[:end]

    def close(self) -> bytes:
        """The last line, if it has no end."""
        return self._rest


class Elements:
    """Whole elements of arrays in a JSON document that comes in pieces.

    Args:
        first_key: what every element's first key is; no other objects in arrays of the document begin with it.
        leaving: first key of an object that stands after the elements in their array, if there is one; inside it the same kind
            of elements may come again.
    """

    def __init__(self, first_key: str, *, leaving: str | None = None) -> None:
        self._key = f'"{first_key}"'.encode()
        self._leaving = None if leaving is None else f'"{leaving}"'.encode()
        self._inside = False
        self._frame = b""
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Arrays of the elements that are whole by now."""
        self._rest += piece
        while self._inside or self._enter():
            left = self._first(self._leaving, after=_COMMA) if self._leaving else None
            cut = left or self._last_cut()
            if cut is None:
                break
            yield b"[" + self._rest[: cut.start("comma")] + b"]"
            self._rest = self._rest[cut.end("comma") :]
            if left is None:
                break
            self._inside = False
        _kept(self._rest)

    def close(self) -> bytes:
        """The document with the last element, and without the others."""
        return self._frame + self._rest

    def _enter(self) -> bool:
        opening = self._first(self._key, after=_BRACKET)
        if opening is not None:
            end = opening.end("bracket")
            self._frame = _kept(self._frame + self._rest[:end])
            self._rest = self._rest[end:]
            self._inside = True
        return self._inside

    def _first(self, key: bytes, *, after: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """The first object with this first key that stands there."""
        position = self._rest.find(key)
        while position >= 0:
            found = after.search(self._rest, max(0, position - _BLANKS), position)
            if found is not None:
                return found
            position = self._rest.find(key, position + 1)
        return None

    def _last_cut(self) -> re.Match[bytes] | None:
        """Between the last two elements that have begun."""
        position = self._rest.rfind(self._key)
        while position >= 0:
            found = _COMMA.search(self._rest, max(0, position - _BLANKS), position)
            if found is not None:
                return found
            position = self._rest.rfind(self._key, 0, position)
        return None


def _kept(rest: bytes) -> bytes:
    if len(rest) > LONGEST_BYTES:
        raise InvalidInput(f"one of its parts is longer than {LONGEST_BYTES} bytes", path="answer")
    return rest
