"""`python -m tests.servers build [name...]` makes the servers available; `python -m tests.servers status` looks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.servers import build, locate
from tests.servers.catalog import SERVERS, USUAL, server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build", help="build or install what is not there yet")
    builder.add_argument("--all", action="store_true", help="the optional ones too")
    builder.add_argument("names", nargs="*", metavar="name", help="only these (default: all but the optional ones)")
    commands.add_parser("status", help="say what is there, and what is missing and why")
    arguments = parser.parse_args()
    if arguments.command == "status":
        return _status()
    try:
        chosen = [server(name) for name in arguments.names] or list(SERVERS if arguments.all else USUAL)
    except KeyError as error:
        parser.error(str(error.args[0]))
    outcomes = build.build_all(chosen)
    print(build.table(outcomes))
    return 1 if any(outcome.state == "failed" for outcome in outcomes) else 0


def _status() -> int:
    outcomes = []
    for row in SERVERS:
        found = locate.find(row.name)
        if isinstance(found, Path):
            outcomes.append(build.Outcome(row, "found", 0.0, str(found)))
        else:
            outcomes.append(build.Outcome(row, "missing", 0.0, found.reason))
    print(build.table(outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
