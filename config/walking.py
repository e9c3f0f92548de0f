"""Every problem of a document at once. The models decide what is right; this walk says all that is wrong.

msgspec stops at its first error and has few words for it, so the tree is walked here along the models' own type
information: there is no second description of the fields that could fall behind. What the walk lets pass is still decoded
by msgspec, which has the last word.
"""

import functools
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from config import hints
from config.documents import join
from config.errors import Problem

_CONTRADICTION_PATH = re.compile(r"[a-z_0-9]+(?:\.[A-Za-z_0-9-]+)*(?= )")


def problems(document: object, model: Any, *, path: str = "") -> tuple[Problem, ...]:
    """All problems of a plain document as an instance of ``model`` (any type that msgspec can inspect)."""
    walk = _Walk()
    walk.visit(_type_info(model), document, path)
    return tuple(walk.found)


@functools.cache
def _type_info(model: Any) -> inspect.Type:
    return inspect.type_info(model)


class _Walk:
    """One walk; ``found`` grows in document order."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def add(self, path: str, message: str, fix: str) -> None:
        self.found.append(Problem(path=path or "$", message=message, fix=fix))

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
                    self.add(path, f"{shown(value)} is not true or false", "write true or false, without quotes")
            case inspect.StrType():
                self._text(kind, value, path, fix)
            case _:
                # Types that no settings model uses yet are left to msgspec, which decodes the document afterwards.
                return

    def _struct(self, kind: inspect.StructType, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            keys = ", ".join(field.encode_name for field in kind.fields[:4])
            self.add(path, f"{shown(value)} is not a mapping", f"write keys and values below it ({keys}, ...)")
            return
        before = len(self.found)
        fields = {field.encode_name: field for field in kind.fields}
        for key, item in value.items():
            if key in fields:
                self._field(kind.cls, key, item, fields[key].type, path)
            elif (now := getattr(kind.cls, "RENAMED", {}).get(key)) is not None:
                self.add(join(path, key), "has another name now", f"write {now}")
            elif key != kind.tag_field and kind.forbid_unknown_fields:
                self._unknown(str(key), list(fields), path)
        for name, field in fields.items():
            if field.required and name not in value:
                self.add(join(path, name), "is missing", f"add it: {join(path, name)} has no default")
        if len(self.found) == before and hasattr(kind.cls, "__post_init__"):
            self._contradictions(kind.cls, value, path)

    def _field(self, model: type[Any], key: str, value: object, kind: inspect.Type, path: str) -> None:
        """One field's value, unless an earlier version had another word for it."""
        now = getattr(model, "RENAMED_VALUES", {}).get(key, {}).get(value) if isinstance(value, str) else None
        if now is None:
            self.visit(kind, value, join(path, key))
        else:
            self.add(join(path, key), f"{shown(value)} has another name now", f"write {now}")

    def _unknown(self, key: str, known: list[str], path: str) -> None:
        guess = hints.nearest(key, known)
        fix = f"did you mean {guess}?" if guess else f"remove it; known here: {', '.join(sorted(known))}"
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
            self.add(path, f"{shown(value)} is not a mapping", f"write {field}: {hints.one_of(by_tag)} and its keys below it")
        elif field not in value:
            self.add(join(path, field), "is missing", f"write {field}: {hints.one_of(by_tag)}")
        elif str(value[field]) not in by_tag:
            self._choice(tuple(by_tag), value[field], join(path, field))
        else:
            self._struct(by_tag[str(value[field])], value, path)

    def _dict(self, kind: inspect.DictType, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            self.add(path, f"{shown(value)} is not a mapping", "write names and their values below it")
            return
        for key, item in value.items():
            self.visit(kind.key_type, key, join(path, str(key)))
            self.visit(kind.value_type, item, join(path, str(key)))

    def _list(self, kind: inspect.ListType | inspect.VarTupleType, value: object, path: str) -> None:
        if not isinstance(value, list | tuple):
            self.add(path, f"{shown(value)} is not a list", f"write a list: [{'...' if value is None else _text_of(value)}]")
            return
        if kind.min_length is not None and len(value) < kind.min_length:
            self.add(path, f"has {len(value)} entries", f"give at least {kind.min_length}")
        for index, item in enumerate(value):
            self.visit(kind.item_type, item, f"{path}[{index}]")

    def _choice(self, allowed: tuple[Any, ...], value: object, path: str) -> None:
        if value in allowed and not isinstance(value, bool):
            return
        guess = hints.nearest(value, map(str, allowed)) if isinstance(value, str) else None
        self.add(path, f"{shown(value)} is not one of them", f"write {guess or hints.one_of(allowed)}")

    def _number(self, kind: inspect.FloatType | inspect.IntType, value: object, path: str) -> None:
        field = path.rpartition(".")[2]
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        whole = isinstance(kind, inspect.IntType)
        if number is None or not math.isfinite(number):
            message = f"{shown(value)} is not a {'whole ' if whole else ''}number"
        elif whole and not isinstance(number, int):
            message = f"{shown(value)} is not a whole number"
        elif not hints.inside(kind, number):
            message = f"{shown(value)} is out of range"
        else:
            return
        self.add(path, message, hints.number_fix(kind, value, field))

    def _text(self, kind: inspect.StrType, value: object, path: str, fix: str | None) -> None:
        if not isinstance(value, str):
            self.add(path, f"{shown(value)} is not text", f'write it in quotes: "{_text_of(value)}"')
        elif kind.max_length is not None and len(value) > kind.max_length:
            self.add(path, f"has {len(value)} characters", f"write at most {kind.max_length}")
        elif kind.pattern is not None and re.search(kind.pattern, value) is None:
            self.add(path, f"{shown(value)} has a form that cannot be used", fix or f"match {kind.pattern}")


def shown(value: object) -> str:
    """A value as the reader wrote it, at most 60 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text_of(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
