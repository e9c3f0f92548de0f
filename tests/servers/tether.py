"""Becomes the command it is given, tied to the life of the process that started it.

A script, run as `python -I -S tether.py PARENT COMMAND...`. The tie cannot be a `preexec_fn`: that runs Python between
fork and exec in a process with threads, which may deadlock, and which Python warns of since 3.12.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the tie was there
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
