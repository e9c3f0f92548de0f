"""What comes of a look at a route: what is to be announced, asked and ended, and what is to be kept once all that is safe. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from daemon.errors import InvalidInput
from daemon.kube.resources import Json
from daemon.model import Release
from daemon.ports.awaiting import Awaited
from daemon.watcher.endings import Ending
from daemon.watcher.kept import KeptRelease, KeptRoute
from daemon.watcher.meeting import StillWaits


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A release to be announced.

    Attributes:
        release: it.
        kept: what is to be kept of it.
        why: why it is one.
        mark: tells it from another one that would be announced in its place.
        awaited: the announcement that has waited for it; null: nobody has announced it.
        joins: whether it is under way here already.
    """

    release: Release
    kept: KeptRelease
    why: str
    mark: str
    awaited: Awaited | None = None
    joins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody must say or mend.

    Attributes:
        error: what is asked, and how to answer.
        seen: what it is about.
        mark: tells it from other questions.
        annotations: of the route, any of which answers.
        fields: of an announcement of the release, which together answer.
    """

    error: InvalidInput
    seen: Json
    mark: str
    annotations: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What comes of a look.

    Attributes:
        after: what is to be kept once everybody has been told; null: nothing of the route is.
        openings: to be announced.
        questions: to be asked.
        endings: releases that are over by their owners' word.
        again_in_seconds: when it must be looked at again though nothing changes; null: it need not be.
        why: of what comes to nothing, a sentence each.
        waits: announcements that wait on, and why.
    """

    after: KeptRoute | None
    openings: tuple[Opening, ...] = ()
    questions: tuple[Question, ...] = ()
    endings: tuple[Ending, ...] = ()
    again_in_seconds: float | None = None
    why: tuple[str, ...] = ()
    waits: tuple[StillWaits, ...] = ()

    def refused(self, marks: Iterable[str], *, before: KeptRoute | None) -> KeptRoute | None:
        """What is to be kept where some of its openings were refused: what was before, so that mended ones are announced yet."""
        new = tuple(marks)
        if not new or self.after is None:
            return self.after
        still = before or msgspec.structs.replace(self.after, opened=())
        return msgspec.structs.replace(still, refused=tuple(dict.fromkeys((*self.after.refused, *new))), asked=self.after.asked)
