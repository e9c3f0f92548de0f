"""``verdictd status --watch``: releases looked at over and over. On a terminal the table is written anew each time; elsewhere each
change is a line, so that what is kept of it can be read.

A daemon that restarts is waited for, as ``verdictd wait`` does. It ends with whoever reads: into a pipe without a reader nothing is
written for ever.
"""

import random
import sys
import time
from collections.abc import Callable, Sequence

from daemon.cli import rendering
from daemon.cli.exits import Exit
from daemon.errors import NotFound, TransientError
from daemon.releaseview import ReleaseView

_PAUSE_SECONDS = 2.0
_PATIENCE_SECONDS = 60.0
_HOME_AND_CLEAR = "\x1b[H\x1b[2J"


def follow(
    look: Callable[[], Sequence[ReleaseView]],
    *,
    alone: bool,
    as_json: bool,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Exit:
    """Show what ``look`` finds until interrupted.

    Args:
        look: asks for the releases.
        alone: it is one that is named: its verdict ends the watch.
        as_json: a line of JSON for each change, on a terminal too.
        sleep: and ``monotonic``: the clock.

    Raises:
        TransientError: the daemon did not answer for a minute, or never; ``NotFound`` likewise.
    """
    screen = sys.stdout.isatty() and not as_json
    seen: dict[str, object] = {}
    heard_at = None
    while getattr(sys.stdout, "lost", None) is None:
        try:
            views = look()
        except (TransientError, NotFound) as error:
            if heard_at is None or monotonic() - heard_at >= _PATIENCE_SECONDS:
                raise
            print(rendering.clean(f"verdictd: {error}; trying again"), file=sys.stderr, flush=True)
        else:
            heard_at = monotonic()
            if screen:
                print(f"{_HOME_AND_CLEAR}{chr(10).join(rendering.table(views))}", flush=True)
            else:
                _changes(views, seen, as_json=as_json)
            if alone and views[0].verdict is not None:
                return Exit.OK
        sleep(_PAUSE_SECONDS * (0.75 + random.random() / 2))  # noqa: S311 - jitter, not a secret
    return Exit.OK


def _changes(views: Sequence[ReleaseView], seen: dict[str, object], *, as_json: bool) -> None:
    """A line for each release that has come or is in another stage than it was, the oldest first."""
    for view in reversed(views):
        stands = view.stage, view.verdict is None
        if seen.get(view.id) != stands:
            print(rendering.as_json(view) if as_json else _line(view), flush=True)
        seen[view.id] = stands
    for gone in seen.keys() - {view.id for view in views}:
        del seen[gone]


def _line(view: ReleaseView) -> str:
    return rendering.progress(view) if view.verdict is None else f"{view.id} {rendering.verdict_lines(view.verdict)[0]}"
