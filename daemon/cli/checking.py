"""``verdictd check``: is a file what the daemon would take? Every problem is told, with its path and the fix.

Of a recording, which carries a policy and a histogram, also: which of the policy's tolerances its latency buckets can tell.
"""

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from config import documents
from config.errors import ConfigError, Fault
from config.load import load_policies, policy_of
from config.policy import Policy
from config.schema import json_schema, policy_schema
from daemon.cli import rendering
from daemon.cli.exits import Exit
from daemon.cli.releasefile import checked_announcement, looks_like_release
from daemon.model import Outline, Release
from daemon.recordings import SUFFIXES

# More than any folder of policies or recordings holds; somebody's home is not searched for minutes.
_MOST_ENTRIES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """A file, what it is, and what is wrong with it; ``told`` is what else there is to say, and ``more`` the same in JSON."""

    file: str
    kind: str
    problems: tuple[Fault, ...] = ()
    told: tuple[str, ...] = ()
    more: Mapping[str, object] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """For a person."""
        said = [str(problem) for problem in self.problems] or [f"a usable {self.kind} file", *self.told]
        return [rendering.clean(f"{self.file}: {one}") for one in said]

    @property
    def document(self) -> dict[str, object]:
        """For a program."""
        problems = [{"path": one.path, "message": one.message, "fix": one.fix} for one in self.problems]
        return {"file": self.file, "kind": self.kind, "ok": not problems, "problems": problems, **self.more}


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    if options.schema is not None:
        print(rendering.as_indented_json(schema(options.schema)))
        return Exit.OK
    if options.example is not None:
        print(example(options.example), end="")
        return Exit.OK
    if not options.files:
        problem = Fault(path="FILE", message="is missing", fix="name files to check, or use --schema or --example")
        raise ConfigError((problem,), source="verdictd check")
    code = Exit.OK
    for found in (one for name in options.files for one in _all_checked(name, options.kind)):
        print(rendering.as_json(found.document) if options.json else "\n".join(found.lines), flush=True)
        code = Exit.USAGE if found.problems else code
    return code


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of settings, policy or release."""
    if kind == "settings":
        from daemon.settings import settings_schema  # here, since the settings know the whole daemon

        return settings_schema()
    return policy_schema() if kind == "policy" else json_schema(Release, title="verdictd release")


def example(kind: str) -> str:
    """A file of that kind for a person to begin with, as YAML with comments: settings, policy or release."""
    return (resources.files("daemon.cli") / "examples" / f"{kind}.yaml").read_text(encoding="utf-8")


def _all_checked(name: str, kind: str | None) -> Iterator[_Checked]:
    """A folder that holds recordings stands for them; any other is one of policies, which is checked as a whole."""
    if kind not in {None, "recording"} or not _is_folder(name):
        yield _checked(name, kind)
        return
    try:
        files = _recordings_below(name)
    except ConfigError as error:
        yield _Checked(file=name, kind=kind or "unknown", problems=error.faults)
        return
    for file in files or [name]:
        yield _checked(file, kind)


def _recordings_below(folder: str) -> list[str]:
    """The recordings in a folder and all below it. Raises ``ConfigError`` for a folder too full to be one of anything of ours."""
    found: list[str] = []
    entries = 0
    for path, folders, files in os.walk(folder):
        entries += len(folders) + len(files)
        if entries > _MOST_ENTRIES:
            message = f"more than {_MOST_ENTRIES} files and folders are below it"
            fix = "name the files, or a folder that holds recordings or policies only"
            raise ConfigError((Fault(path="$", message=message, fix=fix),), source=folder)
        found += [os.path.join(path, file) for file in files if file.endswith(SUFFIXES)]  # noqa: PTH118 - a Path a file is slow
    return sorted(found)


def _is_folder(name: str) -> bool:
    return os.path.isdir(name)  # noqa: PTH112 - Path.is_dir raises where a name is too long


def _checked(file: str, kind: str | None) -> _Checked:
    found = kind or ("recording" if file.endswith(SUFFIXES) else "unknown")
    try:
        if found == "recording":
            return _recording(file)
        if _is_folder(file):
            return _folder(file)
        document = _within(documents.read(Path(file)), source=file)
        found = kind or _kind_of(document)
        told = _read(document, found, source=file)
    except ConfigError as error:
        return _Checked(file=file, kind=found, problems=error.faults)
    return _Checked(file=file, kind=found, told=told)


def _folder(folder: str) -> _Checked:
    """One of policies. Whoever names one to be checked has something in it. Raises ``ConfigError``."""
    policies = load_policies(folder)
    if not policies:
        fix = "name a folder with a .yaml or .json file for each policy, or with recordings"
        raise ConfigError((Fault(path="$", message="the folder holds no policy and no recording", fix=fix),), source=folder)
    return _Checked(file=folder, kind="policies", told=(f"its policies: {', '.join(policies)}",), more={"policies": [*policies]})


def _within(document: object, *, source: str) -> object:
    """What is meant by a ConfigMap: the document that it holds, as a pod's volume shows it. Raises ``ConfigError``."""
    match document:
        case {"kind": "ConfigMap", "data": {**held}}:
            files = [text for name, text in held.items() if Path(str(name)).suffix in {".yaml", ".yml", ".json"}]
            if len(files) == 1 and isinstance(files[0], str):
                return documents.parse(files[0], source=source)
            return document
        case _:
            return document


def _recording(file: str) -> _Checked:
    # Imported here, since it brings the judge's libraries along: settings are checked without waiting for them.
    from daemon.cli.recordingcheck import check

    found = check(file)
    return _Checked(
        file=file, kind="recording", told=found.sentences, more={"buckets": found.buckets, "torn_line": found.torn_line}
    )


def _read(document: object, kind: str, *, source: str) -> tuple[str, ...]:
    """What else there is to say of it. Raises ``ConfigError``."""
    match kind:
        case "release":
            if isinstance(checked_announcement(document, source=source), Outline):
                return ("its arms are for the daemon to find, which needs a source of kind kubernetes in the settings",)
        case "policy":
            policy_of(document, source=source)
        case _:
            from daemon.settings import settings_of

            if not settings_of(document, source=source, environ=os.environ).meshes:
                return ("nothing can be watched: no mesh is configured; see verdictd check --example settings",)
    return ()


def _kind_of(document: object) -> str:
    """A release has a service or arms; a policy has a key that only policies have; everything else is taken for settings."""
    if looks_like_release(document):
        return "release"
    keys = set(document) if isinstance(document, dict) else set()
    return "policy" if keys & set(Policy.__struct_fields__) else "settings"
