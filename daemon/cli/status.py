"""``verdictd status``: what is being watched, and what became of what was."""

import argparse

from daemon.cli import rendering
from daemon.cli.apiclient import client
from daemon.cli.exits import Exit
from daemon.model import ReleaseView


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    api = client(options.server, token_file=options.token_file)
    if options.id is not None:
        view = api.release(options.id)
        print(rendering.as_json(view) if options.json else "\n".join(_one(view)))
        return Exit.OK
    filters = {name: value for name in ("service", "namespace", "stage") if (value := getattr(options, name)) is not None}
    views = api.releases(filters)
    if options.json:
        print(rendering.as_json(views))
    else:
        print("\n".join(rendering.table(views)) if views else "no releases")
    return Exit.OK


def _one(view: ReleaseView) -> list[str]:
    lines = [
        rendering.progress(view),
        *rendering.telemetry_lines(view),
        *rendering.fallback_lines(view),
        *rendering.signal_lines(view),
        *rendering.unresolved_lines(view),
    ]
    return lines if view.verdict is None else [*lines, *rendering.verdict_lines(view.verdict)]
