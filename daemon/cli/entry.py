"""From the command line to a command and back to an exit code. One place turns errors into words on stderr and a code.

Only a command that has a verdict in its hands gives 0, 1, 2 or 4 for it, and only a time-out 3; whatever was not expected
is 70, one line, and a traceback with ``--debug``.
"""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from config.errors import ConfigError
from daemon.cli import defect
from daemon.cli.exits import Exit
from daemon.cli.parser import build
from daemon.cli.rendering import clean
from daemon.cli.stdio import standing
from daemon.errors import Defect, Forbidden, InvalidInput, NotFound, VerdictdError


def run(arguments: Sequence[str]) -> int:
    """Run one command. Returns the exit code, and raises nothing."""
    debug = "--debug" in arguments
    with standing() as out, _ended_by_sigterm():
        code, only_prints = _end(arguments, debug=debug)
        out.flush()
        if out.lost is not None and not out.reader_gone:
            _say(f"verdictd: standard output cannot be written: {out.lost}")
            code = Exit.DEFECT if only_prints and code == Exit.OK else code
        return code


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends a process by itself, but not the first one of a container, where a Job's ``submit --wait`` would go on."""
    if os.getpid() != 1:
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminated(*_: object) -> NoReturn:
    raise SystemExit(Exit.TERMINATED)


def _end(arguments: Sequence[str], *, debug: bool) -> tuple[int, bool]:
    """The code that the command ends with, and whether it would be worth nothing without what it has printed."""
    only_prints = True
    try:
        arguments = _spelt_out(arguments)
        plain = [one for one in arguments if one != "--debug"]
        if plain[:1] == ["demo"]:
            # The demo has a parser of its own; its options are none of ours.
            from daemon.demo import main as demo

            return demo(plain[1:]), False
        options = build().parse_args(arguments)
        only_prints = _only_prints(options)
        return int(importlib.import_module(f"daemon.cli.{options.module}").run(options)), only_prints
    except SystemExit as end:
        if isinstance(end.code, int | None):
            return end.code or Exit.OK, only_prints
        return _told(end, debug=debug), only_prints  # a library that ends the process with words: 0 would be a promotion
    except BaseException as error:  # noqa: BLE001 - cancellation and interrupts end here too: nobody is above
        return _told(error, debug=debug), only_prints


def _spelt_out(arguments: Sequence[str]) -> Sequence[str]:
    """``help``, ``help COMMAND`` and ``version``, as other tools have them."""
    match arguments:
        case ["version"]:
            return ["--version"]
        case ["help", *command]:
            return [*command, "--help"]
        case _:
            return arguments


def _only_prints(options: argparse.Namespace) -> bool:
    """The other commands answer by their code, which then stands whatever becomes of the printing."""
    match options.module:
        case "submitting":
            return not options.wait
        case "replaying":
            return options.sweep is not None
        case "checking":
            return options.schema is not None
        case module:
            return module in {"status", "explaining", "planning", "backtesting", "hooking", "completing"}


def _told(error: BaseException, *, debug: bool) -> Exit:
    """Say what is wrong on stderr; the code tells the caller's mistakes from those of the world, and from ours."""
    match error:
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case BaseExceptionGroup(exceptions=[alone]):
            return _told(alone, debug=debug)
        case ConfigError():
            _say(str(error))
            return Exit.USAGE
        case VerdictdError():
            _say(f"verdictd: {error}")
            return _of_error(error)
        case _:
            _say(defect(error, debug=debug))
            return Exit.DEFECT


def _say(text: str) -> None:
    """On stderr; what came from outside may stand in it."""
    for line in text.splitlines():
        print(clean(line), file=sys.stderr)


def _of_error(error: VerdictdError) -> Exit:
    match error:
        case InvalidInput():
            return Exit.USAGE
        case NotFound():
            return Exit.NOT_FOUND
        case Forbidden():
            return Exit.FORBIDDEN
        case Defect():
            return Exit.DEFECT
        case _:
            return Exit.UNAVAILABLE
