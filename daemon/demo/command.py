"""The command: options, signals, the exit code, and what is left behind in the output folder."""

import argparse
import asyncio
import logging
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from daemon.demo.acts import ACTS, Played, objections
from daemon.demo.charts import page, picture
from daemon.demo.children import DemoError
from daemon.demo.meshsorts import SORTS
from daemon.demo.overview import plot
from daemon.demo.story import LiveAccount, Setting, play, setting
from daemon.demo.timeline import timeline, turns
from daemon.demo.traffic import TrafficLog, series
from daemon.demo.watchdog import policy
from daemon.errors import VerdictdError

_USAGE = 64
_UNAVAILABLE = 69
_INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Run the demo; 0 only if every outcome was seen in the traffic itself."""
    options = _parser().parse_args(argv)
    logging.getLogger("nats").setLevel(logging.CRITICAL)  # the broker's end, which is ours, is no news
    try:
        return asyncio.run(_interruptible(options))
    except KeyboardInterrupt:
        print("\nInterrupted; everything has been ended.", file=sys.stderr)
        return _INTERRUPTED
    except VerdictdError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
    except BaseExceptionGroup as group:
        expected, unexpected = group.split(VerdictdError)
        if unexpected is not None or expected is None:
            raise
        for leaf in _leaves(expected):
            print(f"\nThe demo failed: {leaf}", file=sys.stderr)
    return _UNAVAILABLE


class _Parser(argparse.ArgumentParser):
    """Wrong usage exits as that of the other commands does: argparse's own 2 means an inconclusive verdict there."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit."""
        self.print_usage(sys.stderr)
        self.exit(_USAGE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="verdictd demo",
        description="A real mesh, a real broker and real traffic on this machine: two bad canaries taken back in half a minute.",
        epilog="Exits 0 when every outcome was seen in the traffic itself, 1 when one was not, 64 wrong usage, "
        "69 a part of the demo could not be had or ended, 70 a defect of verdictd, 130 interrupted.",
    )
    meshes = "; ".join(f"{name}: {sort.made_of}" for name, sort in SORTS.items())
    parser.add_argument("--mesh", choices=[*SORTS], default="envoy", help=f"what steers the traffic ({meshes}; default envoy)")
    parser.add_argument("--rate", type=_rate, default=300.0, help="requests a second (default 300)")
    parser.add_argument("--seed", type=int, default=1, help="of the traffic and of the versions' behaviour (default 1)")
    parser.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="takes the plot (default demo-out)")
    parser.add_argument("--no-plot", action="store_true", help="draw nothing in the terminal")
    parser.add_argument("--keep-running", action="store_true", help="leave everything running at the end, until Ctrl-C")
    return parser


def _rate(text: str) -> float:
    rate = float(text)
    if not 100.0 <= rate <= 2000.0:
        raise argparse.ArgumentTypeError(f"{text} is not between 100 and 2000 requests a second")
    return rate


async def _interruptible(options: argparse.Namespace) -> int:
    """SIGTERM ends the demo as Ctrl-C does."""
    loop, own = asyncio.get_running_loop(), asyncio.current_task()
    if own is not None:
        loop.add_signal_handler(signal.SIGTERM, own.cancel)
    try:
        return await _run(options)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _run(options: argparse.Namespace) -> int:
    sort = SORTS[options.mesh]
    sort.require_programs()
    await asyncio.to_thread(_make_output, options.out)
    account = LiveAccount(colours=sys.stdout.isatty())
    folder = Path(tempfile.mkdtemp(prefix="verdictd-demo-"))
    try:
        account.heading(f"verdictd demo: {sort.made_of}, a real NATS, {options.rate:g} requests a second")
        if sort.starts_in:
            account.says("demo", f"starts all that; it takes {sort.starts_in}")
        async with setting(sort=sort, folder=folder, rate=options.rate, seed=options.seed, run=f"seed-{options.seed}") as running:
            _introduce(running, account)
            played = await play(running, account)
            if options.keep_running:
                # What is said of the recordings must be so while it is left running.
                await asyncio.to_thread(_keep_logs, folder, options.out)
                code = await asyncio.to_thread(_conclude, played, running.users.traffic, options, account)
                await _linger(running, account)
                return code
        return await asyncio.to_thread(_conclude, played, running.users.traffic, options, account)
    finally:
        await asyncio.to_thread(_keep_logs, folder, options.out)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _make_output(out: Path) -> None:
    """Now, and not after half a minute, is the time to learn that it cannot be written."""
    try:
        (out / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"the output folder {out} cannot be made: {error.strerror}", fix="name another with --out") from error


def _introduce(running: Setting, account: LiveAccount) -> None:
    for who, what in running.mesh.introduced:
        account.says(who, what)
    account.says("service", f"versions {', '.join(running.backends)}, a process each")
    account.says("verdictd", f"API on {running.watchdog.url}, with a NATS server of its own")
    account.says("page", f"{running.watchdog.url}/ui/ in a browser shows all of it as it happens")
    limits = policy()["tolerances"]
    errors, typical = 100 * limits["errors"]["max_rate"], 100 * (limits["latency"]["typical"] - 1)
    account.says("policy", f"a canary may fail {errors:.0f} % of its requests and be {typical:.0f} % slower than the old version")


async def _linger(running: Setting, account: LiveAccount) -> None:
    """Until Ctrl-C or SIGTERM, which here is the expected end and not an interruption."""
    account.heading("Everything is left running; Ctrl-C ends it.")
    account.lines(
        [f"page {running.watchdog.url}/ui/", f"API {running.watchdog.url}/v1/releases", f"metrics {running.watchdog.url}/metrics"]
    )
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


def _conclude(played: list[Played], traffic: TrafficLog, options: argparse.Namespace, account: LiveAccount) -> int:
    answers = list(traffic)
    versions = [ACTS[0].baseline, *(act.canary for act in ACTS)]
    curves = series(traffic, versions=versions, begin=answers[0].start, end=answers[-1].end)
    account.heading("The whole run")
    if not options.no_plot:
        account.lines(plot(curves, turns(played), colours=sys.stdout.isatty()))
    file = options.out / "demo.html"
    file.write_text(page(curves, [(one, timeline(one, traffic)) for one in played]))
    file.with_suffix(".svg").write_text(picture(curves, played))
    account.lines(["", f"The same as a page: {file}", f"Judge it again: {_own_name()} replay {options.out / 'logs'}/*.jsonl"])
    problems = [problem for one in played for problem in objections(one, traffic)]
    account.heading("Not as it must be:" if problems else f"Seen in the traffic itself, {len(answers)} requests:")
    account.lines(problems or [_ending(one) for one in played])
    account.lines([f"({account.seconds:.0f} s)"])
    return 1 if problems else 0


def _own_name() -> str:
    """The command as this user can type it: in a virtual environment that is not active it is not on PATH."""
    return "verdictd" if shutil.which("verdictd") else sys.argv[0]


def _ending(played: Played) -> str:
    if played.shifted_at is not None:
        return f"{played.act.canary} was promoted and answers everything"
    return f"{played.act.canary} was taken back and has not answered since"


def _keep_logs(folder: Path, out: Path) -> None:
    """The logs, the settings and the recordings stay with the plot; the rest of the temporary folder goes."""
    for file in (*folder.glob("*.log"), *folder.glob("*.json"), *folder.glob("recordings/*.jsonl")):
        shutil.copy(file, out / "logs")


def _leaves(group: BaseExceptionGroup[VerdictdError]) -> list[VerdictdError]:
    found: list[VerdictdError] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
