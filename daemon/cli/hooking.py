"""``verdictd hook --explain``: what the payload of a sender would become, step by step, without a daemon and without a secret.

The rooms that read for the daemon's hooks read here too, so that what is said here is what happens there.
"""

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, assert_never

import msgspec

from config import documents, files
from config.errors import ConfigError, Fault
from config.hooksenders import HookSender
from config.settings import Settings
from daemon.cli import rendering
from daemon.cli.exits import Exit
from daemon.cli.releasefile import standard_input
from daemon.cli.settingsfile import settings_file
from daemon.errors import InvalidInput, NoRelease
from daemon.http.hooks.senders import SENDERS, Sender
from daemon.http.hooks.understanding import Received
from daemon.model import Outline, Release
from daemon.settings import load_settings
from daemon.watcher.settings import hearing_of

_BY_HEADER: Mapping[str, HookSender] = {"x-github-event": "github", "x-gitlab-event": "gitlab", "gotk-component": "flux"}


class Explained(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes of an event, and the ``steps`` that led there.

    ``id`` and ``release`` where it announces one, or ``outline`` where its arms are to be found; ``reason`` where it does not.
    """

    file: str
    outcome: Literal["taken", "passed", "refused"]
    id: str | None = None
    release: Release | None = None
    outline: Outline | None = None
    reason: str | None = None
    problems: tuple[Fault, ...] = ()
    steps: tuple[str, ...] = ()

    @property
    def lines(self) -> Iterator[str]:
        """For a person."""
        yield from (rendering.clean(f"{self.file}: {step}") for step in self.steps)
        match self.outcome:
            case "taken" if self.outline is not None:
                yield rendering.clean(
                    f"{self.file}: announces {self.id}, whose arms are looked for in the cluster until it takes traffic"
                )
                yield rendering.as_indented_json(_said(msgspec.to_builtins(self.outline)))
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
    name, headers, settings = options.explain, _headers(options.header), _settings(options.config)
    word, why = _sender(options, headers, settings)
    received = Received(hook=options.name or word, headers=headers, body=_body(name), hearing=hearing_of(settings))
    code = Exit.OK
    for found in _explained(SENDERS[word], received, file=name, why=f"the sender is {word}, {why}"):
        print(rendering.as_json(msgspec.to_builtins(found)) if options.json else "\n".join(found.lines), flush=True)
        code = Exit.DATA if found.outcome == "refused" else code
    return code


def _settings(named: str | None) -> Settings:
    """The daemon's, for its hooks and its mapping. Raises ``ConfigError``."""
    return load_settings(settings_file(named, environ=os.environ))


def _sender(options: argparse.Namespace, headers: Mapping[str, str], settings: Settings) -> tuple[HookSender, str]:
    """Whose words these are, and how that is known."""
    if options.sender is not None:
        return options.sender, "as --sender says"
    if options.name in settings.hooks:
        return settings.hooks[options.name].sender, f"as hooks.{options.name} says"
    found = next((sender for header, sender in _BY_HEADER.items() if header in headers), None)
    return (found, "by its headers") if found is not None else ("cloudevents", "since nothing says another")


def _explained(sender: Sender, received: Received, *, file: str, why: str) -> Iterator[Explained]:
    """What becomes of each event. ``why``: the first step, by which its sender is known."""
    try:
        parts = sender.parts(received)
    except InvalidInput as error:
        yield Explained(file=file, outcome="refused", problems=error.faults, steps=(why,))
        return
    for part in parts:
        steps = [why]
        try:
            understood = sender.read(replace(part, hearing=replace(part.hearing, tell=steps.append)))
        except NoRelease as error:
            yield Explained(file=file, outcome="passed", reason=str(error), steps=tuple(dict.fromkeys(steps)))
        except InvalidInput as error:
            yield Explained(file=file, outcome="refused", problems=error.faults, steps=tuple(dict.fromkeys(steps)))
        else:
            found = understood.release
            yield Explained(
                file=file,
                outcome="taken",
                id=understood.release_id,
                release=found if isinstance(found, Release) else None,
                outline=found if isinstance(found, Outline) else None,
                steps=tuple(dict.fromkeys(steps)),
            )


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
