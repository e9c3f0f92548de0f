"""Two hundred thousand mutated messages: nothing but our own errors may come out of their readers."""

import time

from tests.bench.figures import Figure
from tests.events.mutating import defects

COUNT = 200_000
# Beyond those that every test run tries.
FIRST = 1_000_000


def figures() -> list[Figure]:
    """How many mutations were read or refused, and how many were neither."""
    began = time.process_time()
    found = list(defects(FIRST, COUNT))
    seconds = time.process_time() - began
    return [
        Figure(
            what=f"mutated messages neither read nor refused, of {COUNT}",
            measured=f"{len(found)}",
            goal="0",
            parts="; ".join(found[:3]),
        ),
        Figure(what="reading or refusing one message, CPU us", measured=f"{seconds / COUNT * 1e6:.0f}"),
    ]
