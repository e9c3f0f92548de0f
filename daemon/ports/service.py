"""What the engine shows of itself: it can be asked and told (``ReleaseService``, ``Verdicts``), followed (``Feed``), measured.

Nobody on this side is waited for. Who asks gets what is so now, who follows too slowly is told what was missed, and a
measurement is a call that returns at once.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from analyzers.ruling import Ruling
from daemon.interventions import Command, Freeze
from daemon.measurements import Cadence, Reading, Watch
from daemon.model import Outline, Record, Release, TimedStep, Verdict
from daemon.releaseview import ReleaseView


class ReleaseService(Protocol):
    """What the API may ask of the engine."""

    async def submit(
        self, release: Release | Outline, *, release_id: str, sender: str = "", announced_at: float | None = None
    ) -> ReleaseView:
        """Begin watching; the same id twice is the same release. Raises ``InvalidInput``; ``Refused`` when full.

        A canary that another ``sender`` has announced already has its release, which is given: its id is another one, and this id
        is known as that one's from then on, to every call here. ``announced_at``, in seconds since 1970, is now where it is not
        given. A release that was announced before another of its service that is in already is superseded by it at once, and gets
        that verdict.

        An outline is kept until its canary is seen and makes it a release, or it lapses.
        """
        ...

    async def attempt(self, release: Release, *, release_id: str, sender: str, silence_seconds: float) -> ReleaseView:
        """The attempt of its service that is under way, for who names none; ``release`` begins to be watched where there is none.

        One that has ended is still the one under way until nobody has asked for so long. Raises as ``submit``.
        """
        ...

    async def command(self, release_id: str, command: Command) -> ReleaseView:
        """Carry out a person's word. Raises ``NotFound``; ``Refused`` when the release has its verdict already."""
        ...

    def views(self) -> Sequence[ReleaseView]:
        """All running releases and the recently ended ones that this replica has, as of now, the newest first (by time and id).

        Each is made when it is asked for: there may be thousands, and whoever reads them gives the event loop turns in between.
        """
        ...

    async def all_views(self) -> Sequence[ReleaseView]:
        """The same, with those that are running at other replicas, as these have last kept them. Raises ``Unavailable``."""
        ...

    async def view(self, release_id: str) -> ReleaseView:
        """One release, running or ended. Raises ``NotFound``."""
        ...


class FreezeService(Protocol):
    """What the API may ask about freezes."""

    @property
    def freezes(self) -> Sequence[Freeze]:
        """Those that are in force."""
        ...

    async def freeze(self, freeze: Freeze) -> None:
        """Keep it; in force when this returns, in place of another one of the namespace. Raises ``Refused``, ``Unavailable``."""
        ...

    async def thaw(self, namespace: str | None, *, by: str, reason: str) -> Freeze:
        """End one, and give it. Raises ``NotFound``, ``Unavailable``."""
        ...


class Verdicts(Protocol):
    """What the API may ask about the ends of releases."""

    async def wait(self, release_id: str, *, seconds: float) -> Verdict | None:
        """The verdict, waiting for it at most so long; null when it has not come. Raises ``NotFound``."""
        ...

    async def record(self, release_id: str) -> Record | None:
        """The decision record; null while there is no verdict. Raises ``NotFound``."""
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

    def subscribe(
        self, *, limit: int, after: int | None = None, release_id: str | None = None
    ) -> AbstractContextManager[AsyncIterator[ReleaseChange]]:
        """Follow all releases from now until the body ends; the iteration ends when the engine stops.

        With ``after`` those in memory that have changed since that number come first, all of them with 0. With ``release_id`` this
        release alone is followed.

        At most ``limit`` releases (1 or more) wait to be read; whoever reads too slowly is told what was missed, and holds up
        nobody. Raises ``Refused`` where too many follow already.
        """
        ...


class Meter(Protocol):
    """Where the engine's measurements go."""

    def admitted(self, release_id: str, release: Release) -> None:
        """A release is watched from now on, or again after a restart."""
        ...

    def left(self, release_id: str) -> None:
        """A release is another daemon's, and not watched here any more."""
        ...

    def ticked(self, watch: Watch, reading: Reading, ruling: Ruling | None) -> None:
        """A release has been sampled and judged (ruling is null when there was nothing to judge yet)."""
        ...

    def ended(self, release: Release, verdict: Verdict, marks: Sequence[TimedStep]) -> None:
        """A release has its verdict, done and published."""
        ...

    def round(self, telemetry: str, *, releases: int, sampling_seconds: float, judging_seconds: float) -> None:
        """A tick of all releases on one telemetry source has been done."""
        ...

    def rests(self, telemetry: str) -> None:
        """No release is on that telemetry source: there is nothing to read."""
        ...

    def cadence(self, telemetry: str, cadence: Cadence) -> None:
        """How far apart and how late the samples of a telemetry source are: of the release whose are worst."""
        ...

    def telemetry_answered(self, telemetry: str) -> None:
        """A telemetry source has answered just now."""
        ...

    def undone(self, release: Release) -> None:
        """Somebody gave a canary traffic again that had been taken from it; it is taken back again."""
        ...

    def failed(self, what: str, error: Exception) -> None:
        """Something failed and is being retried (what: store, publish, event, telemetry, route, ...)."""
        ...
