"""``verdictd status``: what is being watched, and what became of what was."""

import argparse
import time
from collections.abc import Sequence

from daemon.cli import rendering
from daemon.cli.apiclient import ApiClient
from daemon.cli.contact import client
from daemon.cli.exits import Exit
from daemon.cli.following import follow
from daemon.errors import InvalidInput, TransientError
from daemon.model import ReleaseView


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
        table = rendering.table(views) if views else ["no releases"]
        lines = [*(rendering.frozen_line(freeze) for freeze in api.freezes()), *_asked(api, options.namespace), *table]
        print("\n".join(lines))
    return Exit.OK


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
    return lines if view.verdict is None else [*lines, *rendering.verdict_lines(view.verdict)]
