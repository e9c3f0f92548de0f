"""What comes in: releases that are announced, people's words about them, and messages that cannot be used.

Whoever sends wants an answer, and gets exactly one. Until a release is kept safe its announcement is unanswered and comes again,
so nothing is lost between a source and the engine; what can never be used is kept with the reason, so nothing is lost in silence.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol, runtime_checkable

import msgspec

from daemon.interventions import Command
from daemon.model import Outline, Release


class Announcement(Protocol):
    """A deployment event that has arrived and wants an answer. Exactly one of the four answers is given, and ends in bounded time.

    What it announces has been read already: to ask for it waits for nothing.
    """

    @property
    def release_id(self) -> str | None:
        """The id made from the event's origin (the same event gives the same id); null when it could not be understood."""
        ...

    @property
    def announced_at(self) -> float | None:
        """When it was announced, in seconds since 1970: of two events of one service the later one is the newer release, however
        late either is taken. Null where the source does not know: it counts as announced when it is taken."""
        ...

    def release(self) -> Release | Outline:
        """The release it announces, or what was said of one; raises ``InvalidEvent`` with the reason."""
        ...

    async def accept(self) -> None:
        """The release is kept safe: the event need not come again."""
        ...

    async def reject(self, reason: str) -> None:
        """Move it to the dead letters with the reason."""
        ...

    async def postpone(self) -> None:
        """Its release cannot be kept safe now: it shall come again in a while, as often as it takes."""
        ...

    async def put_back(self) -> None:
        """It failed by a defect of ours: it shall come again in a while, but not for ever."""
        ...


@runtime_checkable
class SentAnnouncement(Announcement, Protocol):
    """One of a source that hears several senders. Else its source's name is its sender's."""

    @property
    def sender(self) -> str:
        """Who sent it: two announcements of one sender are two attempts, and those of two senders may be one."""
        ...


@runtime_checkable
class EndAnnouncement(Announcement, Protocol):
    """That a release is over which its source has announced: it announces none, and is accepted where there is nothing to end."""

    @property
    def command(self) -> Command:
        """What ends it."""
        ...


class EventSource(Protocol):
    """Where deployment events come from: one of several, each with a task of its own."""

    def announcements(self) -> AsyncGenerator[Announcement, None]:
        """Announcements as they come, for ever; survives losses of the connection.

        The next one is asked for when there is room, not when the last one has its answer. Whoever reads it closes it.
        """
        ...


@runtime_checkable
class ExaminedSource(EventSource, Protocol):
    """A source that goes on though something of it does not work, and says what."""

    @property
    def problem(self) -> str | None:
        """Why some events may not be heard of now; null where all are."""
        ...


class CommandSource(Protocol):
    """Where a person's or a pipeline's words about running releases come from, besides the API."""

    def commands(self) -> AsyncGenerator[tuple[str, Command], None]:
        """Pairs of release id and command as they come, for ever. One has been carried out when the next is asked for.

        Where a ``TransientError`` is thrown in instead it could not be done now, and comes again.
        """
        ...


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that cannot be used.

    Attributes:
        body, headers: as they came.
        reason: why it cannot be used: place, fault and mend.
        key: the same for the same message, whoever rejects it and however often.
        sent_to: where it came in: a subject, the path of a hook.
        place: where the whole message still is, as the source names its places; empty where it is nowhere else.
        deliveries: how often it has come.
    """

    body: bytes
    headers: Mapping[str, str]
    reason: str
    key: str
    sent_to: str
    place: str = ""
    deliveries: int = 1


class DeadLetters(Protocol):
    """Where messages go that cannot be used, so that nothing is dropped in silence. For whoever rejects, source by source."""

    async def keep(self, letter: DeadLetter) -> None:
        """Keep it; returns when that is durable. Letters with one key are kept once.

        Raises:
            TransientError: it may be kept or not: the message must come again.
        """
        ...


class IncomingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that has come in where whoever sent it waits for an answer.

    Attributes:
        headers, body: a message that our readers of events understand, and read as ``release``.
        key: the same for the same event, however often it is sent.
        release: what it announces.
    """

    headers: Mapping[str, str]
    body: bytes
    key: str
    release: Release | Outline


class EventLog(Protocol):
    """Where deployment events are kept until a source brings them: who was answered after that need not send again."""

    async def keep(self, event: IncomingEvent) -> bool:
        """Keep it; returns when that is durable, and whether it was new. Events with one key are kept once, over restarts too.

        Raises:
            InvalidInput: it is too large, or a name in it cannot be used.
            TransientError: it may be kept or not, or there is no room: it must be sent again.
        """
        ...
