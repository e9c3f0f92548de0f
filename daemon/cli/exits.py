"""Exit codes, which pipelines branch on: they never change their meaning."""

from enum import IntEnum
from typing import assert_never

from daemon.model import Action, Outcome, Verdict


class Exit(IntEnum):
    """What the process says at its end. 64 to 77 are those of sysexits.h, 130 and 143 what a shell makes of the signals.

    ``OK`` to ``STILL_SERVING`` speak of a verdict wherever one is awaited: nothing else may give them there.
    """

    OK = 0
    ROLLBACK = 1
    INCONCLUSIVE = 2
    TIMEOUT = 3
    STILL_SERVING = 4
    """A rollback, and the canary still gets traffic: taking it back failed or was blocked."""
    USAGE = 64
    DATA = 65
    NOT_FOUND = 66
    UNAVAILABLE = 69
    DEFECT = 70
    FORBIDDEN = 77
    INTERRUPTED = 130
    TERMINATED = 143


def of_verdict(verdict: Verdict, *, bare: bool) -> Exit:
    """0 promote, 1 rollback, 2 inconclusive, 4 rollback with traffic still on the canary.

    An inconclusive verdict counts as the policy says; ``bare``: it is 2 whatever the policy says.
    """
    match verdict.outcome:
        case Outcome.ROLLBACK if verdict.action in {Action.FAILED, Action.BLOCKED}:
            return Exit.STILL_SERVING
        case Outcome.INCONCLUSIVE if not bare:
            return _of_meaning(verdict)
        case outcome:
            return of_outcome(outcome)


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


def _of_meaning(verdict: Verdict) -> Exit:
    match verdict.meaning:
        case "promote":
            return Exit.OK
        case "rollback":
            return Exit.ROLLBACK
        case "hold":
            return Exit.INCONCLUSIVE
        case _:
            assert_never(verdict.meaning)
