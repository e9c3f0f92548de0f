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
from typing import get_args

from daemon import recordings
from daemon.bus.address import BrokerAddress
from daemon.bus.connection import connected
from daemon.errors import InvalidInput
from daemon.model import Record, Verdict
from daemon.offline.replay import replay_file
from daemon.offline.replay.joining import joined
from tests.hand.daemons import published_under
from tests.hand.timeofday import clock_library
from tests.survival.books import Books, Replay, faults
from tests.survival.flow import Flow, insist
from tests.survival.mayhem import WEIGHTS, Strike, strikes
from tests.survival.place import ARRANGEMENTS, Arrangement, Place, place
from tests.survival.victims import Daemon, Sampler, Victim, send, urls

KILLS = 60
"""Strikes of the short setting, in all."""
REPLICAS = 2
_HANG_BEFORE_END_SECONDS = 30.0


async def _ready(here: Place) -> None:
    """However busy the machine is: what does not end is the releases' to notice."""
    for daemon in here.daemons:
        while await daemon.get("/readyz") is None:
            await asyncio.sleep(0.1)


async def strike(one: Strike, here: Place, hanging: asyncio.TaskGroup) -> None:
    """Do it. Who hangs does so while the next is struck."""
    daemon = here.daemons[one.which]
    if one.patient:
        await _ready(here)
    await asyncio.sleep(one.after_seconds)
    names = ("broker", "daemon") if one.victim == "both" else (one.victim,)
    there = {**here.victims, "daemon": daemon, "sampler": Sampler(daemon=daemon), "broker": here.brokers[one.broker]}
    struck = [there[name] for name in names]
    match one.how:
        case "jump":
            hanging.create_task(_jump(one, daemon))
        case "end":
            send(daemon, signal.SIGTERM)
        case "kill":
            if daemon in struck:
                daemon.away_seconds = one.seconds
            for victim in struck:
                send(victim, signal.SIGKILL)
            if daemon not in struck:
                await asyncio.sleep(one.seconds)
            for victim in struck:
                await victim.back()
        case "hang":
            hanging.create_task(_hang(one, struck[0]))


async def _hang(one: Strike, victim: Victim) -> None:
    pid = victim.pid
    if pid is None:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(one.seconds)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


async def _jump(one: Strike, daemon: Daemon) -> None:
    """Forth, and back."""
    daemon.jump(one.off_seconds)
    await asyncio.sleep(one.seconds)
    daemon.jump(0.0)


async def mayhem(here: Place, *, seed: str, number: int, done: Counter[str]) -> None:
    """So many strikes, one after the other."""
    there = {"daemon", "broker", "both", *here.victims, *(["sampler"] if here.have_samplers else [])}
    victims = frozenset(
        (victim, how) for victim, how in WEIGHTS if victim in there and (how != "jump" or here.daemons[0].clock is not None)
    )
    began = time.monotonic()
    async with asyncio.TaskGroup() as hanging:
        drawn = strikes(seed, victims=victims, daemons=len(here.daemons), brokers=len(here.brokers))
        for count, one in enumerate(itertools.islice(drawn, number), start=1):
            await strike(one, here, hanging)
            done[f"{one.victim}: {one.how}"] += 1
            print(f"{time.monotonic() - began:7.1f} s  {count:4}  {one}", flush=True)


async def run(
    folder: Path,
    arrangement: Arrangement,
    *,
    replicas: int,
    seed: str,
    number: int,
    clocks: Path | None,
    with_samplers: bool,
    done: Counter[str],
) -> list[str]:
    """One arrangement, from its start to its books; gives what is wrong."""
    print(f"{arrangement}: {number} strikes, seed {seed}", flush=True)
    began = time.monotonic()
    over, end = asyncio.Event(), asyncio.Event()
    async with (
        place(folder, arrangement, replicas=replicas, clock_library=clocks, with_samplers=with_samplers) as here,
        asyncio.TaskGroup() as group,
    ):
        flow = Flow(daemons=here.daemons, brokers=here.brokers, seed=seed)
        keepers = [group.create_task(daemon.keep(end)) for daemon in here.daemons]
        await _ready(here)
        releases = [group.create_task(flow.of(service, over)) for service in here.services]
        await mayhem(here, seed=f"{seed} {arrangement}", number=number, done=done)
        over.set()
        await asyncio.wait(releases)
        books, found = await _books(here, flow)
        print(f"{_account(books)}; {time.monotonic() - began:.0f} s", flush=True)
        found += [*faults(books), *flow.strange]
        found += await _after_a_last_start(here, books)
        end.set()
        await asyncio.wait(keepers)
        return found + [fault for daemon in here.daemons for fault in (*daemon.faults, *daemon.complaints())]


async def _said(here: Place) -> list[tuple[Verdict, int | None]]:
    async with connected(BrokerAddress(servers=urls(here.brokers)), name="survival", connect_timeout_seconds=20.0) as connection:
        return await published_under(connection)


async def _books(here: Place, flow: Flow) -> tuple[Books, list[str]]:
    """And what is wrong with the daemons' answers."""
    said, entries, found = await _said(here), {}, []
    numbers = {verdict.release_id: number for verdict, number in said}
    for name, entry in flow.entries.items():
        if entry.left is None:
            entries[name] = entry
            continue
        records, silent = await _records(here, name)
        found += silent
        if any(one != records[0] for one in records):
            found.append(f"{name}: the replicas do not give the same record")
        replay = await asyncio.to_thread(_replay, here, name, digest=records[0].sample_digest if records else None)
        entries[name] = replace(entry, record=next(iter(records), None), replay=replay, number=numbers.get(name))
    return Books(entries=entries, published=[verdict for verdict, _ in said]), found


async def _records(here: Place, release_id: str) -> tuple[list[Record], list[str]]:
    """As each daemon gives it, and who gives none."""
    found = await asyncio.gather(*(daemon.record(release_id) for daemon in here.daemons), return_exceptions=True)
    silent = [at for at, one in enumerate(found, start=1) if isinstance(one, BaseException)]
    return [one for one in found if isinstance(one, Record)], [f"{release_id}: daemon {at} gives no record" for at in silent]


def _replay(here: Place, release_id: str, *, digest: str | None) -> Replay | None:
    """What was recorded, judged again; of several replicas, their parts put together."""
    parts = [part for daemon in here.daemons if (part := daemon.recording(release_id)).exists()]
    if not parts:
        return None
    found = ""
    try:
        file = parts[0] if len(parts) == 1 else joined(parts, whole=parts[0].with_suffix(".whole"), digest=digest or None)
        for line in file.read_bytes().splitlines()[1:]:
            found = recordings.chained(found, line)
        again = replay_file(file)
    except InvalidInput as error:
        return Replay(outcome=None, ticks=None, digest=found, reason=str(error))
    return Replay(outcome=again.verdict, ticks=again.decided_at_tick, digest=found, reason=again.reason)


async def _after_a_last_start(here: Place, books: Books) -> list[str]:
    """Nothing that has ended comes back, and nothing is said twice."""
    before = [daemon.starts for daemon in here.daemons]
    for daemon in here.daemons:
        send(daemon, signal.SIGTERM)
    async with asyncio.timeout(_HANG_BEFORE_END_SECONDS):
        while any(daemon.starts == starts for daemon, starts in zip(here.daemons, before, strict=True)):
            await asyncio.sleep(0.1)
    await _ready(here)
    await asyncio.sleep(2.0)
    said = [verdict for verdict, _ in await insist(lambda: _said(here))]
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
    parser.add_argument("--kills", type=int, default=KILLS, help=f"strikes in all (default {KILLS}, some eight minutes)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="strike as this seed did (default: another each time)")
    parser.add_argument("--replicas", type=int, default=REPLICAS, help="daemons where there are several (default %(default)s)")
    parser.add_argument("--steady-clocks", action="store_true", help="no clock jumps")
    parser.add_argument("--samplers", action="store_true", help="read Prometheus in processes beside the daemons, and strike those")
    parser.add_argument("--arrangement", choices=get_args(Arrangement), action="append", help="only this one")
    options = parser.parse_args()
    clocks = None if options.steady_clocks else clock_library()
    if clocks is None and not options.steady_clocks:
        print("no clock jumps: libfaketime is not installed (`python -m tests.servers build faketime`)")
        if os.environ.get("CI"):
            return 1
    chosen, done, found = options.arrangement or list(ARRANGEMENTS), Counter[str](), []
    folder = Path(tempfile.mkdtemp(prefix="survival-"))
    logging.basicConfig(filename=folder / "survival.log")
    for arrangement in chosen:
        (folder / arrangement).mkdir()
        number = options.kills // len(chosen)
        found += asyncio.run(
            run(
                folder / arrangement,
                arrangement,
                replicas=options.replicas,
                seed=options.seed,
                number=number,
                clocks=clocks,
                with_samplers=options.samplers,
                done=done,
            )
        )
    print(f"{sum(done.values())} strikes: " + ", ".join(f"{number} {name}" for name, number in sorted(done.items())))
    if found:
        print(*found, f"{len(found)} faults; seed {options.seed}; what is left is in {folder}", sep="\n")
        return 1
    shutil.rmtree(folder)
    print("the books are in order")
    return 0


if __name__ == "__main__":
    sys.exit(main())
