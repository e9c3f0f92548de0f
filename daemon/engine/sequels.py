"""What came after a release's verdict and is told too, made of the session's steps alone: the same after every restart."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from daemon.engine.reasserting import PUT_BACK
from daemon.engine.session import CANARY_SILENT, REVERT_GIVEN_UP, REVERTED_LATE, Session
from daemon.ports.notices import Sequel, SequelKind

_KINDS: Final[Mapping[str, SequelKind]] = {
    CANARY_SILENT: "traffic_left",
    PUT_BACK: "reverted_again",
    REVERTED_LATE: "reverted_late",
    REVERT_GIVEN_UP: "revert_given_up",
}


def sequels_of(session: Session) -> Iterator[Sequel]:
    """In the order in which they happened, as far as the release has come; none before there is a verdict."""
    times: Counter[SequelKind] = Counter()
    for mark in session.marks:
        if (kind := _KINDS.get(mark.step)) is not None and session.verdict is not None:
            times[kind] += 1
            yield Sequel(release=session.release, of=session.verdict, kind=kind, at=mark.at, detail=mark.detail, times=times[kind])
