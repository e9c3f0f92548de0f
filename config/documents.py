"""YAML or JSON text into plain values, refusing what the two formats would let pass in silence.

A key written twice is legal to both parsers and loses the first value: here it is a problem with its path and line. Keys
that YAML reads as something else than text (``on:``, ``1:``) are problems too, because no setting has such a name.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from config.errors import ConfigError, Problem

MAX_BYTES = 1024 * 1024


class _Pairs(list[tuple[str, Any]]):
    """A JSON object before its duplicate keys are lost."""


def read(path: Path) -> object:
    """Read a YAML or JSON file (by suffix; anything but ``.json`` is YAML). An empty document is an empty mapping.

    Raises:
        ConfigError: the file cannot be read or parsed, or has a key twice.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _refusal(str(path), "is larger than 1 MiB", "give the configuration file itself")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _refusal(str(path), f"cannot be read: {error.strerror}", "correct the path or its permissions") from error
    except UnicodeDecodeError as error:
        raise _refusal(str(path), f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from error
    return parse(text, source=str(path), json_only=path.suffix == ".json")


def parse(text: str, *, source: str, json_only: bool = False) -> object:
    """Parse a document. An empty one is an empty mapping. Raises ``ConfigError`` naming ``source``."""
    problems: list[Problem] = []
    value = _json(text, source, problems) if json_only else _yaml(text, source, problems)
    if problems:
        raise ConfigError(tuple(problems), source=source)
    return {} if value is None else value


def join(path: str, key: str) -> str:
    """The path of ``key`` under ``path``; the whole document is the empty path."""
    return f"{path}.{key}" if path else key


def scalar(text: str) -> object:
    """Read one value as YAML would (``5``, ``true``, ``[a, b]``); text that is not YAML is itself."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _refusal(source: str, message: str, fix: str) -> ConfigError:
    return ConfigError((Problem(path="$", message=message, fix=fix),), source=source)


def _json(text: str, source: str, problems: list[Problem]) -> object:
    try:
        value = json.loads(text, object_pairs_hook=_Pairs) if text.strip() else None
    except (ValueError, RecursionError) as error:
        raise _refusal(source, f"is not JSON: {error}", "correct the syntax there") from error
    return _plain(value, "", problems)


def _plain(value: object, path: str, problems: list[Problem]) -> object:
    if isinstance(value, _Pairs):
        plain: dict[str, object] = {}
        for key, item in value:
            if key in plain:
                problems.append(_twice(join(path, key)))
            plain[key] = _plain(item, join(path, key), problems)
        return plain
    if isinstance(value, list):
        return [_plain(item, f"{path}[{index}]", problems) for index, item in enumerate(value)]
    return value


def _yaml(text: str, source: str, problems: list[Problem]) -> object:
    # The pure Python loader: the one in C overflows its stack, and ends the process, on a document nested too deep.
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        problems.extend(_faults(node, "", ()))
        return None if node is None or problems else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: a scalar that looks like a date and is none, for example 2026-02-30.
        where = " ".join(str(error).split())
        raise _refusal(source, f"is not YAML: {where}", "correct the syntax there") from error


def _faults(node: yaml.Node | None, path: str, above: tuple[int, ...]) -> Iterator[Problem]:
    """Duplicate keys, keys that are not text, and aliases that contain themselves."""
    if id(node) in above:
        yield Problem(path=path or "$", message="contains itself through an alias", fix="write the value out")
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _faults(item, f"{path}[{index}]", (*above, id(node)))
    elif isinstance(node, yaml.MappingNode):
        yield from _mapping_faults(node, path, (*above, id(node)))


def _mapping_faults(node: yaml.MappingNode, path: str, above: tuple[int, ...]) -> Iterator[Problem]:
    first_lines: dict[str, int] = {}
    for key, item in node.value:
        here = join(path, str(key.value))
        line = key.start_mark.line + 1
        if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
            yield Problem(
                path=here, message=f"the key on line {line} is not text to YAML", fix=f'write it in quotes: "{key.value}":'
            )
        elif key.value in first_lines:
            yield _twice(here, lines=(first_lines[key.value], line))
        first_lines.setdefault(str(key.value), line)
        yield from _faults(item, here, above)


def _twice(path: str, lines: tuple[int, int] | None = None) -> Problem:
    where = f" (lines {lines[0]} and {lines[1]})" if lines else ""
    return Problem(path=path, message=f"is given twice{where}", fix="keep one of them")
