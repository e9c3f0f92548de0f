"""What options of several commands are, and how their values are read. Nothing is imported here but argparse, as in ``parser``."""

import argparse
import math

_MOST = 1_000_000_000


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


def seconds(text: str) -> float:
    """A time. Raises ``ArgumentTypeError``, as all of these."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if number < 0.0 or not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r}: give seconds as a number, 0 or more")
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
