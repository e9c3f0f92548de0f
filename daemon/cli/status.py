"""``verdictd status``: what is being watched, and what became of what was.

Where it is chosen by time or outcome, the daemon's memory is not all: verdicts are kept for longer, and are asked for too.
"""

import argparse
import time
from collections.abc import Sequence

from daemon.cli import rendering
from daemon.cli.apiclient import ApiClient
from daemon.cli.contact import client
from daemon.cli.exits import Exit
from daemon.cli.following import follow
from daemon.errors import InvalidInput, TransientError
from daemon.releaseview import ReleaseView

_MOST_PAST = 1000


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    api = client(options)
    if options.id is not None and (options.since is not None or options.outcome is not None):
        fix = "leave the id out, or what it is chosen by"
        raise InvalidInput("one release is named, and releases are chosen", path="--since, --outcome", fix=fix)
    if options.watch:
        return follow(lambda: _views(api, options), alone=options.id is not None, as_json=options.json)
    views = _views(api, options)
    if options.id is not None:
        print(rendering.as_json(views[0]) if options.json else "\n".join(_one(views[0])))
    elif options.json:
        print(rendering.as_json(views))
    else:
        shown = [*(rendering.table(views) if views else []), *_past(api, options, views)]
        lines = [*(rendering.frozen_line(freeze) for freeze in api.freezes()), *_asked(api, options.namespace)]
        print("\n".join([*lines, *(shown or ["no releases"])]))
    return Exit.OK


def _past(api: ApiClient, options: argparse.Namespace, views: Sequence[ReleaseView]) -> list[str]:
    """Verdicts that memory has no more, or never had here; where they cannot be read now, that is said."""
    if options.stage is not None or (options.since is None and options.outcome is None):
        return []
    filters = {name: value for name in ("service", "namespace", "outcome") if (value := getattr(options, name)) is not None}
    if options.since is not None:
        filters["since"] = f"{time.time() - options.since:.3f}"
    try:
        verdicts, more = api.past(filters, most=_MOST_PAST)
    except TransientError as error:
        return [rendering.clean(f"only what is in memory; the verdicts of the last days are not known now: {error}")]
    known = {view.id for view in views}
    lines = [rendering.past_line(one) for one in verdicts if one.release_id not in known]
    if not lines:
        return []
    said = [f"older than the newest {_MOST_PAST} are not shown; narrow it with --since"] if more else []
    return ["not in memory any more:", *lines, *said]


def _views(api: ApiClient, options: argparse.Namespace) -> Sequence[ReleaseView]:
    """Those that the options name."""
    if options.id is not None:
        return [api.release(options.id)]
    filters = {name: value for name in ("service", "namespace", "stage") if (value := getattr(options, name)) is not None}
    oldest = 0.0 if options.since is None else time.time() - options.since
    return [
        view
        for view in api.releases(filters)
        if _watched_after(view, oldest) and options.outcome in {None, None if view.verdict is None else view.verdict.outcome}
    ]


def _asked(api: ApiClient, namespace: str | None) -> list[str]:
    """What waits for its canary, and what is asked; where that cannot be known now, the releases are shown all the same."""
    try:
        waiting = [line for one in api.waiting(namespace) for line in rendering.waiting_lines(one)]
        return [*waiting, *(line for question in api.questions(namespace) for line in rendering.question_lines(question))]
    except TransientError as error:
        return [rendering.clean(f"what is asked is not known now: {error}")]


def _watched_after(view: ReleaseView, oldest: float) -> bool:
    return view.verdict is None or max(view.submitted_at, view.verdict.decided_at) >= oldest


def _one(view: ReleaseView) -> list[str]:
    lines = [
        rendering.progress(view),
        *rendering.telemetry_lines(view),
        *rendering.fallback_lines(view),
        *rendering.signal_lines(view),
        *rendering.unresolved_lines(view),
    ]
    return [*lines, *(rendering.origin_lines(view.release) if view.verdict is None else rendering.verdict_lines(view.verdict))]
