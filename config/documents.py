"""YAML or JSON text into plain values, refusing what the two formats would let pass in silence.

A key written twice is legal to both parsers and loses the first value: here it is a fault with its path and line. Keys
that YAML reads as something else than text (``on:``, ``1:``) are faults too, because no setting has such a name. How large
and how deep a document may be is bounded, aliases unfolded, for whatever is done with it later.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from config import files, yamls
from config.errors import ConfigError, Fault

MAX_BYTES = files.MIB
MAX_VALUES = 100_000
_KEY_CHARACTERS = 80


class _Pairs(list[tuple[str, Any]]):
    """A JSON object before its duplicate keys are lost."""


class _LongNumber(str):
    """The digits of a number that is not read."""

    __slots__ = ()


def read(path: Path) -> object:
    """Read a YAML or JSON file (by suffix; anything but ``.json`` is YAML). An empty document is an empty mapping.

    Raises:
        ConfigError: the file cannot be read or parsed, or has a key twice.
    """
    try:
        text = files.read_text(path, limit_bytes=MAX_BYTES)
    except files.Unreadable as error:
        raise _refusal(str(path), error.message, error.fix) from error
    return parse(text, source=str(path), json_only=path.suffix == ".json")


def parse(text: str, *, source: str, json_only: bool = False) -> object:
    """Parse a document. An empty one is an empty mapping. Raises ``ConfigError`` naming ``source``."""
    found: list[Fault] = []
    value = _json(text, source, found) if json_only else _yaml(text, source, found)
    if found:
        raise ConfigError(tuple(found), source=source)
    return {} if value is None else value


def join(path: str, key: str) -> str:
    """The path of ``key`` under ``path``, long keys cut; the whole document is the empty path."""
    short = key if len(key) <= _KEY_CHARACTERS else f"{key[:_KEY_CHARACTERS]}..."
    return f"{path}.{short}" if path else short


def scalar(text: str) -> object:
    """Read one value as YAML would (``5``, ``true``, ``[a, b]``); text that is not YAML is itself."""
    try:
        return yamls.load(text, max_values=MAX_VALUES)
    except yaml.YAMLError:
        return text


def _refusal(source: str, message: str, fix: str) -> ConfigError:
    return ConfigError((Fault(path="$", message=message, fix=fix),), source=source)


def _json(text: str, source: str, found: list[Fault]) -> object:
    try:
        value = json.loads(text, object_pairs_hook=_Pairs, parse_int=_whole_number) if text.strip() else None
    except RecursionError as error:
        raise _too_deep(source) from error
    except ValueError as error:
        raise _refusal(source, f"is not JSON: {error}", "correct the syntax there") from error
    return _Plain(source, found).of(value, "", depth=0)


def _whole_number(digits: str) -> int | _LongNumber:
    return int(digits) if len(digits) <= yamls.MAX_DIGITS else _LongNumber(digits)


def _too_deep(source: str) -> ConfigError:
    return _refusal(source, f"is nested more than {yamls.MAX_DEPTH} levels deep", "write it flatter: no setting needs that")


class _Plain:
    """Decoded JSON as plain values, with the faults that only show on the way."""

    def __init__(self, source: str, found: list[Fault]) -> None:
        self._source = source
        self._found = found
        self._values = 0

    def of(self, value: object, path: str, *, depth: int) -> object:
        """One value and all below it."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise _refusal(self._source, f"holds more than {MAX_VALUES} values", "is it the right file?")
        if depth > yamls.MAX_DEPTH:
            raise _too_deep(self._source)
        match value:
            case _Pairs():
                return self._object(value, path, depth)
            case list():
                return [self.of(item, f"{path}[{index}]", depth=depth + 1) for index, item in enumerate(value)]
            case _LongNumber():
                self._found.append(_long_number(path, len(value)))
            case str():
                self._check_text(value, path)
            case _:
                pass
        return value

    def _object(self, pairs: _Pairs, path: str, depth: int) -> dict[str, object]:
        plain: dict[str, object] = {}
        for key, item in pairs:
            here = join(path, key)
            if key in plain:
                self._found.append(_twice(here))
            self._check_text(key, path)
            plain[key] = self.of(item, here, depth=depth + 1)
        return plain

    def _check_text(self, text: str, path: str) -> None:
        try:
            text.encode()
        except UnicodeEncodeError:
            self._found.append(
                Fault(path=path or "$", message="holds half a character (a lone surrogate)", fix="write the whole character")
            )


def _yaml(text: str, source: str, found: list[Fault]) -> object:
    try:
        node = yamls.compose(text, max_values=MAX_VALUES)
        if node is None:
            return None
        found.extend(_faults(node, "", set()))
        return None if found else yamls.construct(node)
    except yamls.Excessive as error:
        raise _refusal(source, str(error), "write it smaller: no settings need that") from error
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise _refusal(source, f"is not YAML: {where}", "correct the syntax there") from error


def _faults(node: yaml.Node, path: str, seen: set[int]) -> Iterator[Fault]:
    """Duplicate keys, keys that are not text, and numbers without end; what aliases refer to is told of once."""
    if yamls.too_long(node):
        yield _long_number(path, len(node.value))
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield from _mapping_faults(node, path, seen)
    else:
        for index, item in enumerate(node.value):
            yield from _faults(item, f"{path}[{index}]", seen)


def _mapping_faults(node: yaml.MappingNode, path: str, seen: set[int]) -> Iterator[Fault]:
    first_lines: dict[str, int] = {}
    for key, item in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        here = join(path, name)
        line = key.start_mark.line + 1
        if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
            yield Fault(
                path=here, message=f"the key on line {line} is not text to YAML", fix=f'write it in quotes: "{join("", name)}":'
            )
        elif name in first_lines:
            yield _twice(here, lines=(first_lines[name], line))
        first_lines.setdefault(name, line)
        yield from _faults(item, here, seen)


def _twice(path: str, lines: tuple[int, int] | None = None) -> Fault:
    where = f" (lines {lines[0]} and {lines[1]})" if lines else ""
    return Fault(path=path, message=f"is given twice{where}", fix="keep one of them")


def _long_number(path: str, digits: int) -> Fault:
    fix = f"write at most {yamls.MAX_DIGITS}; text goes in quotes"
    return Fault(path=path or "$", message=f"is a number of {digits} digits", fix=fix)
