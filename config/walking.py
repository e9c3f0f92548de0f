"""The faults of a document together. The models decide what is right; this walk says all that is wrong.

msgspec stops at its first error and has few words for it, so the tree is walked here along the models' own type
information: there is no second description of the fields that could fall behind. What is wrong with one value that holds no
others is said in ``config/values.py``. What the walk lets pass is still decoded by msgspec, which has the last word. A document
with thousands of faults costs no more than one with thirty: the rest are counted.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from config import values
from config.documents import join
from config.errors import MOST_FAULTS, Fault, as_text, first_of, nearest, one_of, placed, shown
from config.secretnames import SECRET_NAME

_NOTHING = object()
_CONTRADICTION_PATH = re.compile(r"[a-z_0-9]+(?:\.[A-Za-z_0-9-]+|\[\d+\])*(?= )")


def faults(document: object, model: Any, *, path: str = "") -> tuple[Fault, ...]:
    """The faults of a plain document as an instance of ``model`` (any type that msgspec can inspect).

    The first 30, and one more that says how many were left out.
    """
    walk = _Walk()
    walk.visit(_type_info(model), document, path)
    return first_of(walk.found, unseen=walk.unseen) or _last_word(document, model, path)


def _last_word(document: object, model: Any, path: str) -> tuple[Fault, ...]:
    try:
        msgspec.convert(document, model)
    except msgspec.ValidationError as error:
        message, where = placed(error, path=path)
        return (Fault(path=where, message=message, fix="see the schema"),)
    return ()


@functools.cache
def _type_info(model: Any) -> inspect.Type:
    return inspect.type_info(model)


class _Walk:
    """One walk; ``found`` grows in document order up to its limit, ``unseen`` counts what comes after."""

    def __init__(self) -> None:
        self.found: list[Fault] = []
        self.unseen = 0

    @property
    def faults(self) -> int:
        """How many have been seen so far."""
        return len(self.found) + self.unseen

    def add(self, path: str, message: str, fix: str | Callable[[], str], *, of: object = _NOTHING) -> None:
        """One more fault; ``of`` is the value that begins its message. What takes time to say is said of those shown only."""
        if len(self.found) == MOST_FAULTS:
            self.unseen += 1
            return
        hidden = isinstance(of, Mapping | list | tuple) and SECRET_NAME.search(path.rpartition(".")[2]) is not None
        whole = message if of is _NOTHING or hidden else f"{shown(of)} {message}"
        self.found.append(Fault(path=path or "$", message=whole, fix=fix if isinstance(fix, str) else fix()))

    def visit(self, kind: inspect.Type, value: object, path: str, own: values.Own = values.NOTHING) -> None:
        """Check one value against its type, and by the model's ``own`` word on what stands there."""
        match kind:
            case inspect.Metadata():
                self.visit(kind.type, value, path, own.under(kind.extra))
            case inspect.StructType() if kind.tag is not None:
                self._tagged([kind], value, path)
            case inspect.StructType():
                self._struct(kind, value, path)
            case inspect.UnionType():
                self._union(kind, value, path, own)
            case inspect.DictType():
                self._dict(kind, value, path, own)
            case inspect.ListType() | inspect.VarTupleType():
                self._list(kind, value, path)
            case _:
                self._refuse(values.wrong(kind, value, field=path.rpartition(".")[2], own=own), value, path)

    def _refuse(self, wrong: values.Wrong | None, value: object, path: str) -> None:
        if wrong is not None:
            self.add(path, wrong.message, wrong.fix, of=value if wrong.named else _NOTHING)

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
                self.add(join(path, name), "is missing", f"add it: {name} has no default")
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
            guess = nearest(key, known)
            return f"did you mean {guess}?" if guess else f"remove it; known here: {', '.join(sorted(known))}"

        self.add(join(path, key), "is not a known key", fix)

    def _contradictions(self, model: type[Any], value: object, path: str) -> None:
        """Values that are right one by one and wrong together: the model's own refusal, a line for each."""
        try:
            msgspec.convert(value, model)
        except msgspec.ValidationError as error:
            for line in placed(error)[0].splitlines():
                message, _, fix = line.rpartition("; ")
                where = _CONTRADICTION_PATH.match(line)
                self.add(join(path, where[0]) if where else path, message or line, fix or "change one of them")

    def _union(self, kind: inspect.UnionType, value: object, path: str, own: values.Own) -> None:
        options = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
        if value is None and len(options) < len(kind.types):
            return
        structs = [option for option in options if isinstance(option, inspect.StructType)]
        if len(options) == 1:
            self.visit(options[0], value, path, own)
        elif len(structs) == len(options):
            self._tagged(structs, value, path)
        elif not structs and own.fix is not None:
            field = path.rpartition(".")[2]
            if all(values.wrong(option, value, field=field, own=own) is not None for option in options):
                self.add(path, "has a form that cannot be used", own.fix, of=value)

    def _tagged(self, structs: list[inspect.StructType], value: object, path: str) -> None:
        field = str(structs[0].tag_field)
        by_tag = {str(struct.tag): struct for struct in structs}
        if not isinstance(value, Mapping):
            self.add(path, "is not a mapping", f"write {field}: {one_of(by_tag)} and its keys below it", of=value)
        elif field not in value:
            self.add(join(path, field), "is missing", f"write {field}: {one_of(by_tag)}")
        elif str(value[field]) not in by_tag:
            self._refuse(values.none_of(tuple(by_tag), value[field]), value[field], join(path, field))
        else:
            self._struct(by_tag[str(value[field])], value, path)

    def _dict(self, kind: inspect.DictType, value: object, path: str, own: values.Own) -> None:
        if not isinstance(value, Mapping):
            fix = "write names and their values below it"
            self.add(path, "is not a mapping", fix, of=_NOTHING if own.secret else value)
            return
        for key, item in value.items():
            self._name(kind.key_type, key, path)
            self.visit(kind.value_type, item, join(path, str(key)), values.Own(secret=own.secret))

    def _name(self, kind: inspect.Type, name: object, path: str, own: values.Own = values.NOTHING) -> None:
        """Check a key. Where it stands says it already, unless it is empty."""
        if isinstance(kind, inspect.Metadata):
            self._name(kind.type, name, path, own.under(kind.extra))
        elif (wrong := values.wrong(kind, name, field="", own=own)) is not None:
            self.add(join(path, str(name)) if name else path, wrong.message, wrong.fix, of=_NOTHING if name else name)

    def _list(self, kind: inspect.ListType | inspect.VarTupleType, value: object, path: str) -> None:
        if not isinstance(value, list | tuple):
            self.add(path, "is not a list", lambda: f"write a list: [{'...' if value is None else as_text(value)}]", of=value)
            return
        if kind.min_length is not None and len(value) < kind.min_length:
            self.add(path, f"has {len(value)} entries", f"give at least {kind.min_length}")
        for index, item in enumerate(value):
            self.visit(kind.item_type, item, f"{path}[{index}]")
