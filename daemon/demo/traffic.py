"""What the load generator saw, one line an answer: the demo's own witness, which verdictd has no part in."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and its answer.

    Attributes:
        start: when the request was sent, in seconds since 1970.
        seconds: how long the answer took.
        status: of the answer; 0 when there was none.
        version: who answered, from the header ``x-version``; empty when the edge itself did, or nobody.
    """

    start: float
    seconds: float
    status: int
    version: str

    @property
    def end(self) -> float:
        """When the answer was there, in seconds since 1970."""
        return self.start + self.seconds

    @property
    def failed(self) -> bool:
        """A server error, or no answer."""
        return self.status >= 500 or self.status == NO_ANSWER


def write(answer: Answer) -> str:
    """The answer as a line, without its end."""
    return f"{answer.start:.4f} {answer.seconds:.5f} {answer.status} {answer.version or '-'}"


def read(line: str) -> Answer:
    """The answer of a line. Raises ``ValueError`` when it is not one."""
    start, seconds, status, version = line.split()
    return Answer(start=float(start), seconds=float(seconds), status=int(status), version="" if version == "-" else version)


@dataclass(slots=True)
class Traffic:
    """All answers so far, in the order in which they came."""

    _answers: list[Answer] = field(default_factory=list)
    _ends: list[float] = field(default_factory=list)

    def add(self, answer: Answer) -> None:
        """Take one more. They come nearly in order of their ends; a straggler is put where it belongs."""
        at = len(self._ends)
        while at and self._ends[at - 1] > answer.end:
            at -= 1
        self._ends.insert(at, answer.end)
        self._answers.insert(at, answer)

    def __len__(self) -> int:
        """Number of answers."""
        return len(self._answers)

    def __iter__(self) -> Iterator[Answer]:
        """In order of their ends."""
        return iter(self._answers)

    def between(self, begin: float, end: float) -> list[Answer]:
        """Answers that ended in ``[begin, end)``, seconds since 1970."""
        return self._answers[bisect_left(self._ends, begin) : bisect_left(self._ends, end)]
