"""What is kept, read and written: more forgiving than what a person enters, since it cannot be written anew.

A form has a number (``FORM``), which is raised with every change of what is kept, and two promises. An earlier version's words
are read in today's (``config.earlier``). What a later version has more of is left unread, told apart and, where the value is
written again, carried along, so that neither an update nor going back from one loses anything.

A word that only a later version knows is another matter: who does not know a stage must not act on it. ``NewerForm`` says so.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import inspect

from config import earlier
from config.documents import join
from daemon.errors import VerdictdError

FORM: Final = 2
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
        unread: the paths of what a newer version has more of.
        carried: that, each at its place in the document; what is in lists is not carried.
    """

    value: _T
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
    document: Any = None
    try:
        document = msgspec.json.decode(data)
        said = earlier.modernise(document, at=policy_at)
        unread: list[str] = []
        known, carried = _known(_type_of(model), document, "", unread)
        return Stored(value=msgspec.convert(known, model), said=said, unread=tuple(unread), carried=carried or {})
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        if is_newer(document):
            raise NewerForm(f"kept by a newer version of verdictd: {error}") from error
        raise Unreadable(str(error)) from error


def is_newer(document: object) -> bool:
    """Whether a document's form has a larger number than ours."""
    number = document.get(FIELD) if isinstance(document, Mapping) else None
    return isinstance(number, int) and number > FORM


def known(document: Mapping[str, Any], model: type[Any], *, path: str = "") -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the model knows of a document, and the paths of what it does not."""
    unread: list[str] = []
    pruned, _ = _known(_type_of(model), document, path, unread)
    return pruned, tuple(unread)


def encode(value: object, *, carried: Mapping[str, Any]) -> bytes:
    """Write a struct with the number of its form, and with what is ``carried`` of a newer one."""
    document = {FIELD: FORM} | msgspec.to_builtins(value)
    if carried:
        _carry(document, carried)
    return msgspec.json.encode(document)


def _carry(document: dict[str, Any], carried: Mapping[str, Any]) -> None:
    for key, more in carried.items():
        there = document.setdefault(key, more)
        if there is not more and isinstance(there, dict) and isinstance(more, Mapping):
            _carry(there, more)


_type_of: Callable[[Any], inspect.Type] = functools.cache(inspect.type_info)


def _known(kind: inspect.Type, value: Any, path: str, unread: list[str]) -> tuple[Any, Any]:
    """What ``kind`` knows of a value, and what it does not, null when nothing; the paths of that go to ``unread``."""
    match kind, value:
        case ((inspect.StructType() | inspect.DataclassType()), dict()):
            return _known_fields({one.encode_name: one.type for one in kind.fields}, value, path, unread)
        case inspect.Metadata(), _:
            return _known(kind.type, value, path, unread)
        case inspect.UnionType(), (dict() | list()):
            [*members] = (one for one in kind.types if _holds(one, value))
            return _known(members[0], value, path, unread) if members else (value, None)
        case ((inspect.ListType() | inspect.VarTupleType()), list()):
            return [_known(kind.item_type, item, f"{path}[{at}]", unread)[0] for at, item in enumerate(value)], None
        case _:
            return value, None


def _known_fields(
    fields: Mapping[str, inspect.Type], value: dict[str, Any], path: str, unread: list[str]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    found: dict[str, Any] = {}
    carried: dict[str, Any] = {}
    for key, item in value.items():
        if key in fields:
            found[key], more = _known(fields[key], item, join(path, key), unread)
            if more is not None:
                carried[key] = more
        elif key != FIELD or path:
            unread.append(join(path, key))
            carried[key] = item
    return found, carried or None


def _holds(kind: inspect.Type, value: object) -> bool:
    """Whether a member of a union is for objects, or for lists, as this value is one."""
    match kind:
        case inspect.Metadata():
            return _holds(kind.type, value)
        case inspect.StructType() | inspect.DataclassType() | inspect.DictType():
            return isinstance(value, dict)
        case inspect.ListType() | inspect.VarTupleType():
            return isinstance(value, list)
        case _:
            return False
