"""``verdictd promote``, ``rollback`` and ``cancel``: what a person or a pipeline says of a release that is being watched, and why.

Asked once: the answer to a second one would be that there is a verdict, which would be taken for a fault.
"""

import argparse
import getpass
import os
import sys
from collections.abc import Mapping

from daemon.cli import rendering
from daemon.cli.contact import client
from daemon.cli.exits import Exit
from daemon.errors import InvalidInput
from daemon.interventions import Said

_MOST_CHARACTERS = 1024
_PERSONS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID")
"""Whom GitHub, GitLab and Jenkins (with its plug-in for that) name as who began a pipeline."""
NOT_KEPT = "NATS has not taken it yet: a daemon that is killed before that may not have heard it; look again with verdictd status"


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    view = client(options).command(options.id, options.word, said_of(options))
    told = f"{view.id} {view.stage}: {options.word} is heard; verdictd wait {view.id} tells what becomes of it"
    print(rendering.as_json(view) if options.json else rendering.clean(told))
    if view.kept is False:
        print(NOT_KEPT, file=sys.stderr)
    return Exit.OK


def said_of(options: argparse.Namespace) -> Said:
    """Who says it, and why. Raises ``InvalidInput``."""
    by = _who(os.environ) if options.by is None else options.by
    for name, text in (("--reason", options.reason), ("--by", by)):
        if len(text) > _MOST_CHARACTERS:
            raise InvalidInput(f"has {len(text)} characters", path=name, fix=f"use {_MOST_CHARACTERS} at most")
    return Said(by=by, reason=options.reason)


def _who(environ: Mapping[str, str]) -> str:
    """Whom the pipeline names, else the user of this machine."""
    if named := next((name for variable in _PERSONS if (name := environ.get(variable))), None):
        return named
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user often has no name
        return "unknown"
