"""``verdictd hook --explain``: what the payload of a sender would become, without a daemon and without a secret.

The rooms that read for the daemon's hooks read here too, so that what is said here is what happens there.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, assert_never

import msgspec

from config import documents, files
from config.errors import ConfigError, Fault
from daemon.cli import rendering
from daemon.cli.exits import Exit
from daemon.cli.releasefile import standard_input
from daemon.errors import InvalidInput, NoRelease
from daemon.http.hooks.senders import SENDERS, Sender
from daemon.http.hooks.understanding import Received
from daemon.model import Release


class Explained(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes of an event; ``id`` and ``release`` where it announces one, ``reason`` where it announces none."""

    file: str
    outcome: Literal["taken", "passed", "refused"]
    id: str | None = None
    release: Release | None = None
    reason: str | None = None
    problems: tuple[Fault, ...] = ()

    @property
    def lines(self) -> Iterator[str]:
        """For a person."""
        match self.outcome:
            case "taken":
                yield rendering.clean(f"{self.file}: announces the release {self.id}")
                yield rendering.as_indented_json(_said(msgspec.to_builtins(self.release)))
            case "passed":
                yield rendering.clean(f"{self.file}: announces nothing: {self.reason}")
            case "refused":
                yield from (rendering.clean(f"{self.file}: {problem}") for problem in self.problems)
            case _:
                assert_never(self.outcome)


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    name = options.explain
    received = Received(hook=options.name or options.sender, headers=_headers(options.header), body=_body(name))
    code = Exit.OK
    for found in _explained(SENDERS[options.sender], received, file=name):
        print(rendering.as_json(msgspec.to_builtins(found)) if options.json else "\n".join(found.lines), flush=True)
        code = Exit.DATA if found.outcome == "refused" else code
    return code


def _explained(sender: Sender, received: Received, *, file: str) -> Iterator[Explained]:
    """What becomes of each event."""
    try:
        parts = sender.parts(received)
    except InvalidInput as error:
        yield Explained(file=file, outcome="refused", problems=error.faults)
        return
    for part in parts:
        try:
            understood = sender.read(part)
        except NoRelease as error:
            yield Explained(file=file, outcome="passed", reason=str(error))
        except InvalidInput as error:
            yield Explained(file=file, outcome="refused", problems=error.faults)
        else:
            yield Explained(file=file, outcome="taken", id=understood.release_id, release=understood.release)


def _said(value: Any) -> Any:
    """A document without what it does not say."""
    if not isinstance(value, dict):
        return value
    return {key: said for key, one in value.items() if (said := _said(one)) not in (None, {})}


def _headers(given: Sequence[str]) -> dict[str, str]:
    """Names in lower case, as the daemon's readers have them. Raises ``ConfigError``."""
    headers: dict[str, str] = {}
    for line in given:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            fault = Fault(path="--header", message=f"{line[:60]!r} is no header", fix="write NAME: VALUE")
            raise ConfigError((fault,), source="verdictd hook")
        headers[name.strip().lower()] = value.strip()
    return headers


def _body(name: str) -> bytes:
    if name == "-":
        return standard_input("standard input").encode()
    try:
        return files.read_bytes(Path(name), limit_bytes=documents.MAX_BYTES)
    except files.Unreadable as error:
        raise ConfigError((Fault(path="$", message=error.message, fix=error.fix),), source=name) from error
