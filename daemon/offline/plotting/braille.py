"""Curves in a terminal: two columns and four rows of dots to a character."""

from collections.abc import Sequence

_FIRST = 0x2800
# The bit of each dot, by row from the top and column.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_RESET = "\x1b[0m"


class Canvas:
    """A field of dots with a colour for each character (the one that was drawn last)."""

    def __init__(self, *, columns: int, rows: int) -> None:
        self.width, self.height = columns * 2, rows * 4
        self._cells = [[0] * columns for _ in range(rows)]
        self._colours = [[""] * columns for _ in range(rows)]

    def dot(self, x: int, y: int, *, colour: str = "") -> None:
        """Set a dot; ``y`` counts from the bottom. What is outside is not drawn."""
        if 0 <= x < self.width and 0 <= y < self.height:
            top = self.height - 1 - y
            self._cells[top // 4][x // 2] |= _BITS[top % 4][x % 2]
            self._colours[top // 4][x // 2] = colour

    def curve(self, points: Sequence[float | None], *, colour: str = "") -> None:
        """Draw a curve of values from 0 (bottom) to 1 (top), stretched over the whole width, with gaps where null."""
        last: int | None = None
        for x in range(self.width):
            value = points[x * len(points) // self.width] if points else None
            if value is None:
                last = None
                continue
            y = round(min(1.0, max(0.0, value)) * (self.height - 1))
            low, high = (y, y) if last is None else (min(y, last), max(y, last))
            for step in range(low, high + 1):
                self.dot(x, step, colour=colour)
            last = y

    def lines(self, *, colours: bool) -> list[str]:
        """The field as text, from the top."""
        return [
            "".join(_cell(bits, colour if colours else "") for bits, colour in zip(row, shades, strict=True))
            for row, shades in zip(self._cells, self._colours, strict=True)
        ]


def _cell(bits: int, colour: str) -> str:
    character = chr(_FIRST + bits)
    return f"{colour}{character}{_RESET}" if colour and bits else character
