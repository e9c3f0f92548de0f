"""What the commands' options have in common: those of several commands, how values are read, and how wrong usage ends.

Nothing is imported here but argparse, as in ``parser``.
"""

import argparse
import math
import os
import sys
from typing import NoReturn

DEFAULT_SERVER = "http://127.0.0.1:8484"
DEFECT = "70 a defect of verdictd (--debug says where)"
OF_THE_API = (
    f"64 wrong usage, 66 no such release, 69 the daemon cannot be reached, {DEFECT}, 77 not allowed (the token), 130 interrupted."
)
_USAGE = 64
_MOST = 1_000_000_000


class Parser(argparse.ArgumentParser):
    """Wrong usage exits 64: argparse's own 2 would be read as an inconclusive verdict."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong on stderr and exit."""
        self.print_usage(sys.stderr)
        self.exit(_USAGE, f"{self.prog}: {message}\n")


Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for what add_subparsers returns


def arms(parser: argparse.ArgumentParser, *, whose: str = "") -> None:
    """``--baseline`` and ``--canary``. ``whose``: of which release, after a blank."""
    for arm in ("baseline", "canary"):
        parser.add_argument(
            f"--{arm}",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help=f"what names the {arm}{whose}: workload=, version=, subset=, service= or labels.NAME=; may be repeated",
        )


def client(parser: Parser) -> None:
    """Where the daemon is, for whoever speaks to it."""
    parser.add_argument(
        "--server",
        default=os.environ.get("VERDICTD_SERVER", DEFAULT_SERVER),
        metavar="URL",
        help=f"the daemon's address (default: $VERDICTD_SERVER, else {DEFAULT_SERVER})",
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="holds the bearer token (default: $VERDICTD_TOKEN, the token itself, else $VERDICTD_TOKEN_FILE)",
    )
    parser.add_argument(
        "--ca-file",
        default=os.environ.get("VERDICTD_CA_FILE") or None,
        metavar="FILE",
        help="who must have signed the server's certificate, PEM (default: $VERDICTD_CA_FILE, else the system's authorities)",
    )
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def processes(parser: Parser) -> None:
    """``--processes``."""
    parser.add_argument(
        "--processes",
        type=whole,
        default=None,
        metavar="N",
        help="work in up to N processes (default: the processors' number)",
    )


def seconds(text: str) -> float:
    """A time, in seconds or with units. Raises ``ArgumentTypeError``, as all of these."""
    try:
        number: float | None = float(text)
    except ValueError:
        from config.values import duration_seconds  # for who writes units only

        number = duration_seconds(text)
    if number is None or number < 0.0 or not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: give seconds (90), or numbers with units (90s, 5m, 1h30m)")
    return number


def whole(text: str, *, least: int = 1) -> int:
    """A number of things."""
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number, {least} to {_MOST}")
    return number


def seed(text: str) -> int:
    """A seed, which may be 0."""
    return whole(text, least=0)
