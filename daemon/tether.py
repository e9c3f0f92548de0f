"""A child process that ends with the process that started it, also when that one is killed outright.

A killed parent runs no code, so the kernel has to do it: a bare interpreter is started in the child's place, asks to be sent a
signal at its parent's end, and then becomes the child. A ``preexec_fn`` could not: it runs Python between fork and exec in a
process with threads, which may deadlock, and which Python warns of since 3.12.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

# PR_SET_PDEATHSIG is 1. The parent may have died before the request was made, hence the look at getppid.
_SHIM = """
import os, sys
parent, number, *command = sys.argv[1:]
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, int(number))
    if os.getppid() != int(parent):
        sys.exit(1)
os.execv(command[0], command)
"""


def tethered(argv: Sequence[str | Path], *, ended_by: signal.Signals) -> list[str]:
    """What to start in place of ``argv`` for a child that is sent ``ended_by`` at the end of this process.

    It has the process id and the open files that ``argv`` would have. Elsewhere than on Linux there is no tie, and the child
    of a process that was killed stays.

    Args:
        argv: absolute path of the program, and its arguments.
        ended_by: SIGKILL for what bears it; SIGTERM for what has something to put in order, if it listens to that.
    """
    return [sys.executable, "-I", "-S", "-c", _SHIM, str(os.getpid()), str(ended_by.value), *map(str, argv)]
