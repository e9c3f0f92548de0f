"""``verdictd notify --test NAME``: a made-up verdict over one channel of the settings, now and once, without a daemon or a broker.

The rooms that tell for the daemon tell here too, so that what is taken here is taken there. What is told says of itself that it is
a test: its release is called ``test-...``, and its reason says so.
"""

import argparse
import asyncio
import logging
import os
import time
from typing import TypeVar

import msgspec

from config.errors import ConfigError, Fault
from config.settings import Settings
from daemon import names
from daemon.aio.clock import SystemClock
from daemon.cli import rendering
from daemon.cli.exits import Exit
from daemon.cli.settingsfile import settings_file
from daemon.couriers import opened_teller
from daemon.errors import Forbidden, InvalidInput, VerdictdError
from daemon.model import Action, ArmSpec, GitHubDeployment, GitLabCommit, Outcome, Release, Verdict
from daemon.ports.notices import Notice
from daemon.settings import load_settings
from daemon.sinks.channel import ChannelSettings

_S = TypeVar("_S", bound=msgspec.Struct)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it; ``error`` is null where it was taken."""

    sink: str
    taken: bool
    error: str | None = None


def run(options: argparse.Namespace) -> Exit:
    """The command: 0 it was taken, 65 it can never be told there, 69 it was not taken, 77 who we are is not believed."""
    config = settings_file(options.config, environ=os.environ)
    settings = load_settings(config, environ=os.environ)
    _check(settings, options.test, source=config or "environment")
    logging.getLogger("daemon").addHandler(logging.NullHandler())
    notice = example(options, cluster=settings.cluster)
    try:
        asyncio.run(_told(settings, options.test, notice))
    except VerdictdError as error:
        _say(Attempt(sink=options.test, taken=False, error=str(error)), json=options.json)
        return _code(error)
    _say(Attempt(sink=options.test, taken=True), json=options.json)
    return Exit.OK


def example(options: argparse.Namespace, *, cluster: str) -> Notice:
    """A made-up verdict of a release that has what the options say. Raises ``ConfigError``."""
    now = time.time()
    release = Release(
        service="test",
        baseline=ArmSpec(version="v1"),
        canary=ArmSpec(version="v2"),
        callback=options.callback,
        github=_read(options.github, GitHubDeployment, option="--github", fix="write OWNER/NAME/DEPLOYMENT"),
        gitlab=_read(options.gitlab, GitLabCommit, option="--gitlab", fix="write GROUP/PROJECT/COMMIT"),
    )
    verdict = Verdict(
        release_id=names.new_release_id("test", origin=f"notify\n{now}"),
        service=release.service,
        namespace=release.namespace,
        cluster=cluster,
        outcome=Outcome.ROLLBACK,
        meaning="rollback",
        action=Action.REVERT,
        reason="This is a test by verdictd notify: nothing was released, and nothing was taken back.",
        leg=None,
        evidence=1.0,
        boundary=100.0,
        ticks=0,
        decided_at=now,
        policy_hash="",
    )
    return Notice(release=release, verdict=verdict)


async def _told(settings: Settings, name: str, notice: Notice) -> None:
    async with opened_teller(settings, name, clock=SystemClock()) as to:
        await to.tell(notice)


def _check(settings: Settings, name: str, *, source: str) -> None:
    channels = sorted(one for one, own in settings.sinks.items() if isinstance(own, ChannelSettings))
    if name not in channels:
        known = f"write one of {', '.join(channels)}" if channels else "add one there"
        raise ConfigError((Fault(path=f"sinks.{name}", message="is no channel of these settings", fix=known),), source=source)


def _read(text: str | None, model: type[_S], *, option: str, fix: str) -> _S | None:
    """``place/last`` as the two fields of a model."""
    if text is None:
        return None
    place, _, last = text.rpartition("/")
    first, second = model.__struct_fields__
    try:
        return msgspec.convert({first: place, second: last}, model, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError((Fault(path=option, message=str(error), fix=fix),), source="verdictd notify") from error


def _say(attempt: Attempt, *, json: bool) -> None:
    if json:
        print(rendering.as_json(msgspec.to_builtins(attempt)))
    else:
        print(rendering.clean(f"{attempt.sink}: " + ("taken" if attempt.taken else f"not taken: {attempt.error}")))


def _code(error: VerdictdError) -> Exit:
    match error:
        case InvalidInput():
            return Exit.DATA
        case Forbidden():
            return Exit.FORBIDDEN
        case _:
            return Exit.UNAVAILABLE
