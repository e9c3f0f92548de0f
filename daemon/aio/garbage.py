"""How the garbage collector of a process that serves is set: it stops everything while it looks, so it looks at little at a time.

Python's own setting is for scripts: it looks at what is new after every 700 objects, and at all there is again and again while
there is more of it, which is a stall of the event loop of as many ms as there are 10 000s of objects. What is no part of a
cycle goes without it, at once, as ever.
"""

import gc

_NEW, _YOUNG, _OLD = 5_000, 5, 50
"""Objects more than before until what is new is looked at; so many such looks until what was new lately is, too; and all."""


def settle() -> None:
    """Pass over, from now on, what is there already (modules and what they made), and look at the rest in small parts."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW, _YOUNG, _OLD)
