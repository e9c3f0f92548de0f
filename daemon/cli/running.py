"""``verdictd run``: settings from the file, the environment, then the options; the rest is ``daemon.app``."""

import argparse
import json
import os
from collections.abc import Mapping

import msgspec

from config.load import load_policies, load_settings
from config.settings import Settings


def run(options: argparse.Namespace) -> int:
    """The command. Returns when the daemon has stopped."""
    settings = settings_of(options, environ=os.environ)
    from daemon import app

    return app.run(settings)


def settings_of(options: argparse.Namespace, *, environ: Mapping[str, str]) -> Settings:
    """The settings that file, environment and options make together. Raises ``ConfigError`` with every problem found."""
    chosen = {
        "VERDICTD_NATS__URL": options.nats,
        "VERDICTD_HTTP__LISTEN": options.http_listen,
        "VERDICTD_RECORDINGS__DIRECTORY": options.recordings,
        "VERDICTD_LOG_LEVEL": options.log_level,
    }
    # An option is the strongest form of its variable; JSON text keeps YAML from reading a number into it.
    overrides = {name: json.dumps(value) for name, value in chosen.items() if value is not None}
    settings = load_settings(options.config or environ.get("VERDICTD_CONFIG"), environ={**environ, **overrides})
    if options.policies is None:
        return settings
    return msgspec.structs.replace(settings, policies={**settings.policies, **load_policies(options.policies)})
