"""What all gates do: an attempt to release something is asked about, and begins to be watched when it is asked about first.

An attempt is named by whoever asks. The same name for the same service is the same release for all time, at whichever gate and
however often it is asked, also at once and after a restart.
"""

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from daemon import names
from daemon.errors import CameToNothing, Elsewhere, NotFound, Refused, Unavailable
from daemon.events.announced import origin
from daemon.events.hearing import Hearing
from daemon.http.gates.pace import Pace
from daemon.http.hooks.understanding import said_of
from daemon.http.waiting import Waiting
from daemon.model import Outcome, Outline, Release, Verdict
from daemon.ports.service import ReleaseService, Verdicts
from daemon.releaseview import ReleaseView


class Word(StrEnum):
    """What whoever asks should do: as the verdict means it, or wait while there is none."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    HOLD = "hold"
    PENDING = "pending"


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an attempt stands.

    ``verdict`` is what to do, ``pending`` while nothing is decided, but ``promote`` of a return that nothing speaks against;
    ``outcome`` is what was found, which a policy may have another meaning for. ``reason`` is why, or what is waited for;
    ``waits_until``, where that is a person, or a canary to take traffic, until when. ``missing`` are the fields of the release that
    somebody must say before it can be watched. Times are in seconds since 1970.
    """

    verdict: Word
    release: str
    reason: str
    outcome: Outcome | None = None
    evidence: float
    boundary: float | None = None
    canary_requests: int
    baseline_requests: int
    submitted_at: float
    decided_at: float | None = None
    waits_until: float | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A release, what names the attempt among those of its service in its cluster, and the kind of gate that asks."""

    release: Release | Outline
    key: str
    gate: str


def attempt(gate: str, ours: object, *, hearing: Hearing, key: str, path: str, words: dict[str, object], fix: str) -> Attempt:
    """The attempt that a request is about. Where arms are found a service is enough.

    Args:
        gate: whose askers name attempts in one way.
        hearing: what the daemon knows beside it.
        ours: the fields of a release, as an object or as JSON in a string.
        key: names the attempt among those of its service in its cluster.
        path: where ``ours`` stands in what was sent.
        words: what else is said of the release; ``ours`` goes before it.
        fix: how whoever asks is made to say it.

    Raises:
        InvalidInput: with every fault, its path and how to mend it.
    """
    _, release = said_of(ours, hearing=hearing.of_questions(), path=path, words=words, fix=fix)
    return Attempt(release=release, key=key, gate=gate)


class Desk:
    """Where the gates ask, through the engine's ports.

    Daemons of several clusters may share a broker, and the same attempt may be made in each: ``cluster`` tells them apart.
    """

    def __init__(self, releases: ReleaseService, verdicts: Verdicts, waiting: Waiting, *, cluster: str) -> None:
        self._cluster = cluster
        self.releases = releases
        self._verdicts = verdicts
        self._waiting = waiting
        self._pace = Pace()

    async def ask(self, asked: Attempt, *, wait_seconds: float = 0.0) -> Told:
        """How an attempt stands, after its verdict has been waited for; its watch is begun where there is none.

        One whose arms nobody has said waits for its canary. Where that came to nothing, to name both arms begins it all the same.

        Raises:
            InvalidInput: it cannot be watched.
            Unavailable: the daemon is full, stopping, cannot keep the release now, or the release is another verdictd's; or too
                many attempts of its service have begun of late.
        """
        release = asked.release
        release_id = self._named(release.service, namespace=release.namespace, key=asked.key)
        try:
            return await self._known(release_id, wait_seconds=wait_seconds)
        except NotFound as error:
            if isinstance(error, CameToNothing) and isinstance(release, Outline):
                return nothing(release_id, error)
            meant = await self.begin(release, release_id=release_id, gate=asked.gate)
            return await self.known(meant, wait_seconds=wait_seconds)

    async def current(self, release: Release, *, gate: str, silence_seconds: float) -> Told:
        """How the attempt of its service stands that is under way, for who names none; watched where there is none.

        Raises as ``ask``.
        """
        release_id = names.new_release_id(release.service)
        try:
            meant = await self.releases.attempt(
                release, release_id=release_id, sender=f"gate {gate}", silence_seconds=silence_seconds
            )
        except (Refused, Elsewhere) as error:
            raise Unavailable(str(error)) from error
        return await self.known(meant.id)

    async def again(self, service: str, *, namespace: str, key: str) -> Told:
        """How an attempt stands that was asked about before. Raises ``NotFound`` where it is not known, and as ``ask``."""
        return await self.known(self._named(service, namespace=namespace, key=key))

    def _named(self, service: str, *, namespace: str, key: str) -> str:
        event_id = msgspec.json.encode((self._cluster, namespace, service, key)).decode()
        return names.new_release_id(service, origin=origin("/gates", event_id))

    async def begin(self, release: Release | Outline, *, release_id: str, gate: str) -> str:
        """Begin watching, or nothing where that canary is being watched; gives its release's id. Raises as ``ask``."""
        try:
            with self._pace.turn((release.namespace, release.service)):
                return (await self.releases.submit(release, release_id=release_id, sender=f"gate {gate}")).id
        except (Refused, Elsewhere) as error:  # full, or not ours: the same question may be answered later, or elsewhere
            raise Unavailable(str(error)) from error

    async def known(self, release_id: str, *, wait_seconds: float = 0.0) -> Told:
        """How a release stands. Raises ``NotFound``, and ``Unavailable`` as ``ask``."""
        try:
            return await self._known(release_id, wait_seconds=wait_seconds)
        except CameToNothing as error:
            return nothing(release_id, error)

    async def _known(self, release_id: str, *, wait_seconds: float) -> Told:
        """The same. Raises ``CameToNothing`` too."""
        verdict = None
        try:
            async with self._waiting.open():
                at_once = self._waiting.closing or (wait_seconds > 0.0 and goes_on(await self.releases.view(release_id)))
                verdict = await self._verdicts.wait(release_id, seconds=0.0 if at_once else wait_seconds)
            return told(await self.releases.view(release_id), verdict)
        except Elsewhere as error:
            raise Unavailable(str(error)) from error


def goes_on(view: ReleaseView) -> bool:
    """Whether nobody has to wait for the verdict: a version that was promoted before comes back, and nothing speaks against it.

    Where a promotion is a person's to give, that of a return is too.
    """
    return bool(view.returns) and view.on_promote == "promote" and not any(signal.effect != "says" for signal in view.signals)


def told(view: ReleaseView, verdict: Verdict | None) -> Told:
    """A release as a gate tells it. Without a verdict that is durable nothing is decided, whatever the view says."""
    waited_for = view.waiting_for or f"the release is {view.stage}"
    undecided = Word.PENDING
    if goes_on(view):
        undecided, waited_for = Word.PROMOTE, f"{view.returns}; it is watched all the same: {waited_for}"
    return Told(
        verdict=undecided if verdict is None else Word(verdict.meaning),
        release=view.id,
        reason=waited_for if verdict is None else verdict.reason,
        outcome=None if verdict is None else verdict.outcome,
        evidence=view.evidence,
        boundary=view.boundary,
        canary_requests=view.canary_requests,
        baseline_requests=view.baseline_requests,
        submitted_at=view.submitted_at,
        decided_at=None if verdict is None else verdict.decided_at,
        waits_until=(view.waits_until or view.lapses_at) if verdict is None else None,
        missing=view.missing,
    )


def nothing(release_id: str, error: CameToNothing) -> Told:
    """An attempt whose canary never came, as a gate tells it: somebody must look, and nobody has judged."""
    return Told(
        verdict=Word.HOLD,
        release=release_id,
        reason=error.why.removeprefix("$: "),
        evidence=1.0,
        canary_requests=0,
        baseline_requests=0,
        submitted_at=error.since,
        decided_at=error.at,
    )
