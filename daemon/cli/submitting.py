"""``verdictd submit``: checked here first, then announced; sent again under the same key when the answer was lost."""

import argparse
import os
import random
import sys
import time
import uuid
from collections.abc import Mapping

from daemon.cli import jobreports, rendering, waiting
from daemon.cli.apiclient import ApiClient
from daemon.cli.contact import client
from daemon.cli.exits import Exit
from daemon.cli.releasefile import load_announcement
from daemon.errors import InvalidInput, TransientError
from daemon.releaseview import ReleaseView

_ATTEMPTS = 5
_PAUSE_SECONDS = 0.3


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    if options.output is not None and not options.wait:
        raise InvalidInput("tells of a verdict, and none is waited for", path="--output", fix="add --wait")
    release, reports = load_announcement(options.file), jobreports.chosen(options, environ=os.environ)
    api = client(options)
    view = submit(api, release, key=str(uuid.uuid4()) if options.key is None else options.key)
    if not options.wait:
        print(rendering.as_json(view) if options.json else view.id)
        return Exit.OK
    if not options.json:
        print(view.id, flush=True)
    return waiting.wait(api, view.id, options, known=True, reports=reports)


def submit(api: ApiClient, release: Mapping[str, object], *, key: str) -> ReleaseView:
    """Announce a release, trying again a few times. Raises ``TransientError`` when the daemon cannot be reached."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return api.submit(release, key=key)
        except TransientError as error:
            print(rendering.clean(f"verdictd: {error}; trying again"), file=sys.stderr, flush=True)
            time.sleep(_PAUSE_SECONDS * attempt * (0.5 + random.random()))  # noqa: S311 - jitter, not a secret
    return api.submit(release, key=key)
