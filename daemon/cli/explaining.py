"""``verdictd explain``: a verdict in plain words, from its record, its recording, or both."""

import argparse
import os
import sys
from pathlib import Path

from config.errors import ConfigError, Fault
from daemon.cli import rendering
from daemon.cli.contact import client
from daemon.cli.exits import Exit
from daemon.errors import InvalidInput
from daemon.model import Record
from daemon.offline.explain import Account, Trace, account, read_record, trace
from daemon.offline.explain.page import page
from daemon.offline.explain.words import lines
from daemon.recordings import torn_words


def run(options: argparse.Namespace) -> Exit:
    """The command. A file that cannot be used, or a recording that does not support the record, exits 65."""
    fetched = None if _is_file(options.target) else client(options).record(options.target)
    try:
        record, traced = _read(options, fetched)
    except InvalidInput as error:
        print(rendering.clean(f"verdictd: {error}"), file=sys.stderr)
        return Exit.DATA
    told = account(record, traced)
    if told.torn_line is not None:
        print(rendering.clean(f"verdictd: {torn_words(options.recording or options.target, told.torn_line)}"), file=sys.stderr)
    if options.html is not None:
        write_page(Path(options.html), page(told, None if traced is None else traced.course), source="verdictd explain")
    if options.json:
        print(rendering.as_json(told))
    else:
        _print(told)
    return Exit.DATA if told.check is not None and told.check.failed else Exit.OK


def _read(options: argparse.Namespace, fetched: Record | None) -> tuple[Record | None, Trace | None]:
    """From what was fetched, else from the first file, whichever it is; and from the recording where one is given."""
    recording = None if options.recording is None else Path(options.recording)
    record = fetched or read_record(Path(options.target))
    if record is None:
        _only_one(recording)
        recording = Path(options.target)
    traced = None if recording is None else trace(recording, policy=None if record is None else record.policy)
    return record, traced


def _is_file(target: str) -> bool:
    """A release's id has neither a dot nor a separator: what has one is meant as a file, also when it is not there."""
    try:
        return "." in target or os.sep in target or Path(target).is_file()
    except OSError:  # too long for a name
        return False


def _only_one(recording: Path | None) -> None:
    if recording is not None:
        problem = Fault(path="--recording", message="the first file is a recording too", fix="give the decision record first")
        raise ConfigError((problem,), source="verdictd explain")


def write_page(file: Path, text: str, *, source: str) -> None:
    """Raises ``ConfigError`` naming ``source``."""
    try:
        file.write_text(text, encoding="utf-8", errors="backslashreplace")  # the name of a file need not be text
    except OSError as error:
        problem = Fault(path="--html", message=f"{file} cannot be written: {error.strerror}", fix="name a file in a folder")
        raise ConfigError((problem,), source=source) from error


def _print(told: Account) -> None:
    """Colours on a terminal only, and not where the user wants none (https://no-color.org)."""
    colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in lines(told, colours=colours):
        print(line if "\x1b[" in line and colours else rendering.clean(line))
