"""Verdicts to the sinks: each with its own attempts, its own acknowledgement and its own end of patience.

A sink is told when the decision is durable, beside the log of verdicts and beside the guard, and holds up neither, nor another
sink. Which sinks have the verdict stands in the session's steps, so that a restart tells only the others, and in the record. A
sink that fails for ever holds up the release's end for ``patience_seconds`` after the publication, and no longer.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

from daemon.aio.backoff import pauses
from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.engine import lifecycle
from daemon.engine.checkpoints import Checkpoints
from daemon.engine.dependencies import Sink
from daemon.engine.registry import Registry
from daemon.engine.sequels import sequels_of
from daemon.engine.session import ASKED, DELIVERED, FOUND_GOOD, SEQUEL_TOLD, Session
from daemon.errors import Defect, TimedOut, VerdictdError
from daemon.model import Verdict
from daemon.packages import defects_of
from daemon.ports.durable import AskingSink, FollowingSink, PlacedSink, VerdictSink
from daemon.ports.notices import PersonWanted, Sequel
from daemon.ports.service import Meter

log = logging.getLogger(__name__)


class Outbox:
    """Tells the sinks, by their names. ``tell`` is one release's task."""

    def __init__(
        self, sinks: Mapping[str, Sink], *, registry: Registry, checkpoints: Checkpoints, clock: Clock, meter: Meter
    ) -> None:
        self._sinks = sinks
        self._registry = registry
        self._checkpoints = checkpoints
        self._clock = clock
        self._meter = meter

    def outstanding(self, session: Session) -> list[str]:
        """The sinks that this session's verdict is for and that have not heard of it yet."""
        assert session.verdict is not None  # nobody is told before there is one
        return [name for name in self._sinks if name not in session.done_with and self._is_wanted(name, session, session.verdict)]

    def _is_wanted(self, name: str, session: Session, verdict: Verdict) -> bool:
        try:
            with defects_of(f"sink {name}"):
                return self._sinks[name].to.wants(session.release, verdict)
        except VerdictdError as error:
            log.exception("a sink failed by a defect", extra={"sink": name, "hint": "it is told, to be on the safe side"})
            self._meter.failed("sink", error)
            return True

    async def tell(self, session: Session) -> None:
        """Tell all that have not heard of it, side by side; returns when each of them has, or was given up."""
        async with TaskGroup() as group:
            for name in self.outstanding(session):
                group.create_task(self._deliver(name, session), name=f"verdict of {session.release_id} to {name}")

    async def ask(self, session: Session) -> None:
        """Tell those that can that a person is waited for, once, as long as it is so: whoever decides the release cancels this."""
        asked = {mark.detail for mark in session.marks if mark.step == ASKED}
        async with TaskGroup() as group:
            for name in (one for one in self._sinks if one not in asked):
                group.create_task(self._ask(name, session), name=f"{session.release_id} waits for a person, to {name}")

    async def _ask(self, name: str, session: Session) -> None:
        sink, until = self._sinks[name], session.waits_until
        if until is None or not isinstance(to := sink.to, AskingSink):
            return
        wanted = PersonWanted(
            release=session.release,
            release_id=session.release_id,
            cluster=session.cluster,
            until=until,
            reason=next((mark.detail for mark in session.marks if mark.step == FOUND_GOOD), ""),
        )
        for pause in pauses(sink.pauses_seconds):
            try:
                async with asyncio.timeout(sink.attempt_seconds):
                    with defects_of(f"sink {name}"):
                        if not to.asks(session.release):
                            return
                        await to.ask(wanted)
            except (TimeoutError, VerdictdError) as error:
                self._meter.failed("sink", error)
            else:
                current = self._registry.get(session.release_id)
                self._note(current.marked(ASKED, at=self._clock.now(), detail=name))
                return
            await self._clock.sleep(pause)

    async def follow(
        self, release_id: str, *, kept: Callable[[Session], Awaitable[None]], until: Sequence[asyncio.Future[Any]]
    ) -> None:
        """Tell what comes after the verdict as it comes, to each sink that has the verdict; returns when these have ended, and all
        was told or given up that had come by then.

        Args:
            release_id: of which release.
            kept: returns when this state of it is durable: nothing is told before.
            until: what may still bring something to tell.
        """
        seen: set[tuple[str, str]] = set()
        with self._registry.followed(release_id) as changed:
            for future in until:
                future.add_done_callback(lambda _: changed.set())
            async with TaskGroup() as group:
                while True:
                    changed.clear()
                    session = self._registry.get(release_id)
                    last = all(future.done() for future in until)
                    found = [(name, one) for name, one in self._untold(session) if (name, one.id) not in seen]
                    seen |= {(name, one.id) for name, one in found}
                    if new := [(name, one) for name, one in found if self._follows(name, one)]:
                        await kept(session)
                    for name, sequel in new:
                        group.create_task(self._tell_sequel(name, sequel), name=f"{sequel.id} to {name}")
                    if last:
                        return
                    await changed.wait()

    def _untold(self, session: Session) -> Iterator[tuple[str, Sequel]]:
        """What each sink is still to be told of what came after: only what has been told the verdict, which comes first."""
        has_verdict = {mark.detail for mark in session.marks if mark.step == DELIVERED}
        told = {mark.detail for mark in session.marks if mark.step == SEQUEL_TOLD}
        for sequel in sequels_of(session):
            for name in has_verdict & self._sinks.keys():
                if f"{name}: {sequel.name}" not in told:
                    yield name, sequel

    def _follows(self, name: str, sequel: Sequel) -> bool:
        to = self._sinks[name].to
        try:
            with defects_of(f"sink {name}"):
                return isinstance(to, FollowingSink) and to.follows(sequel)
        except VerdictdError as error:
            log.exception("a sink failed by a defect", extra={"sink": name, "hint": "it is not told what came after the verdict"})
            self._meter.failed("sink", error)
            return False

    async def _tell_sequel(self, name: str, sequel: Sequel) -> None:
        sink, to = self._sinks[name], self._sinks[name].to
        assert isinstance(to, FollowingSink)  # whoever asks has looked
        for pause in pauses(sink.pauses_seconds):
            error: VerdictdError
            try:
                async with asyncio.timeout(sink.attempt_seconds):
                    with defects_of(f"sink {name}"):
                        await to.follow(sequel)
            except TimeoutError:
                error = _NotAcknowledged(f"no acknowledgement within {sink.attempt_seconds:g} s")
            except VerdictdError as raised:
                error = raised
            else:
                current = self._registry.get(sequel.release_id)
                self._note(current.marked(SEQUEL_TOLD, at=self._clock.now(), detail=f"{name}: {sequel.name}"))
                return
            self._meter.failed("sink", error)
            if self._clock.now() - sequel.at >= sink.patience_seconds:
                about = {"sink": name, "what": sequel.kind, "error": str(error)}
                log.error("a sink does not get what came after the verdict", extra=about)
                return
            await self._clock.sleep(pause)

    async def _deliver(self, name: str, session: Session) -> None:
        sink, said = self._sinks[name], ""
        for pause in pauses(sink.pauses_seconds):
            error = await self._attempt(name, sink, session)
            current, now = self._registry.get(session.release_id), self._clock.now()
            if error is None:
                self._note(lifecycle.delivered(current, name, now=now))
                return
            self._meter.failed("sink", error)
            about = {"sink": name, "error": str(error)}
            quiet = sink.says_itself and not isinstance(error, Defect | _NotAcknowledged)
            if current.published_at is not None and now - current.published_at >= sink.patience_seconds:
                if not quiet:
                    log.error("a sink does not get the verdict", extra=about)
                self._note(lifecycle.not_delivered(current, name, str(error), now=now))
                return
            if str(error) != said and not quiet:
                said = str(error)
                defect = error.__cause__ if isinstance(error, Defect) else None
                log.warning("a sink has not taken the verdict yet", extra=about, exc_info=defect)
            await self._clock.sleep(pause)

    async def _attempt(self, name: str, sink: Sink, session: Session) -> VerdictdError | None:
        """Why it has not taken the verdict; null when it has."""
        assert session.verdict is not None  # as above
        try:
            async with asyncio.timeout(sink.attempt_seconds):
                with defects_of(f"sink {name}"):
                    await _publish(sink.to, session)
        except TimeoutError:
            return _NotAcknowledged(f"no acknowledgement within {sink.attempt_seconds:g} s")
        except VerdictdError as error:
            return error
        return None

    def _note(self, session: Session) -> None:
        self._registry.put(session)
        self._checkpoints.save(session)


class _NotAcknowledged(TimedOut):
    """It was not waited for any longer: whoever was to take the verdict does not know of that, and cannot say it."""


async def _publish(to: VerdictSink, session: Session) -> None:
    assert session.verdict is not None  # as above
    if isinstance(to, PlacedSink):
        await to.publish_at(session.release, session.verdict, routes=session.routes, workload=session.workload)
    else:
        await to.publish(session.release, session.verdict)
