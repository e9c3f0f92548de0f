"""Jobs that ask for a verdict which is there, or that another waits for too: each is answered once, from that verdict alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from daemon import names
from daemon.engine.dependencies import Sink
from daemon.engine.engine import Engine
from daemon.errors import InvalidInput, Unavailable
from daemon.interventions import Command
from daemon.model import ArmSpec, GitHubRule, Outline, Release, Stage, Verdict
from daemon.ports.notices import Notice
from daemon.sinks.githubrule import PROTECTION_RULE, ProtectionRuleSettings
from tests.engine.test_joined import StandingClock
from tests.engine.test_outbox import HandSink
from tests.hand.clock import HandClock
from tests.hand.ports import HandAnnouncement, HandTelemetry, Scene, running, until, verdict_of
from tests.hand.samples import ID, POLICY, RELEASE, gap, healthy

COMMIT = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e"
BUILT = msgspec.structs.replace(RELEASE, artifact=f"registry.example/web:{COMMIT[:12]}")
RULE = GitHubRule(repository="octo/web", run=77, environment="production")
AGAIN = GitHubRule(repository="octo/web", run=78, environment="production")
JOB = Outline(service="web", namespace="shop", revision=COMMIT, github_rule=RULE)


class Gate(HandSink):
    """A sink that answers jobs, as that of a protection rule does."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: list[tuple[int, str, str]] = []

    def wants(self, release: Release, _verdict: Verdict) -> bool:
        return release.github_rule is not None and self.wanted

    def answers(self, said: Release | Outline) -> bool:
        return said.github_rule is not None

    async def answer(self, release: Release, verdict: Verdict, *, asked_as: str) -> None:
        if self.failing is not None:
            raise self.failing
        assert release.github_rule is not None
        self.answered.append((release.github_rule.run, verdict.meaning, asked_as))


class Asked(Scene):
    """One with such a gate, and with a sink that answers nobody."""

    @property
    def gate(self) -> Gate:
        found = self.sinks["gate"].to
        assert isinstance(found, Gate)
        return found

    @property
    def other(self) -> HandSink:
        found = self.sinks["hook"].to
        assert isinstance(found, HandSink)
        return found


def scene() -> Asked:
    """In which nothing is decided until somebody does."""
    made = Asked(telemetry=HandTelemetry([gap()]), sinks={"gate": Sink(to=Gate()), "hook": Sink(to=HandSink())})
    made.clock = StandingClock()  # type: ignore[assignment]  # a clock too
    return made


@pytest.mark.parametrize(("word", "meaning"), [("promote", "promote"), ("rollback", "rollback"), ("cancel", "hold")])
async def test_a_job_that_asks_after_the_verdict_is_answered_from_it_at_once_and_once(word: Any, meaning: str) -> None:
    there = scene()
    async with running(there) as engine:
        await engine.submit(BUILT, release_id=ID, sender="watch")
        await engine.command(ID, Command(command=word, by="anna"))
        await verdict_of(engine)
        told = len(there.other.told)
        for _ in range(2):
            event = HandAnnouncement("web-job-1", JOB)
            there.events.queue.put_nowait(event)
            await until(lambda one=event: one.answer)  # type: ignore[misc]
            assert event.answer == "accepted"
        assert there.gate.answered == [(77, meaning, "web-job-1")]
        assert (await engine.view("web-job-1")).id == ID
        assert [one.id for one in engine.views()] == [ID], "no watch is begun for it"
        assert len(there.other.told) == told == 1


async def test_a_job_of_the_commit_that_the_release_is_known_to_be_of_is_answered_whatever_its_image_is_called() -> None:
    there = scene()
    built = msgspec.structs.replace(RELEASE, artifact="registry.example/web:1.5.0", revision=COMMIT)
    async with running(there) as engine:
        await engine.submit(built, release_id=ID, sender="event canary")
        await engine.command(ID, Command(command="promote", by="anna"))
        await verdict_of(engine)
        assert (await engine.submit(JOB, release_id="web-job-1", sender="event job")).id == ID
    assert there.gate.answered == [(77, "promote", "web-job-1")]


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_run_that_is_done_again_is_answered_again_also_after_a_restart(is_restarted: bool) -> None:
    there = scene()
    built = msgspec.structs.replace(RELEASE, artifact="registry.example/web:1.5.0", github_rule=RULE)
    async with running(there) as engine:
        await engine.submit(built, release_id=ID, sender="event job")
        await engine.command(ID, Command(command="promote", by="anna"))
        await verdict_of(engine)
        if not is_restarted:
            await engine.submit(JOB, release_id="web-job-2", sender="event job")
    if is_restarted:
        async with running(there) as engine:
            await engine.submit(JOB, release_id="web-job-2", sender="event job")
            assert (await engine.view("web-job-2")).stage is Stage.ENDED
    assert there.gate.answered == [(77, "promote", "web-job-2")]


async def test_two_jobs_of_one_canary_that_is_watched_are_both_answered_each_once() -> None:
    there = scene()
    first, second = (msgspec.structs.replace(BUILT, github_rule=one) for one in (RULE, AGAIN))
    async with running(there) as engine:
        await engine.submit(first, release_id=ID, sender="event job")
        with pytest.raises(Unavailable, match="answers another job"):
            await engine.submit(second, release_id="web-job-2", sender="event another job")
        assert (await engine.submit(first, release_id=ID, sender="event job")).id == ID
        await engine.command(ID, Command(command="promote", by="anna"))
        await verdict_of(engine)
        for _ in range(2):
            assert (await engine.submit(second, release_id="web-job-2", sender="event another job")).id == ID
    assert there.gate.answered == [(78, "promote", "web-job-2")]
    assert [release.github_rule for release, _ in there.gate.told] == [RULE]


async def test_who_names_the_arms_of_what_was_decided_is_answered_without_a_word_for_what_is_new() -> None:
    there = scene()
    async with running(there) as engine:
        await engine.submit(RELEASE, release_id=ID, sender="watch")
        await engine.command(ID, Command(command="rollback", by="anna"))
        await verdict_of(engine)
        job = msgspec.structs.replace(RELEASE, github_rule=RULE)
        assert (await engine.submit(job, release_id="web-job-1", sender="event job")).id == ID
    assert there.gate.answered == [(77, "rollback", "web-job-1")]


@pytest.mark.parametrize(
    "said", [{"revision": "0" * 40}, {"service": "till"}, {"artifact": "registry.example/web:2.0.0"}, {"github_rule": None}]
)
async def test_what_is_not_surely_about_that_canary_is_answered_by_no_verdict_of_it(said: dict[str, Any]) -> None:
    there = scene()
    async with running(there) as engine:
        await engine.submit(BUILT, release_id=ID, sender="watch")
        await engine.command(ID, Command(command="promote", by="anna"))
        await verdict_of(engine)
        with pytest.raises(InvalidInput, match="nothing here says which versions to compare"):
            await engine.submit(msgspec.structs.replace(JOB, **said), release_id="web-job-1")
    assert there.gate.answered == []


@pytest.mark.parametrize("why", ["a newer one is open", "it was too long ago", "nobody answers jobs"])
async def test_an_old_verdict_answers_nobody(why: str) -> None:
    there = scene()
    gate = there.gate
    async with running(there) as engine:
        await engine.submit(BUILT, release_id=ID, sender="watch")
        await engine.command(ID, Command(command="promote", by="anna"))
        await verdict_of(engine)
        match why:
            case "a newer one is open":
                newer = msgspec.structs.replace(RELEASE, artifact="registry.example/web:next-1")
                await engine.submit(newer, release_id="web-2", sender="watch")
            case "it was too long ago":
                there.clock.time += 90_000.0
            case _:
                there.sinks["gate"] = Sink(to=HandSink())
        with pytest.raises(InvalidInput):
            await engine.submit(JOB, release_id="web-job-1")
    assert gate.answered == []


async def test_a_verdict_that_such_a_sink_does_not_tell_answers_nobody_and_its_release_is_known_all_the_same() -> None:
    there = scene()
    async with running(there) as engine:
        await engine.submit(BUILT, release_id=ID, sender="watch")
        await engine.command(ID, Command(command="cancel", by="anna"))
        await verdict_of(engine)
        there.gate.wanted = False
        assert (await engine.submit(JOB, release_id="web-job-1")).id == ID
    assert there.gate.answered == []


async def test_what_cannot_be_answered_now_is_not_taken_until_it_can() -> None:
    there = scene()
    async with running(there) as engine:
        await engine.submit(BUILT, release_id=ID, sender="watch")
        await engine.command(ID, Command(command="promote", by="anna"))
        await verdict_of(engine)
        there.gate.failing = Unavailable("no broker")
        with pytest.raises(Unavailable):
            await engine.submit(JOB, release_id="web-job-1")
        there.gate.failing = None
        await engine.submit(JOB, release_id="web-job-1")
    assert there.gate.answered == [(77, "promote", "web-job-1")]


async def test_while_the_verdict_is_being_told_a_job_is_not_taken_and_is_answered_when_it_is() -> None:
    there = scene()
    there.sink.answers = [Unavailable("no broker")] * 100_000
    async with running(there) as engine:
        await engine.submit(BUILT, release_id=ID, sender="watch")
        await engine.command(ID, Command(command="promote", by="anna"))
        await until(lambda: [one.stage for one in engine.views()] == [Stage.PUBLISHING])
        with pytest.raises(Unavailable, match="is being told; try again"):
            await engine.submit(JOB, release_id="web-job-1")
        there.sink.answers.clear()
        await verdict_of(engine)
        await engine.submit(JOB, release_id="web-job-1")
    assert there.gate.answered == [(77, "promote", "web-job-1")]


VERSIONS = msgspec.structs.replace(RELEASE, baseline=ArmSpec(version="1"), canary=ArmSpec(version="2"))
IMAGE = msgspec.structs.replace(VERSIONS, artifact=f"registry.example/web@sha256:{'a' * 64}")
AFTER_ID = names.new_release_id(IMAGE.service, origin=f"after {ID}")
BY_IMAGE = msgspec.structs.replace(JOB, revision=None, artifact=IMAGE.artifact)
BY_ARMS = msgspec.structs.replace(VERSIONS, github_rule=RULE)
ASKED = pytest.mark.parametrize("job", [BY_IMAGE, BY_ARMS], ids=["by what is new", "by its arms"])


class Rule(Gate):
    """One that is told what a protection rule is, of which a watch after a promotion is no part."""

    def wants(self, release: Release, verdict: Verdict) -> bool:
        return PROTECTION_RULE.concerns(ProtectionRuleSettings(repositories=["octo/*"]), Notice(release=release, verdict=verdict))


def watched_on(*, after: str | None = "1h") -> Asked:
    """One whose policy watches on after a promotion."""
    made = scene()
    made.telemetry = HandTelemetry([healthy()])
    made.policies = {"default": msgspec.structs.replace(POLICY, after=after)}
    made.clock = HandClock()
    made.sinks["gate"] = Sink(to=Rule())
    return made


async def promoted(engine: Engine, there: Asked) -> None:
    """The canary is promoted, and watched on."""
    await engine.submit(IMAGE, release_id=ID, sender="watch")
    assert (await verdict_of(engine)).meaning == "promote"
    there.telemetry.readings = [gap()]
    await until(lambda: AFTER_ID in {one.id for one in engine.views()})


async def decided(engine: Engine, word: Any) -> None:
    await engine.command(AFTER_ID, Command(command=word, by="anna"))
    await verdict_of(engine, AFTER_ID)
    await until(lambda: {one.id: one.stage for one in engine.views()}[AFTER_ID] is Stage.ENDED)


@ASKED
async def test_what_was_taken_back_after_its_promotion_is_no_promotion_to_a_job_that_asks_then(job: Any) -> None:
    there = watched_on()
    async with running(there) as engine:
        await promoted(engine, there)
        await decided(engine, "rollback")
        await engine.submit(job, release_id="web-job-1", sender="event job")
    assert there.gate.answered == [(77, "rollback", "web-job-1")]


async def test_and_the_same_is_said_after_a_restart() -> None:
    there = watched_on()
    async with running(there) as engine:
        await promoted(engine, there)
        await decided(engine, "rollback")
    async with running(there) as engine:
        await engine.submit(BY_IMAGE, release_id="web-job-1", sender="event job")
    assert there.gate.answered == [(77, "rollback", "web-job-1")]


@ASKED
async def test_while_it_is_watched_on_a_job_is_let_go_as_one_that_asked_before(job: Any) -> None:
    there = watched_on()
    async with running(there) as engine:
        await promoted(engine, there)
        await engine.submit(job, release_id="web-job-1", sender="event job")
    assert there.gate.answered == [(77, "promote", "web-job-1")]


async def test_and_so_it_is_after_a_restart() -> None:
    there = watched_on()
    async with running(there) as engine:
        await promoted(engine, there)
    async with running(there) as engine:
        await engine.submit(BY_IMAGE, release_id="web-job-1", sender="event job")
    assert there.gate.answered == [(77, "promote", "web-job-1")]


@ASKED
async def test_while_it_is_being_taken_back_a_job_waits(job: Any) -> None:
    there = watched_on()
    async with running(there) as engine:
        await promoted(engine, there)
        there.sink.answers = [Unavailable("no broker")] * 100_000
        await engine.command(AFTER_ID, Command(command="rollback", by="anna"))
        with pytest.raises(Unavailable, match=f"{AFTER_ID} is being told; try again"):
            await engine.submit(job, release_id="web-job-1", sender="event job")
        there.sink.answers.clear()
        await verdict_of(engine, AFTER_ID)
    assert there.gate.answered == []


@ASKED
async def test_a_watch_after_the_promotion_that_finds_nothing_leaves_it_at_that(job: Any) -> None:
    there = watched_on()
    async with running(there) as engine:
        await promoted(engine, there)
        await decided(engine, "cancel")
        await engine.submit(job, release_id="web-job-1", sender="event job")
    assert there.gate.answered == [(77, "promote", "web-job-1")]


NEWER = b'{"form": 99, "verdict": {"outcome": "maybe"}}'


@pytest.mark.parametrize("record", [NEWER, b"{"], ids=["a newer version's", "damaged"])
@pytest.mark.parametrize("word", ["promote", "rollback"])
async def test_a_record_that_cannot_be_read_answers_no_job_and_is_told_of_once(
    word: Any, record: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    there = watched_on(after=None)
    there.telemetry.readings = [gap()]
    first = msgspec.structs.replace(IMAGE, revision=COMMIT)
    async with running(there) as engine:
        await engine.submit(first, release_id=ID, sender="watch")
        await engine.command(ID, Command(command="promote", by="anna"))
        await verdict_of(engine)
        await engine.submit(msgspec.structs.replace(first, weight=7.0), release_id="web-2", sender="watch")
        await engine.command("web-2", Command(command=word, by="anna"))
        await verdict_of(engine, "web-2")
    await there.records.put("web-2", record, over=(await there.records.get("web-2")).revision)  # type: ignore[union-attr]
    async with running(there) as engine:
        if word == "promote":
            await engine.submit(JOB, release_id="web-job-1", sender="event job")
            assert there.gate.answered == [(77, "promote", "web-job-1")]
        for number in (2, 3) if word == "rollback" else ():
            with pytest.raises(InvalidInput, match="nothing here says which versions to compare"):
                await engine.submit(JOB, release_id=f"web-job-{number}", sender="event job")
            assert there.gate.answered == [], "it may be what took the canary back"
    assert sum("a record cannot be read" in one.message for one in caplog.records) == 1


async def test_what_another_replica_has_taken_back_meanwhile_is_no_promotion_here_either() -> None:
    there, here = watched_on(), watched_on(after=None)
    async with running(there) as engine:
        await promoted(engine, there)
        await decided(engine, "rollback")
    async with running(here) as engine:
        await engine.submit(IMAGE, release_id=ID, sender="watch")
        await verdict_of(engine)
        for mine, theirs in ((here.records, there.records), (here.promotions, there.promotions)):
            mine.data.update(theirs.data)
        await engine.submit(BY_IMAGE, release_id="web-job-1", sender="event job")
    assert here.gate.answered == [(77, "rollback", "web-job-1")]
