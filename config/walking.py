"""The problems of a document together. The models decide what is right; this walk says all that is wrong.

msgspec stops at its first error and has few words for it, so the tree is walked here along the models' own type
information: there is no second description of the fields that could fall behind. What the walk lets pass is still decoded
by msgspec, which has the last word. A document with thousands of faults costs no more than one with thirty: the rest are counted.
"""

import functools
import json
import math
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import msgspec
from msgspec import inspect

from config import hints
from config.documents import join
from config.errors import MOST_PROBLEMS, Problem, first_of

# JSON's own numbers end where a 64-bit integer does; beyond it nothing here is a count, a size or a time.
_LEAST_WHOLE, _LARGEST_WHOLE = -(2**63), 2**64 - 1
_SHOWN_CHARACTERS = 60
_SHOWN_ITEMS = 5
_SHOWN_LEVELS = 3
_NOTHING = object()
_CONTRADICTION_PATH = re.compile(r"[a-z_0-9]+(?:\.[A-Za-z_0-9-]+)*(?= )")


def problems(document: object, model: Any, *, path: str = "") -> tuple[Problem, ...]:
    """The problems of a plain document as an instance of ``model`` (any type that msgspec can inspect).

    The first 30, and one more that says how many were left out.
    """
    walk = _Walk()
    walk.visit(_type_info(model), document, path)
    return first_of(walk.found, unseen=walk.unseen)


@functools.cache
def _type_info(model: Any) -> inspect.Type:
    return inspect.type_info(model)


class _Walk:
    """One walk; ``found`` grows in document order up to its limit, ``unseen`` counts what comes after."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.unseen = 0

    @property
    def faults(self) -> int:
        """How many have been seen so far."""
        return len(self.found) + self.unseen

    def add(self, path: str, message: str, fix: str | Callable[[], str], *, of: object = _NOTHING) -> None:
        """One more fault; ``of`` is the value that begins its message. What takes time to say is said of those shown only."""
        if len(self.found) == MOST_PROBLEMS:
            self.unseen += 1
            return
        whole = message if of is _NOTHING else f"{shown(of)} {message}"
        self.found.append(Problem(path=path or "$", message=whole, fix=fix if isinstance(fix, str) else fix()))

    def visit(self, kind: inspect.Type, value: object, path: str, fix: str | None = None) -> None:
        """Check one value against its type. ``fix`` is the model's own word on what to write there."""
        match kind:
            case inspect.Metadata():
                self.visit(kind.type, value, path, (kind.extra or {}).get("fix", fix))
            case inspect.StructType():
                self._struct(kind, value, path)
            case inspect.UnionType():
                self._union(kind, value, path, fix)
            case inspect.DictType():
                self._dict(kind, value, path)
            case inspect.ListType() | inspect.VarTupleType():
                self._list(kind, value, path)
            case inspect.LiteralType():
                self._choice(kind.values, value, path)
            case inspect.EnumType():
                self._choice(tuple(member.value for member in kind.cls), value, path)
            case inspect.FloatType() | inspect.IntType():
                self._number(kind, value, path)
            case inspect.BoolType():
                if not isinstance(value, bool):
                    self.add(path, "is not true or false", "write true or false, without quotes", of=value)
            case inspect.StrType():
                self._text(kind, value, path, fix)
            case _:
                # Types that no settings model uses yet are left to msgspec, which decodes the document afterwards.
                return

    def _struct(self, kind: inspect.StructType, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            keys = ", ".join(field.encode_name for field in kind.fields[:4])
            self.add(path, "is not a mapping", f"write keys and values below it ({keys}, ...)", of=value)
            return
        before = self.faults
        fields = {field.encode_name: field for field in kind.fields}
        for key, item in value.items():
            if key in fields:
                self._field(kind.cls, key, item, fields[key].type, path)
            elif (now := getattr(kind.cls, "RENAMED", {}).get(key)) is not None:
                self.add(join(path, key), "has another name now, and is judged in another way", f"write {now}")
            elif key != kind.tag_field and kind.forbid_unknown_fields:
                self._unknown(str(key), list(fields), path)
        for name, field in fields.items():
            if field.required and name not in value:
                self.add(join(path, name), "is missing", f"add it: {join(path, name)} has no default")
        if self.faults == before and hasattr(kind.cls, "__post_init__"):
            self._contradictions(kind.cls, value, path)

    def _field(self, model: type[Any], key: str, value: object, kind: inspect.Type, path: str) -> None:
        """One field's value, unless an earlier version had another word for it."""
        now = getattr(model, "RENAMED_VALUES", {}).get(key, {}).get(value) if isinstance(value, str) else None
        if now is None:
            self.visit(kind, value, join(path, key))
        else:
            self.add(join(path, key), f"{shown(value)} is no more: the judge decides in another way now", f"write {now}")

    def _unknown(self, key: str, known: list[str], path: str) -> None:
        def fix() -> str:
            guess = hints.nearest(key, known)
            return f"did you mean {guess}?" if guess else f"remove it; known here: {', '.join(sorted(known))}"

        self.add(join(path, key), "is not a known key", fix)

    def _contradictions(self, model: type[Any], value: object, path: str) -> None:
        """Values that are right one by one and wrong together: the model's own refusal, a line for each."""
        try:
            msgspec.convert(value, model)
        except msgspec.ValidationError as error:
            for line in str(error).rpartition(" - at `")[0].splitlines() or str(error).splitlines():
                message, _, fix = line.rpartition("; ")
                where = _CONTRADICTION_PATH.match(line)
                self.add(join(path, where[0]) if where else path, message or line, fix or "change one of them")

    def _union(self, kind: inspect.UnionType, value: object, path: str, fix: str | None) -> None:
        options = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
        if value is None and len(options) < len(kind.types):
            return
        structs = [option for option in options if isinstance(option, inspect.StructType)]
        if len(options) == 1:
            self.visit(options[0], value, path, fix)
        elif len(structs) == len(options):
            self._tagged(structs, value, path)

    def _tagged(self, structs: list[inspect.StructType], value: object, path: str) -> None:
        field = str(structs[0].tag_field)
        by_tag = {str(struct.tag): struct for struct in structs}
        if not isinstance(value, Mapping):
            self.add(path, "is not a mapping", f"write {field}: {hints.one_of(by_tag)} and its keys below it", of=value)
        elif field not in value:
            self.add(join(path, field), "is missing", f"write {field}: {hints.one_of(by_tag)}")
        elif str(value[field]) not in by_tag:
            self._choice(tuple(by_tag), value[field], join(path, field))
        else:
            self._struct(by_tag[str(value[field])], value, path)

    def _dict(self, kind: inspect.DictType, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            self.add(path, "is not a mapping", "write names and their values below it", of=value)
            return
        for key, item in value.items():
            self.visit(kind.key_type, key, join(path, str(key)))
            self.visit(kind.value_type, item, join(path, str(key)))

    def _list(self, kind: inspect.ListType | inspect.VarTupleType, value: object, path: str) -> None:
        if not isinstance(value, list | tuple):
            self.add(path, "is not a list", lambda: f"write a list: [{'...' if value is None else _text_of(value)}]", of=value)
            return
        if kind.min_length is not None and len(value) < kind.min_length:
            self.add(path, f"has {len(value)} entries", f"give at least {kind.min_length}")
        for index, item in enumerate(value):
            self.visit(kind.item_type, item, f"{path}[{index}]")

    def _choice(self, allowed: tuple[Any, ...], value: object, path: str) -> None:
        if isinstance(value, str | int) and value in allowed and not isinstance(value, bool):
            return

        def fix() -> str:
            guess = hints.nearest(value, map(str, allowed)) if isinstance(value, str) else None
            return f"write {guess or hints.one_of(allowed)}"

        self.add(path, "is not one of them", fix, of=value)

    def _number(self, kind: inspect.FloatType | inspect.IntType, value: object, path: str) -> None:
        field = path.rpartition(".")[2]
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        whole = isinstance(kind, inspect.IntType)
        if isinstance(number, int) and not _LEAST_WHOLE <= number <= _LARGEST_WHOLE:
            message = "is out of range"
        elif number is None or not math.isfinite(number):
            message = f"is not a {'whole ' if whole else ''}number"
        elif whole and not isinstance(number, int):
            message = "is not a whole number"
        elif not hints.inside(kind, number):
            message = "is out of range"
        else:
            return
        self.add(path, message, lambda: hints.number_fix(kind, value, field), of=value)

    def _text(self, kind: inspect.StrType, value: object, path: str, fix: str | None) -> None:
        if not isinstance(value, str):
            self.add(path, "is not text", lambda: f'write it in quotes: "{_text_of(value)}"', of=value)
        elif kind.max_length is not None and len(value) > kind.max_length:
            self.add(path, f"has {len(value)} characters", f"write at most {kind.max_length}")
        elif kind.pattern is not None and re.search(kind.pattern, value) is None:
            self.add(path, "has a form that cannot be used", fix or f"match {kind.pattern}", of=value)


def shown(value: object) -> str:
    """A value as the reader wrote it, at most 60 characters; costs no more for a value of any size."""
    part = _part_of(value, _SHOWN_LEVELS)
    try:
        text = json.dumps(part, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(part)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def _part_of(value: object, levels: int) -> object:
    """As much of a value as can be shown."""
    part = value
    match value:
        case str():
            part = value[: _SHOWN_CHARACTERS + 1]
        case int() if not _LEAST_WHOLE <= value <= _LARGEST_WHOLE:
            part = f"a whole number of {value.bit_length()} bits"
        case Mapping() | list() | tuple() if levels == 0:
            part = "..."
        case Mapping():
            part = {str(key)[:_SHOWN_CHARACTERS]: _part_of(item, levels - 1) for key, item in islice(value.items(), _SHOWN_ITEMS)}
        case list() | tuple():
            part = [_part_of(item, levels - 1) for item in value[:_SHOWN_ITEMS]]
        case _:
            pass
    return part


def _text_of(value: object) -> str:
    return value[:_SHOWN_CHARACTERS] if isinstance(value, str) else shown(value)
