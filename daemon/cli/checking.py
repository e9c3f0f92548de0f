"""``verdictd check``: is a file what the daemon would take? Every problem is told, with its path and the fix."""

import argparse
import os
from pathlib import Path
from typing import Any

from config import documents
from config.errors import ConfigError, Problem
from config.load import load_policies, load_policy, load_settings
from config.policy import Policy
from config.schema import json_schema, policy_schema, settings_schema
from daemon.cli import rendering
from daemon.cli.exits import Exit
from daemon.cli.releasefile import load_release, looks_like_release
from daemon.model import Release


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    if options.schema is not None:
        print(rendering.as_indented_json(schema(options.schema)))
        return Exit.OK
    if not options.files:
        problem = Problem(path="FILE", message="is missing", fix="name files to check, or use --schema")
        raise ConfigError((problem,), source="verdictd check")
    results = [_checked(file, options.kind) for file in options.files]
    for file, kind, problems in results:
        if options.json:
            found = [{"path": one.path, "message": one.message, "fix": one.fix} for one in problems]
            print(rendering.as_json({"file": file, "kind": kind, "ok": not problems, "problems": found}))
        else:
            print("\n".join(f"{file}: {problem}" for problem in problems) or f"{file}: a usable {kind} file")
    return Exit.USAGE if any(problems for _, _, problems in results) else Exit.OK


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of settings, policy or release."""
    if kind == "settings":
        return settings_schema()
    return policy_schema() if kind == "policy" else json_schema(Release, title="verdictd release")


def _checked(file: str, kind: str | None) -> tuple[str, str, tuple[Problem, ...]]:
    """A file, what it is, and what is wrong with it."""
    found = kind or "unknown"
    try:
        if Path(file).is_dir():
            load_policies(file)
            return file, "policies", ()
        found = kind or _kind_of(documents.read(Path(file)))
        _load(file, found)
    except ConfigError as error:
        return file, found, error.problems
    return file, found, ()


def _load(file: str, kind: str) -> None:
    match kind:
        case "release":
            load_release(file)
        case "policy":
            load_policy(file)
        case _:
            load_settings(file, environ=os.environ)


def _kind_of(document: object) -> str:
    """A release has arms; a policy has at least one key that only policies have; everything else is taken for settings."""
    if looks_like_release(document):
        return "release"
    keys = set(document) if isinstance(document, dict) else set()
    return "policy" if keys & set(Policy.__struct_fields__) else "settings"
