"""Exit codes, which pipelines branch on: they never change their meaning."""

from enum import IntEnum
from typing import assert_never

from daemon.model import Outcome


class Exit(IntEnum):
    """What the process says at its end. 64, 65 and 69 are those of sysexits.h."""

    OK = 0
    ROLLBACK = 1
    INCONCLUSIVE = 2
    TIMEOUT = 3
    USAGE = 64
    DATA = 65
    UNAVAILABLE = 69
    INTERRUPTED = 130


def of_outcome(outcome: Outcome) -> Exit:
    """0 promote, 1 rollback, 2 inconclusive."""
    match outcome:
        case Outcome.PROMOTE:
            return Exit.OK
        case Outcome.ROLLBACK:
            return Exit.ROLLBACK
        case Outcome.INCONCLUSIVE:
            return Exit.INCONCLUSIVE
        case _:
            assert_never(outcome)
