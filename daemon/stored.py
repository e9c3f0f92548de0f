"""What is kept, read and written: more forgiving than what a person enters, since it cannot be written anew.

A form has a number (``FORM``), which is raised with every change of what is kept, and two promises. An earlier version's words
are read in today's (``config.earlier``). What a later version has more of is left unread, told apart and, where the value is
written again, carried along, so that neither an update nor going back from one loses anything.

A word that only a later version knows is another matter: who does not know a stage must not act on it. ``NewerForm`` says so.
"""

import functools
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import inspect

from config import earlier
from config.documents import join
from daemon.errors import VerdictdError

FORM: Final = 11
"""Of everything that this version keeps. Those that have no number are 1."""
FIELD: Final = "form"

_T = TypeVar("_T")


class Unreadable(VerdictdError):
    """It is not what it should be, in no version's form that is known here: damaged."""


class NewerForm(Unreadable):
    """It was kept by a newer version of verdictd, and says something that this one does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored(Generic[_T]):
    """What was read.

    Attributes:
        value: the model.
        said: a sentence for each word of an earlier version's policy that is read as another.
        form: the number of its form.
        unread: the paths of what a newer version has more of.
        carried: that, each at its place in the document; what is in lists is not carried.
    """

    value: _T
    form: int = FORM
    said: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    carried: Mapping[str, Any] = field(default_factory=dict)


def decode(data: bytes, model: type[_T], *, policy_at: tuple[str, ...] = ("policy",)) -> Stored[_T]:
    """Read JSON that was kept.

    Args:
        data: the JSON text.
        model: what it is; that it may forbid unknown fields is for those who enter it.
        policy_at: the keys that lead to the policy in it.

    Raises:
        NewerForm: its form has a larger number, and it cannot be read.
        Unreadable: it cannot be read, for any other reason.
    """
    form = 0
    try:
        document = msgspec.json.decode(data)
        form = _form_of(document)
        said = earlier.modernise(document, at=policy_at)
        unread: list[str] = []
        carried = _take_out(_shape_of(model), document, "", unread)
        return Stored(value=msgspec.convert(document, model), form=form, said=said, unread=tuple(unread), carried=carried)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if form > FORM:
            raise NewerForm(f"kept by a newer version of verdictd: {error}") from error
        raise Unreadable(str(error)) from error


def known(document: Mapping[str, Any], model: type[Any]) -> dict[str, Any]:
    """What the model knows of a document."""
    copy: dict[str, Any] = deepcopy(dict(document))
    _take_out(_shape_of(model), copy, "", [])
    return copy


def encode(value: object, *, carried: Mapping[str, Any]) -> bytes:
    """Write a struct with the number of its form, and with what is ``carried`` of a newer one."""
    if not carried:  # the same bytes in half the time: a session is written at every tick
        text = msgspec.json.encode(value)
        return b'{"%b":%d%b' % (FIELD.encode(), FORM, text[1:] if text == b"{}" else b"," + text[1:])
    document = {FIELD: FORM} | msgspec.to_builtins(value)
    _carry(document, carried)
    return msgspec.json.encode(document)


def _form_of(document: object) -> int:
    """The number of a document's form, taken out of it."""
    number = document.pop(FIELD, 1) if isinstance(document, dict) else 1
    return number if isinstance(number, int) else 1


def _carry(document: dict[str, Any], carried: Mapping[str, Any]) -> None:
    for key, more in carried.items():
        there = document.setdefault(key, more)
        if there is not more and isinstance(there, dict) and isinstance(more, Mapping):
            _carry(there, more)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a type has inside: which fields, of those that have an inside themselves which one, and what each of a list is."""

    fields: frozenset[str] | None = None
    inner: Mapping[str, "_Shape"] = field(default_factory=dict)
    item: "_Shape | None" = None


def _shape(kind: inspect.Type) -> _Shape | None:
    """Null where nothing could be unknown."""
    match kind:
        case inspect.Metadata():
            return _shape(kind.type)
        case inspect.StructType() | inspect.DataclassType():
            inner = {part.encode_name: shape for part in kind.fields if (shape := _shape(part.type)) is not None}
            return _Shape(frozenset(part.encode_name for part in kind.fields), inner)
        case inspect.UnionType():
            return next((shape for one in kind.types if (shape := _shape(one)) is not None), None)
        case inspect.ListType() | inspect.VarTupleType():
            item = _shape(kind.item_type)
            return None if item is None else _Shape(item=item)
        case _:
            return None


def _take_out(shape: _Shape | None, value: object, path: str, unread: list[str]) -> dict[str, Any]:
    """Take what is not known out of a value, in place; gives it, each at its place, and its paths to ``unread``."""
    carried: dict[str, Any] = {}
    if shape is None:
        return carried
    if shape.fields is not None and isinstance(value, dict):
        for key in value.keys() - shape.fields:
            carried[key] = value.pop(key)
            unread.append(join(path, key))
        for key, inner in shape.inner.items():
            if more := _take_out(inner, value.get(key), join(path, key), unread):
                carried[key] = more
    elif shape.item is not None and isinstance(value, list):
        for at, item in enumerate(value):
            _take_out(shape.item, item, f"{path}[{at}]", unread)
    return carried


_shape_of: Callable[[Any], _Shape | None] = functools.cache(lambda model: _shape(inspect.type_info(model)))
