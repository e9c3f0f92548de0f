"""Settings from the environment: ``VERDICTD_HTTP__LISTEN=0.0.0.0:8484``. Two underscores go down one level.

Values are read as YAML scalars, so that ``5``, ``true`` and ``[a, b]`` mean what they mean in the file. Variables with our
prefix that Kubernetes injects for a Service called verdictd, and those the commands read themselves, are no settings.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

from config import documents
from config.documents import join
from config.errors import Fault

PREFIX = "VERDICTD_"
COMMAND_VARIABLES = frozenset({"VERDICTD_SERVER", "VERDICTD_TOKEN", "VERDICTD_TOKEN_FILE", "VERDICTD_CA_FILE", "VERDICTD_CONFIG"})
_SERVICE_LINK = re.compile(
    r"VERDICTD_(?:[A-Z0-9]+_)*(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)"
)


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that are settings, in alphabetical order."""
    return {
        name: environ[name]
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in COMMAND_VARIABLES and _SERVICE_LINK.fullmatch(name) is None
    }


def override(document: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str], list[Fault]]:
    """Lay the environment over a document.

    Returns:
        The new document, the variable that each overridden path came from, and the variables that fit nowhere.
    """
    result: dict[str, Any] = copy.deepcopy(dict(document))
    origins: dict[str, str] = {}
    found: list[Fault] = []
    for name, text in variables(environ).items():
        levels = name.removeprefix(PREFIX).split("__")
        if not _is_text(name + text):
            found.append(
                Fault(
                    path=".".join(levels).lower(),
                    message=f"holds bytes that are not UTF-8 (from {name})",
                    fix="write it as UTF-8",
                )
            )
            continue
        where = _place(result, levels)
        if where is None:
            found.append(
                Fault(
                    path=".".join(levels).lower(),
                    message=f"{name} does not fit: a level of it is empty or holds a single value in the file",
                    fix="separate levels by exactly two underscores",
                )
            )
            continue
        target, key, path = where
        target[key] = documents.scalar(text)
        origins[path] = name
    return result, origins, found


def _is_text(text: str) -> bool:
    """Whether this can be written as UTF-8: bytes of the environment that are none are half characters to Python."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(document: dict[str, Any], levels: list[str]) -> tuple[dict[str, Any], str, str] | None:
    """The mapping, key and path that a variable's levels name; mappings on the way are made."""
    path, here = "", document
    for depth, level in enumerate(levels):
        if not level.strip("_"):
            return None
        key = _spelling(here, level)
        path = join(path, key)
        if depth == len(levels) - 1:
            return here, key, path
        below = here.setdefault(key, {})
        if below is None:
            below = here[key] = {}
        if not isinstance(below, dict):
            return None
        here = below
    return None


def _spelling(mapping: Mapping[str, Any], level: str) -> str:
    """The key as the file spells it (a variable cannot carry ``-`` or capitals), else the level in lower case."""
    folded = level.lower()
    return next((key for key in mapping if key.lower().replace("-", "_") == folded), folded)
