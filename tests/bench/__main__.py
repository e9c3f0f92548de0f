"""``make bench``: measure, print a table. ``python -m tests.bench judging harm`` measures some parts only."""

import sys
from collections.abc import Callable

from tests.bench import (
    afterwards,
    apiserver,
    harm,
    istio,
    judging,
    load,
    mutations,
    page,
    phases,
    replaying,
    reverts,
    sessions,
    sidecars,
    telemetry,
    ticks,
)
from tests.bench.figures import Figure, table

PARTS: dict[str, Callable[[], list[Figure]]] = {
    "judging": judging.figures,
    "afterwards": afterwards.figures,
    "replaying": replaying.figures,
    "mutations": mutations.figures,
    "sessions": sessions.figures,
    "telemetry": telemetry.figures,
    "ticks": ticks.figures,
    "sidecars": sidecars.figures,
    "harm": harm.figures,
    "phases": phases.figures,
    "apiserver": apiserver.figures,
    "reverts": reverts.figures,
    "load": load.figures,
    "istio": istio.figures,
    "page": page.figures,
}


def main(names: list[str]) -> int:
    """Measure the named parts, or all."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
        return 64
    figures: list[Figure] = []
    for name in names or PARTS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        figures += PARTS[name]()
    print(table(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
