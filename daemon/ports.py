"""The few narrow interfaces between the engine and the world. An adapter implements one; the engine knows nothing else.

Everything here may raise the errors of ``daemon.errors`` and no others. All times are in seconds.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import msgspec

from analyzers.ruling import Ruling
from daemon.model import Command, Reading, Record, Release, ReleaseView, TimedStep, Verdict, Watch
from daemon.placement import ObjectName, PatchReceipt, Placement


class Clock(Protocol):
    """Time, so that tests can own it."""

    def now(self) -> float:
        """Seconds since 1970; for records and for comparing with telemetry."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; for durations."""
        ...

    async def sleep(self, seconds: float, /) -> None:
        """Wait."""
        ...


class Announcement(Protocol):
    """A deployment event that has arrived and wants an answer. Exactly one of the four answers is given, and ends in bounded time.

    What it announces has been read already: to ask for it waits for nothing.
    """

    @property
    def release_id(self) -> str | None:
        """The id made from the event's origin (the same event gives the same id); null when it could not be understood."""
        ...

    def release(self) -> Release:
        """The release it announces; raises ``InvalidEvent`` with the reason."""
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


class EventSource(Protocol):
    """Where deployment events come from: one of several, each with a task of its own."""

    def announcements(self) -> AsyncGenerator[Announcement, None]:
        """Announcements as they come, for ever; survives losses of the connection.

        The next one is asked for when there is room, not when the last one has its answer. Whoever reads it closes it.
        """
        ...


class CommandSource(Protocol):
    """Where a person's or a pipeline's words about running releases come from, besides the API."""

    def commands(self) -> AsyncGenerator[tuple[str, Command], None]:
        """Pairs of release id and command as they come, for ever. One has been carried out when the next is asked for."""
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


class Telemetry(Protocol):
    """Where counters come from."""

    @property
    def tick_seconds(self) -> float:
        """The sampling interval."""
        ...

    @property
    def wait_seconds(self) -> float | None:
        """How long from now on there can be nothing new; null: it is read at every interval."""
        ...

    @property
    def split(self) -> bool:
        """Whether the latency histograms hold successes only."""
        ...

    @property
    def failure(self) -> str | None:
        """Why the last reading brought nothing at all, for any release; null when the source has answered."""
        ...

    async def read(self, watches: Sequence[Watch]) -> Mapping[str, Reading]:
        """Counts since the last call, by release id, all releases together.

        The first reading of a release is a gap (there is nothing to subtract from). Never raises for a source that fails:
        every reading is then a gap that says why.
        """
        ...

    def forget(self, release_id: str) -> None:
        """The release has ended: drop what is kept for it."""
        ...


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy that can be asked for its counters itself.

    Attributes:
        name: tells it from all others; where it stands beside a pod, the pod's.
        url: its address, without a path.
    """

    name: str
    url: str


class Targets(Protocol):
    """Which proxies see the requests of which releases."""

    async def find(self, watches: Sequence[Watch]) -> Mapping[str, Sequence[Target]]:
        """The targets of each release as of now, by release id; several releases may have the same ones.

        Raises:
            VerdictdError: they cannot be told now. The tick is then null for all, with that reason.
        """
        ...


class TrafficRouter(Protocol):
    """A mesh's routes. The only thing that changes traffic.

    ``located`` is what the release's ``Placement`` said; empty when that is not known.
    """

    async def locate(self, release: Release) -> Placement:
        """Find every route that names the canary, and see that there is a baseline.

        Raises:
            NotFound: no route names the canary, or the baseline surely is not there: says what was looked for, and what is there.
            InvalidInput: both arms are the same.
        """
        ...

    async def check_baseline(self, release: Release, *, located: str = "") -> str:
        """Look who would serve if the traffic went back now; gives what is known of it, in a line.

        Raises:
            Blocked: it is sure that nobody would, only what serves the canary's traffic now, or what served it when it was located.
        """
        ...

    async def revert(self, release: Release, *, located: str = "") -> PatchReceipt:
        """One live read and one guarded patch per object, side by side: all traffic to the baseline.

        Called again it goes on with what is left. An object that cannot be written holds up no other and is told in the receipt;
        where none could be written, why the first of them could not is raised.
        """
        ...

    async def canary_gets_traffic(self, release: Release, *, located: str = "") -> str | None:
        """Look at the routes as they are in force now: null when none sends to the canary, else which one does."""
        ...


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """An owner's word that it writes a release's routes by itself.

    Attributes:
        object: the object by which it does, as a Canary or a Rollout.
        state: ``active``: it gives the canary traffic, or may; ``aborted``: it has given the canary up.
        puts_back: whether it may undo what others write to the routes; false only where it surely does not.
    """

    object: ObjectName
    state: Literal["active", "aborted"] = "active"
    puts_back: bool = True


class Owner(Protocol):
    """Who may write the routes of releases by itself, as a controller does: asked, and told, before the router patches them."""

    @property
    def name(self) -> str:
        """For a person."""
        ...

    async def claims(self, release: Release) -> Claim | None:
        """Whether it writes this release's routes; null when it surely does not."""
        ...

    async def abort(self, release: Release, claim: Claim) -> str:
        """Have it give the canary up, in its own terms; returns when that is acknowledged, with what it was told.

        Doing it twice is doing it once.
        """
        ...


class VerdictLog(Protocol):
    """The one account of all verdicts: what stands there was told, and stands, whatever else is known."""

    async def publish(self, verdict: Verdict) -> None:
        """Publish once, however often it is called; returns only when the publication is acknowledged.

        Raises when it is not: to be called again, with the same verdict.
        """
        ...

    async def published(self, release_ids: AbstractSet[str], *, since: float) -> Mapping[str, Verdict | None]:
        """Which of these releases have a verdict that was published since then (seconds since 1970), by release id.

        Null is a verdict that is out and cannot be read here: a newer version has told it.
        """
        ...


class VerdictSink(Protocol):
    """A further place that is told of verdicts: one of several, each tried by itself. It learns only what is decided for good."""

    def wants(self, release: Release, verdict: Verdict) -> bool:
        """Whether this verdict is for it. Pure, and the same for the same verdict."""
        ...

    async def publish(self, release: Release, verdict: Verdict) -> None:
        """Tell it once, however often it is called, over restarts too; returns only when that is acknowledged.

        Raises when it is not: to be called again, with the same verdict.
        """
        ...


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A value as a store has it, and the number of the write that put it there (1 or more; later writes have larger ones)."""

    value: bytes
    revision: int


class Store(Protocol):
    """A durable map from a key (a release id) to bytes."""

    async def put(self, key: str, value: bytes, *, over: int | None = None) -> int:
        """Write; returns the value's revision when it is durable.

        With ``over`` only where that revision is the newest one, 0 where there is none; else raises ``Conflict``.
        """
        ...

    async def get(self, key: str) -> Kept | None:
        """Read; null when absent."""
        ...

    async def delete(self, key: str) -> None:
        """Remove; no error when absent."""
        ...

    async def items(self) -> list[tuple[str, Kept]]:
        """Everything, for recovery."""
        ...


class SessionStore(Store, Protocol):
    """A store that knows what should be in it."""

    async def lost(self) -> list[str]:
        """Keys that were written and not deleted, and are not there: somebody else has removed them."""
        ...


class ReleaseService(Protocol):
    """What the API may ask of the engine."""

    async def submit(self, release: Release, *, release_id: str) -> ReleaseView:
        """Begin watching; the same id twice is the same release. Raises ``InvalidInput``; ``Refused`` when full."""
        ...

    async def command(self, release_id: str, command: Command) -> ReleaseView:
        """Carry out a person's word. Raises ``NotFound``; ``Refused`` when the release has its verdict already."""
        ...

    def views(self) -> Sequence[ReleaseView]:
        """All running releases and the recently ended ones as of now, the newest first (by time and id).

        Each is made when it is asked for: there may be thousands, and whoever reads them gives the event loop turns in between.
        """
        ...

    async def view(self, release_id: str) -> ReleaseView:
        """One release, running or ended. Raises ``NotFound``."""
        ...


class ReleaseChange(msgspec.Struct, frozen=True, kw_only=True):
    """A release as it is now, for whoever follows.

    Attributes:
        number: of this change, among all changes of all releases since the daemon's start, in their order.
        release: its newest state; states that were replaced before they were read are not seen.
        missed: how many releases' changes were given up before this one, since the last one that was read, because too many
            waited: all views have to be read anew.
    """

    number: int
    release: ReleaseView
    missed: int = 0


class Feed(Protocol):
    """Changes of releases, as they happen."""

    def subscribe(self, *, limit: int) -> AbstractContextManager[AsyncIterator[ReleaseChange]]:
        """Follow all releases from now until the body ends; the iteration ends when the engine stops.

        At most ``limit`` releases (1 or more) wait to be read; whoever reads too slowly is told what was missed, and holds up
        nobody. Raises ``Refused`` where too many follow already.
        """
        ...


class Verdicts(Protocol):
    """What the API may ask about the ends of releases."""

    async def wait(self, release_id: str, *, seconds: float) -> Verdict | None:
        """The verdict, waiting for it at most so long; null when it has not come. Raises ``NotFound``."""
        ...

    async def record(self, release_id: str) -> Record | None:
        """The decision record; null while there is no verdict. Raises ``NotFound``."""
        ...


class Meter(Protocol):
    """Where the engine's measurements go."""

    def ticked(self, watch: Watch, reading: Reading, ruling: Ruling | None) -> None:
        """A release has been sampled and judged (ruling is null when there was nothing to judge yet)."""
        ...

    def ended(self, release: Release, verdict: Verdict, marks: Sequence[TimedStep]) -> None:
        """A release has its verdict, done and published; its series may go."""
        ...

    def round(self, telemetry: str, *, releases: int, sampling_seconds: float, judging_seconds: float) -> None:
        """A tick of all releases on one telemetry source has been done."""
        ...

    def telemetry_answered(self, telemetry: str) -> None:
        """A telemetry source has answered just now."""
        ...

    def failed(self, what: str, error: Exception) -> None:
        """Something failed and is being retried (what: store, publish, event, telemetry, route, ...)."""
        ...
