"""Answers cut between two of their elements, so that each piece can be read by itself.

Decoding a large answer is one call that keeps the interpreter to itself, so that a thread alone does not keep the event loop
free: only many short calls do. Cutting JSON between two elements is safe without reading it: the bytes of the cut hold a bare
quote after a brace, and no JSON string can.
"""

import re
from collections.abc import Iterator

from daemon.aio.httpclient import LONGEST_BYTES
from daemon.errors import InvalidInput


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
        key = rf'\{{\s*"{first_key}"\s*:'.encode()
        self._opening = re.compile(rb"\[\s*(?=" + key + rb")")
        self._cut = re.compile(rb"\}\s*(?P<comma>,)\s*(?=" + key + rb")")
        self._leave = None if leaving is None else re.compile(rf'\}}\s*(?P<comma>,)\s*(?=\{{\s*"{leaving}"\s*:)'.encode())
        self._inside = False
        self._frame = b""
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Arrays of the elements that are whole by now."""
        self._rest += piece
        while self._inside or self._enter():
            left = self._leave.search(self._rest) if self._leave else None
            end = left.start("comma") if left else self._last_cut()
            if end < 0:
                break
            yield b"[" + self._rest[:end] + b"]"
            self._rest = self._rest[end + 1 :]
            if left is None:
                break
            self._inside = False
        _kept(self._rest)

    def close(self) -> bytes:
        """The document with the last element, and without the others."""
        return self._frame + self._rest

    def _enter(self) -> bool:
        opening = self._opening.search(self._rest)
        if opening is not None:
            self._frame = _kept(self._frame + self._rest[: opening.end()])
            self._rest = self._rest[opening.end() :]
            self._inside = True
        return self._inside

    def _last_cut(self) -> int:
        last = -1
        for found in self._cut.finditer(self._rest):
            last = found.start("comma")
        return last


def _kept(rest: bytes) -> bytes:
    if len(rest) > LONGEST_BYTES:
        raise InvalidInput(f"one of its parts is longer than {LONGEST_BYTES} bytes", path="answer")
    return rest
