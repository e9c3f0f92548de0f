"""How the interpreter of a process that serves is set, so that its event loop, on which reverts wait, is never away for long.

Python's own settings are for scripts. The garbage collector looks at what is new after every 700 objects, and at all there is
again and again while there is more of it, and stops everything meanwhile: as many ms as there are 10 000s of objects. What is no
part of a cycle goes without it, at once, as ever. And a thread that computes keeps the loop waiting for 5 ms, each time that it
wants to go on.
"""

import gc
import sys

_NEW, _YOUNG, _OLD = 5_000, 2, 100
"""Objects more than before until what is new is looked at; so many such looks until what was new lately is, too; and all."""
_TURN_SECONDS = 0.001


def settle() -> None:
    """Pass over, from now on, what is there already (modules and what they made), look at the rest in small parts; short turns."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW, _YOUNG, _OLD)
    sys.setswitchinterval(_TURN_SECONDS)
