"""``verdictd run``: settings from the file, the environment, then the options; the rest is ``daemon.app``."""

import argparse
import json
import logging
import os
from collections.abc import Mapping

import msgspec

from config.errors import ConfigError, Fault
from config.load import load_policies
from config.settings import Settings
from daemon import settings as known
from daemon.cli.exits import Exit
from daemon.cli.settingsfile import settings_file

log = logging.getLogger(__name__)


def run(options: argparse.Namespace) -> int:
    """The command. Returns when the daemon has stopped. What nobody expected goes to the log, with its traceback."""
    settings = settings_of(options, environ=os.environ)
    from daemon import app

    try:
        return app.run(settings, file=settings_file(options.config, environ=os.environ))
    except Exception:
        log.exception("ended by a defect of verdictd")
        return Exit.DEFECT


def settings_of(options: argparse.Namespace, *, environ: Mapping[str, str]) -> Settings:
    """The settings that file, environment and options make together. Raises ``ConfigError`` with every problem found."""
    given = {name: value for name, (_, value) in _overrides(options).items() if value is not None}
    # An option is the strongest form of its variable; JSON text keeps YAML from reading a number into it.
    environ = {**environ, **{name: json.dumps(value, ensure_ascii=False) for name, value in given.items()}}
    try:
        settings = known.load_settings(settings_file(options.config, environ=environ), environ=environ)
    except ConfigError as error:
        raise _by_option(error, {name: _overrides(options)[name][0] for name in given}) from error
    if options.policies is None:
        return settings
    return msgspec.structs.replace(settings, policies={**settings.policies, **load_policies(options.policies)})


def _overrides(options: argparse.Namespace) -> dict[str, tuple[str, str | None]]:
    """For each variable that an option stands for: the option, and what it was given."""
    return {
        "VERDICTD_NATS__URL": ("--nats", options.nats),
        "VERDICTD_HTTP__LISTEN": ("--http-listen", options.http_listen),
        "VERDICTD_RECORDINGS__DIRECTORY": ("--recordings", options.recordings),
        "VERDICTD_LOG_LEVEL": ("--log-level", options.log_level),
    }


def _by_option(error: ConfigError, given: Mapping[str, str]) -> ConfigError:
    """The same refusal, naming the option where a value came from one."""

    def named(text: str) -> str:
        for variable, option in given.items():
            text = text.replace(f"(from {variable})", f"(from {option})")
        return text

    problems = tuple(Fault(path=one.path, message=named(one.message), fix=one.fix) for one in error.faults)
    return ConfigError(problems, source="verdictd run" if error.source == "environment" else error.source)
