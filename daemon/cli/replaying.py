"""``verdictd replay``: recordings judged again, under their own policy or another."""

import argparse
import sys
from pathlib import Path

from config.load import load_policy
from daemon import replay
from daemon.cli import rendering
from daemon.cli.exits import Exit, of_outcome
from daemon.errors import InvalidInput
from daemon.model import Outcome

# The exit code of several files is that of the first of these that occurs.
_WORST_FIRST = (Exit.USAGE, Exit.ROLLBACK, Exit.INCONCLUSIVE, Exit.OK)


def run(options: argparse.Namespace) -> Exit:
    """The command. A file that cannot be used is said to be, and the others are judged."""
    policy = None if options.policy is None else load_policy(options.policy)
    codes = set()
    for file in options.files:
        try:
            replayed = replay.replay_file(Path(file), policy=policy)
        except InvalidInput as error:
            print(f"verdictd: {error}", file=sys.stderr)
            codes.add(Exit.USAGE)
            continue
        print("\n".join(_lines(replayed)) if not options.json else rendering.as_json(replayed), flush=True)
        codes.add(of_outcome(Outcome(replayed.verdict)))
    return next(code for code in _WORST_FIRST if code in codes)


def _lines(replayed: replay.Replayed) -> list[str]:
    when = "undecided" if replayed.decided_at_tick is None else f"at tick {replayed.decided_at_tick}"
    head = f"{replayed.file}: {replayed.verdict} ({when}, {replayed.ticks} ticks judged): {replayed.reason}"
    return [rendering.clean(head), *rendering.finding_lines(replayed.findings)]
