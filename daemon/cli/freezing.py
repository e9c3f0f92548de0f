"""``verdictd freeze`` and ``thaw``: for a while nothing is taken back, in a namespace or in all."""

import argparse

from daemon.cli import rendering
from daemon.cli.commanding import said_of
from daemon.cli.contact import client
from daemon.cli.exits import Exit
from daemon.errors import InvalidInput


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    api, said = client(options), said_of(options)
    if options.word == "thaw":
        ended = api.thaw(options.namespace, said)
        print(rendering.as_json(ended) if options.json else rendering.clean(f"thawed: {rendering.frozen_where(ended)}"))
        return Exit.OK
    if options.seconds == 0.0:
        raise InvalidInput("is no time to be frozen", path="--for", fix="give a longer one, or leave it out until it is thawed")
    freeze = api.freeze(options.namespace, seconds=options.seconds, said=said)
    print(rendering.as_json(freeze) if options.json else rendering.frozen_line(freeze))
    return Exit.OK
