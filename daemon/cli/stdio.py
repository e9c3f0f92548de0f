"""Standard output and standard error that never raise: a command's end is decided by what it found out, not by who reads it.

A reader that has gone, a full disk, a closed descriptor, a letter that the encoding lacks: none of them may turn a rollback
into another exit code. What could not be written is remembered instead, for the commands that only print.
"""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

from daemon.cli import defect

_CLOSED = "it is closed"


class Output:
    """A text stream in place of another one. ``lost`` says why something could not be written, null as long as all was."""

    def __init__(self, stream: TextIO | None) -> None:
        self.lost: str | None = None
        self.reader_gone = False
        self._stream: TextIO | None = stream
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write, or lose it."""
        if self._stream is None:
            if text and self.lost is None:
                self.lost = _CLOSED
            return len(text)
        try:
            self._stream.write(text)
        except (OSError, ValueError) as error:
            self._lose(error)
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        """Write them all, or lose them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush, or lose what is left."""
        if self._stream is None:
            return
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._lose(error)

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _lose(self, error: OSError | ValueError) -> None:
        """Give the stream up. What is in its buffer goes nowhere: Python would try again at its end, and exit 120."""
        stream, self._stream = self._stream, None
        self.reader_gone = isinstance(error, OSError) and error.errno in {errno.EPIPE, errno.ECONNRESET}
        self.lost = getattr(error, "strerror", None) or str(error)
        if stream is None:
            return
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


@contextmanager
def standing() -> Iterator[Output]:
    """For the length of a block both streams cannot fail; gives standard output's, flushed when the block is left.

    Standard input, where it is closed, is empty, and what is no text in it is for whoever reads the document to refuse.
    """
    _occupy_closed_descriptors()
    before = sys.stdin, sys.stdout, sys.stderr
    out, err = Output(sys.stdout), Output(sys.stderr)
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        sys.stdin = sys.stdin or nothing
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="surrogateescape")
        try:
            yield out
        finally:
            out.flush()
            err.flush()
            sys.stdin, sys.stdout, sys.stderr = before


@contextmanager
def words_only(*, debug: bool) -> Iterator[None]:
    """Around what is said when the outcome is known already: a fault in the wording is told, and changes nothing."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever a formatter raises: the outcome stands
        print(defect(error, debug=debug), file=sys.stderr)


def _occupy_closed_descriptors() -> None:
    """A process that was started without one of the first three would give its number to a socket."""
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)
