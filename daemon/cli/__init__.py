"""The command ``verdictd``. Each command is a module, imported when it is chosen, so that ``verdictd wait`` starts at once.

Python ends with 1 when something is raised, which a pipeline reads as a rollback. So nothing is imported here but the
standard library, and all of ours inside ``try``: an installation that is broken is told as a defect too.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

__all__ = ["main"]

_DEFECT = 70
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code (``daemon.cli.exits``)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        from daemon.cli.entry import run
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever a module raises that is not there or not whole
        # Written past sys.stderr: what stays in its buffer would be tried again at the end, and change the code.
        with suppress(OSError):
            os.write(2, f"{defect(error, debug='--debug' in arguments)}\n".encode(errors="backslashreplace"))
        return _DEFECT
    return run(arguments)


def defect(error: BaseException, *, debug: bool) -> str:
    """What is said of an error that nobody expected: one line; with ``debug`` where it came from as well."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    if debug:
        import traceback  # seldom needed, and not for nothing

        return "".join(traceback.format_exception(error)) + f"verdictd: a defect of verdictd or of its installation: {said}"
    return f"verdictd: a defect of verdictd or of its installation: {said} (--debug says where)"
