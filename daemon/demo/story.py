"""The three acts, played one after the other in one world."""

import asyncio
import time

from daemon.aio.tasks import background
from daemon.demo.account import Account
from daemon.demo.acts import ACTS, CANARY_PERCENT, Act, Played
from daemon.demo.errors import DemoError
from daemon.demo.proof import HOLD_SECONDS, SETTLE_SECONDS
from daemon.demo.timeline import lines, timeline
from daemon.demo.watchdog import policy
from daemon.demo.world import World
from daemon.model import Outcome, Record, Stage, Verdict
from daemon.offline.explain.amounts import amount

_PRELUDE_SECONDS = 2.0
_REPORT_SECONDS = 2.0
_RECORD_SECONDS = 5.0
_PAUSE_SECONDS = 1.0
# The log of the traffic is written some 50 ms behind, and slow answers come late.
_STRAGGLERS_SECONDS = 0.5


async def play(world: World, account: Account) -> list[Played]:
    """Play all acts; prints the account of each and its timeline."""
    account.heading("Before: everybody gets v1")
    account.says("users", "send their requests to the edge")
    async with background(_report(world, account, {})):
        await asyncio.sleep(_PRELUDE_SECONDS + 0.1)
    played = []
    for act in ACTS:
        played.append(await _play(act, world, account))
        await asyncio.sleep(_PAUSE_SECONDS)
    return played


async def _play(act: Act, world: World, account: Account) -> Played:
    account.heading(f"Act {act.number}: {act.title}")
    current: dict[str, str] = {}
    async with background(_report(world, account, current)):
        began = time.time()
        world.edge.route({act.baseline: 100 - CANARY_PERCENT, act.canary: CANARY_PERCENT}, version_info=f"canary {act.canary}")
        release_id = current["release"] = await world.pipeline.announce(act)
        account.says("pipeline", f"gives {act.canary} {CANARY_PERCENT} % of the traffic and announces it on NATS")
        verdict = await world.pipeline.verdict(release_id, seconds=policy()["window_seconds"] + 15.0)
        current.clear()
        shifted_at = _act_on(verdict, act, world, account)
        await asyncio.sleep(SETTLE_SECONDS + HOLD_SECONDS)
        ended = time.time()
        record = await _record(world, release_id)
        await asyncio.sleep(_STRAGGLERS_SECONDS)
    samples = await asyncio.to_thread(world.watchdog.samples, record)
    played = Played(act=act, release_id=release_id, began=began, ended=ended, record=record, shifted_at=shifted_at, samples=samples)
    account.lines(["", *lines(timeline(played, world.users.traffic))])
    return played


def _act_on(verdict: Verdict, act: Act, world: World, account: Account) -> float | None:
    """What a pipeline does with a verdict; gives the time at which a promoted canary got everything."""
    done = f" (done: {verdict.action})" if verdict.outcome is Outcome.ROLLBACK else ""
    account.says("verdictd", f"{verdict.outcome}{done}: {verdict.reason}")
    if verdict.outcome is Outcome.PROMOTE:
        shifted_at = time.time()
        world.edge.route({act.canary: 100}, version_info=f"{act.canary} for all")
        account.says("pipeline", f"gives {act.canary} 100 %")
        return shifted_at
    return None


async def _record(world: World, release_id: str) -> Record:
    """The decision record, which is kept right after the verdict is published."""
    deadline = time.monotonic() + _RECORD_SECONDS
    while (record := await world.watchdog.record(release_id)) is None:
        if time.monotonic() > deadline:
            raise DemoError(f"there is no decision record of {release_id}", fix="look into logs/verdictd.log in the output folder")
        await asyncio.sleep(0.1)
    return record


async def _report(world: World, account: Account, current: dict[str, str]) -> None:
    """Tell every few seconds what the users get. ``current`` holds the release that is being watched, if any."""
    while True:
        await asyncio.sleep(_REPORT_SECONDS)
        now = time.time() - 0.1
        account.traffic(world.users.traffic.between(now - _REPORT_SECONDS, now), seconds=_REPORT_SECONDS)
        if "release" in current:
            view = await world.watchdog.view(current["release"])
            if view is not None and view.stage is Stage.WATCHING and view.boundary is not None:
                evidence, needed = amount(view.evidence), amount(view.boundary)
                account.says("verdictd", f"evidence that it is worse at all: {evidence}, {needed} needed")
