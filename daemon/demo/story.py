"""The three acts, played one after the other in one setting, with a live account of who does what.

The setting is everything the acts are played in (the versions, the mesh, the users, verdictd and the pipeline), ended in reverse
order.
"""

import asyncio
import textwrap
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from daemon.aio.tasks import background
from daemon.demo.acts import ACTS, CANARY_PERCENT, HEALTHY, HOLD_SECONDS, Act, Played
from daemon.demo.backends import Backend, backends
from daemon.demo.children import DemoError
from daemon.demo.demomesh import DemoMesh
from daemon.demo.meshsorts import MeshSort
from daemon.demo.pipeline import Pipeline, pipeline
from daemon.demo.timeline import lines, timeline
from daemon.demo.traffic import Answer, Users, users
from daemon.demo.watchdog import Watchdog, policy, watchdog
from daemon.model import Outcome, Record, Stage, Verdict
from daemon.offline.explain.amounts import amount

_COLUMNS = 80
_WIDTH = 9
_INDENT = 20

_PRELUDE_SECONDS = 2.0
_REPORT_SECONDS = 2.0
_RECORD_SECONDS = 20.0
_PAUSE_SECONDS = 1.0
# The log of the traffic is written some 50 ms behind, and slow answers come late.
_STRAGGLERS_SECONDS = 0.5


class LiveAccount:
    """Writes to standard output; times are seconds since the demo began."""

    def __init__(self, *, colours: bool) -> None:
        self._began = time.monotonic()
        self._colours = colours

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._began

    def heading(self, text: str) -> None:
        """A new part."""
        print(f"\n{self._bold(text)}", flush=True)

    def says(self, who: str, what: str) -> None:
        """Somebody does something."""
        # A number and its unit stay together.
        wrapped = textwrap.wrap(what.replace(" %", "\u00a0%"), _COLUMNS - _INDENT, break_on_hyphens=False)
        first, *rest = (line.replace("\u00a0", " ") for line in wrapped)
        print(f"{self.seconds:6.1f} s  {self._bold(f'{who:<{_WIDTH}}')} {first}", flush=True)
        for line in rest:
            print(" " * _INDENT + line, flush=True)

    def lines(self, text: Iterable[str]) -> None:
        """Text as it is, indented."""
        for line in text:
            print(f"  {line}" if line else "", flush=True)

    def traffic(self, answers: list[Answer], *, seconds: float) -> None:
        """What the users got in the last seconds."""
        versions = sorted({answer.version for answer in answers})
        self.says("users", " | ".join(_of_version(version, answers, seconds=seconds) for version in versions) or "get no answer")

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._colours else text


def _of_version(version: str, answers: list[Answer], *, seconds: float) -> str:
    own = [answer for answer in answers if answer.version == version]
    failed = 100.0 * sum(answer.failed for answer in own) / len(own)
    milliseconds = 1000.0 * median(answer.seconds for answer in own)
    return f"{version or 'edge'} {len(own) / seconds:.0f}/s, {failed:.1f} % bad, {milliseconds:.0f} ms"


@dataclass(frozen=True, slots=True)
class Setting:
    """All parts, running."""

    backends: dict[str, Backend]
    mesh: DemoMesh
    watchdog: Watchdog
    pipeline: Pipeline
    users: Users


@asynccontextmanager
async def setting(*, sort: MeshSort, folder: Path, rate: float, seed: int, run: str) -> AsyncIterator[Setting]:
    """Run everything for the length of a ``with`` block; a child that dies meanwhile ends the block with ``DemoError``.

    Args:
        sort: the mesh that is run.
        folder: takes settings, logs and state.
        rate: requests a second.
        seed: of behaviour and traffic.
        run: see ``deployment_event``.
    """
    versions = {ACTS[0].baseline: HEALTHY} | {act.canary: act.behaviour for act in ACTS}
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(backends(versions, folder=folder, seed=seed))
        mesh = await stack.enter_async_context(sort.run(folder=folder, backends=running, first=ACTS[0].baseline))
        judge = await stack.enter_async_context(watchdog(mesh=mesh, folder=folder))
        delivery = await stack.enter_async_context(pipeline(judge.nats_url, mesh=mesh, run=run))
        people = await stack.enter_async_context(users(url=mesh.url, host=mesh.host, rate=rate, seed=seed, folder=folder))
        children = [*mesh.children, judge.process, people.process, *(backend.process for backend in running.values())]
        await stack.enter_async_context(background(*(process.ended() for process in children)))
        yield Setting(backends=running, mesh=mesh, watchdog=judge, pipeline=delivery, users=people)


async def play(setting: Setting, account: LiveAccount) -> list[Played]:
    """Play all acts; prints the account of each and its timeline."""
    account.heading("Before: everybody gets v1")
    account.says("users", f"send their requests to the {setting.mesh.introduced[-1][0]}")
    async with background(_report(setting, account, {})):
        await asyncio.sleep(_PRELUDE_SECONDS + 0.1)
    played = []
    for act in ACTS:
        played.append(await _play(act, setting, account))
        await asyncio.sleep(_PAUSE_SECONDS)
    return played


async def _play(act: Act, setting: Setting, account: LiveAccount) -> Played:
    account.heading(f"Act {act.number}: {act.title}")
    current: dict[str, str] = {}
    async with background(_report(setting, account, current)):
        began = time.time()
        await setting.mesh.share({act.baseline: 100 - CANARY_PERCENT, act.canary: CANARY_PERCENT})
        release_id = current["release"] = await setting.pipeline.announce(act)
        account.says("pipeline", f"gives {act.canary} {CANARY_PERCENT} % of the traffic and announces it on NATS")
        verdict = await setting.pipeline.verdict(release_id, seconds=policy()["window_seconds"] + 15.0)
        current.clear()
        shifted_at = await _act_on(verdict, act, setting, account)
        await asyncio.sleep(setting.mesh.settle_seconds + HOLD_SECONDS)
        ended = time.time()
        record = await _record(setting, release_id)
        await asyncio.sleep(_STRAGGLERS_SECONDS)
    samples = await asyncio.to_thread(setting.watchdog.samples, record)
    played = Played(
        act=act,
        release_id=release_id,
        began=began,
        ended=ended,
        record=record,
        settle_seconds=setting.mesh.settle_seconds,
        shifted_at=shifted_at,
        samples=samples,
    )
    account.lines(["", *lines(timeline(played, setting.users.traffic))])
    return played


async def _act_on(verdict: Verdict, act: Act, setting: Setting, account: LiveAccount) -> float | None:
    """What a pipeline does with a verdict; gives the time at which a promoted canary got everything."""
    done = f" (done: {verdict.action})" if verdict.outcome is Outcome.ROLLBACK else ""
    account.says("verdictd", f"{verdict.outcome}{done}: {verdict.reason}")
    if verdict.outcome is Outcome.PROMOTE:
        await setting.mesh.share({act.canary: 100})
        shifted_at = time.time()
        account.says("pipeline", f"gives {act.canary} 100 %")
        return shifted_at
    return None


async def _record(setting: Setting, release_id: str) -> Record:
    """The decision record, which is kept right after the verdict is published."""
    deadline = time.monotonic() + _RECORD_SECONDS
    while (record := await setting.watchdog.record(release_id)) is None:
        if time.monotonic() > deadline:
            raise DemoError(f"there is no decision record of {release_id}", fix="look into logs/verdictd.log in the output folder")
        await asyncio.sleep(0.1)
    return record


async def _report(setting: Setting, account: LiveAccount, current: dict[str, str]) -> None:
    """Tell every few seconds what the users get. ``current`` holds the release that is being watched, if any."""
    while True:
        await asyncio.sleep(_REPORT_SECONDS)
        now = time.time() - 0.1
        account.traffic(setting.users.traffic.between(now - _REPORT_SECONDS, now), seconds=_REPORT_SECONDS)
        if "release" in current:
            view = await setting.watchdog.view(current["release"])
            if view is not None and view.stage is Stage.WATCHING and view.boundary is not None:
                evidence, needed = amount(view.evidence), amount(view.boundary)
                account.says("verdictd", f"evidence that it is worse at all: {evidence}, {needed} needed")
