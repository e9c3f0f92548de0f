"""From the command line to a command and back to an exit code. One place turns errors into words on stderr and a code."""

import importlib
import os
import sys
from collections.abc import Sequence

from config.errors import ConfigError
from daemon.cli.exits import Exit
from daemon.cli.parser import build
from daemon.errors import Forbidden, InvalidInput, NotFound, VerdictdError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code (``daemon.cli.exits``)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["demo"]:
        # The demo has a parser of its own; its options are none of ours.
        from daemon.demo import main as demo

        return demo(arguments[1:])
    options = build().parse_args(arguments)
    try:
        command = importlib.import_module(f"daemon.cli.{options.module}")
        code = int(command.run(options))
        sys.stdout.flush()
    except (ConfigError, VerdictdError) as error:
        return _told(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`verdictd status | head`): nothing more can be said, and nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    return code


def _told(error: ConfigError | VerdictdError) -> Exit:
    """Say what is wrong on stderr; the code tells the caller's mistakes from those of the world."""
    print(error if isinstance(error, ConfigError) else f"verdictd: {error}", file=sys.stderr)
    usage = isinstance(error, ConfigError | InvalidInput | NotFound | Forbidden)
    return Exit.USAGE if usage else Exit.UNAVAILABLE
