"""``make survival``; ``make survival KILLS=1000`` for an hour; ``SEED=`` strikes again as it was struck.

Ends with 1 where the books are not in order, and keeps the folder then: the daemon's log, its recordings, the servers' logs.
"""

import argparse
import asyncio
import itertools
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from daemon import recordings
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import connected
from daemon.errors import InvalidInput
from daemon.model import Verdict
from daemon.offline.replay import replay_file
from tests.hand.daemons import published
from tests.survival.books import Books, Entry, Replay, faults
from tests.survival.flow import Flow, insist
from tests.survival.mayhem import WEIGHTS, Strike, strikes
from tests.survival.place import ARRANGEMENTS, Arrangement, Place, place
from tests.survival.victims import send

KILLS = 40
"""Strikes of the short setting, in all."""
LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")
_HANG_BEFORE_END_SECONDS = 30.0


def clock_library() -> Path | None:
    """libfaketime, where it is installed."""
    return next((found for pattern in LIBRARIES for found in Path("/").glob(pattern[1:])), None)


async def _ready(here: Place) -> None:
    """However busy the machine is: what does not end is the releases' to notice."""
    while await here.daemon.get("/readyz") is None:
        await asyncio.sleep(0.1)


async def strike(one: Strike, here: Place, hanging: asyncio.TaskGroup) -> None:
    """Do it. Who hangs does so while the next is struck."""
    daemon = here.daemon
    if one.patient:
        await _ready(here)
    await asyncio.sleep(one.after_seconds)
    names = ("broker", "daemon") if one.victim == "both" else (one.victim,)
    match one.how:
        case "jump":
            hanging.create_task(_jump(one, here))
        case "end":
            send(daemon, signal.SIGTERM)
        case "kill":
            if "daemon" in names:
                daemon.away_seconds = one.seconds
            for name in names:
                send(here.victims[name], signal.SIGKILL)
            if "daemon" not in names:
                await asyncio.sleep(one.seconds)
            for name in names:
                await here.victims[name].back()
        case "hang":
            hanging.create_task(_hang(one, here))


async def _hang(one: Strike, here: Place) -> None:
    pid = here.victims[one.victim].pid
    if pid is None:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(one.seconds)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


async def _jump(one: Strike, here: Place) -> None:
    """Forth, and back."""
    here.daemon.jump(one.off_seconds)
    await asyncio.sleep(one.seconds)
    here.daemon.jump(0.0)


async def mayhem(here: Place, *, seed: str, number: int, done: Counter[str]) -> None:
    """So many strikes, one after the other."""
    victims = frozenset(
        (victim, how)
        for victim, how in WEIGHTS
        if (victim in here.victims or victim == "both") and (how != "jump" or here.daemon.clock is not None)
    )
    began = time.monotonic()
    async with asyncio.TaskGroup() as hanging:
        for count, one in enumerate(itertools.islice(strikes(seed, victims=victims), number), start=1):
            await strike(one, here, hanging)
            done[f"{one.victim}: {one.how}"] += 1
            print(f"{time.monotonic() - began:7.1f} s  {count:4}  {one}", flush=True)


async def run(folder: Path, arrangement: Arrangement, *, seed: str, number: int, done: Counter[str]) -> list[str]:
    """One arrangement, from its start to its books; gives what is wrong."""
    print(f"{arrangement}: {number} strikes, seed {seed}", flush=True)
    over, end = asyncio.Event(), asyncio.Event()
    async with place(folder, arrangement, clock_library=clock_library()) as here, asyncio.TaskGroup() as group:
        flow = Flow(daemon=here.daemon, broker=here.broker, seed=seed)
        keeper = group.create_task(here.daemon.keep(end))
        await _ready(here)
        releases = [group.create_task(flow.of(service, over)) for service in here.services]
        await mayhem(here, seed=seed, number=number, done=done)
        over.set()
        await asyncio.wait(releases)
        books = await _books(here, flow)
        print(_account(books), flush=True)
        found = [*faults(books), *flow.strange]
        found += await _after_a_last_start(here, books)
        end.set()
        await keeper
        return found + here.daemon.faults


async def _said(here: Place) -> list[Verdict]:
    assert here.broker.url is not None
    async with connected(BrokerAddress(servers=(here.broker.url,)), name="survival", connect_timeout_seconds=20.0) as connection:
        return await published(connection)


async def _books(here: Place, flow: Flow) -> Books:
    entries = {}
    for name, entry in flow.entries.items():
        entries[name] = await _completed(here, entry) if entry.left is not None else entry
    return Books(entries=entries, published=await _said(here))


async def _completed(here: Place, entry: Entry) -> Entry:
    """With what is kept of it."""
    record = await here.daemon.record(entry.release_id)
    file = here.recordings / f"{entry.release_id}.jsonl"
    return replace(entry, record=record, replay=await asyncio.to_thread(_replay, file) if file.exists() else None)


def _replay(file: Path) -> Replay:
    digest = ""
    for line in file.read_bytes().splitlines()[1:]:
        digest = recordings.chained(digest, line)
    try:
        found = replay_file(file)
    except InvalidInput as error:
        return Replay(outcome=None, ticks=None, digest=digest, reason=str(error))
    return Replay(outcome=found.verdict, ticks=found.decided_at_tick, digest=digest, reason=found.reason)


async def _after_a_last_start(here: Place, books: Books) -> list[str]:
    """Nothing that has ended comes back, and nothing is said twice."""
    before = here.daemon.starts
    send(here.daemon, signal.SIGTERM)
    async with asyncio.timeout(_HANG_BEFORE_END_SECONDS):
        while here.daemon.starts == before:
            await asyncio.sleep(0.1)
    await _ready(here)
    await asyncio.sleep(2.0)
    said = await insist(lambda: _said(here))
    return (
        [] if said == list(books.published) else [f"after a last start there are {len(said)} verdicts, not {len(books.published)}"]
    )


def _account(books: Books) -> str:
    """What became of all releases."""
    ends = Counter(
        f"{'bad' if books.entries[one.release_id].bad else 'good'}: {one.outcome}"
        for one in books.published
        if one.release_id in books.entries
    )
    return f"{len(books.entries)} releases: " + ", ".join(f"{number} {name}" for name, number in sorted(ends.items()))


def main() -> int:
    """Run it; 0 where the books are in order."""
    parser = argparse.ArgumentParser(prog="python -m tests.survival", description="Strike at random, then check the books.")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"strikes in all (default {KILLS}, some three minutes)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="strike as this seed did (default: another each time)")
    parser.add_argument("--arrangement", choices=ARRANGEMENTS, action="append", help="only this one")
    options = parser.parse_args()
    if clock_library() is None:
        print("no clock jumps: libfaketime is not installed (`python -m tests.servers build faketime`)")
        if os.environ.get("CI"):
            return 1
    chosen, done, found = options.arrangement or list(ARRANGEMENTS), Counter[str](), []
    folder = Path(tempfile.mkdtemp(prefix="survival-"))
    logging.basicConfig(filename=folder / "survival.log")
    for arrangement in chosen:
        (folder / arrangement).mkdir()
        number = options.kills // len(chosen)
        found += asyncio.run(run(folder / arrangement, arrangement, seed=options.seed, number=number, done=done))
    print(f"{sum(done.values())} strikes: " + ", ".join(f"{number} {name}" for name, number in sorted(done.items())))
    if found:
        print(*found, f"{len(found)} faults; seed {options.seed}; what is left is in {folder}", sep="\n")
        return 1
    shutil.rmtree(folder)
    print("the books are in order")
    return 0


if __name__ == "__main__":
    sys.exit(main())
