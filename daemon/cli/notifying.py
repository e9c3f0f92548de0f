"""``verdictd notify --test NAME``: a made-up verdict over one channel of the settings, now and once, without a daemon or a broker.

The rooms that tell for the daemon tell here too, so that what is taken here is taken there. What is told says of itself that it is
a test: its release is called ``test-...``, and its reason says so.
"""

import argparse
import asyncio
import logging
import os
import time
from collections.abc import Mapping
from typing import Final, TypeVar

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
from daemon.model import Action, ArmSpec, GitHubDeployment, GitHubRule, GitLabCommit, Outcome, Release, Verdict
from daemon.ports.notices import News, Notice, PersonWanted
from daemon.settings import load_settings
from daemon.sinks.channel import ChannelSettings
from daemon.sinks.githubrule import ProtectionRuleSettings

_REASON: Final = "This is a test by verdictd notify: nothing was released, and nothing was taken back."
_SECONDS: Final = 600.0

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
    notice = _news(example(options, cluster=settings.cluster), settings.sinks[options.test])
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
        github_rule=_rule(options.github_rule),
    )
    verdict = Verdict(
        release_id=names.new_release_id("test", origin=f"notify\n{now}"),
        service=release.service,
        namespace=release.namespace,
        cluster=cluster,
        outcome=Outcome.ROLLBACK,
        meaning="rollback",
        action=Action.REVERT,
        reason=_REASON,
        leg=None,
        evidence=1.0,
        boundary=100.0,
        ticks=0,
        decided_at=now,
        policy_hash="",
    )
    return Notice(release=release, verdict=verdict)


def _news(notice: Notice, own: object) -> News:
    """To a job that waits a report, which leaves it waiting: a verdict would end that."""
    if not isinstance(own, ProtectionRuleSettings):
        return notice
    verdict = notice.verdict
    until = verdict.decided_at + _SECONDS
    release_id, cluster = verdict.release_id, verdict.cluster
    return PersonWanted(release=notice.release, release_id=release_id, cluster=cluster, until=until, reason=_REASON)


async def _told(settings: Settings, name: str, notice: News) -> None:
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
    return _converted({first: place, second: last}, model, option=option, fix=fix)


def _rule(text: str | None) -> GitHubRule | None:
    """The environment comes last, since its name may hold a slash."""
    if text is None:
        return None
    parts = dict(zip(("owner", "name", "run", "environment"), text.split("/", 3), strict=False))
    found = {"repository": f"{parts.pop('owner', '')}/{parts.pop('name', '')}", **parts}
    return _converted(found, GitHubRule, option="--github-rule", fix="write OWNER/NAME/RUN/ENVIRONMENT")


def _converted(found: Mapping[str, str], model: type[_S], *, option: str, fix: str) -> _S:
    try:
        return msgspec.convert(found, model, strict=False)
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
