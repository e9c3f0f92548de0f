"""The form of what is kept, a line for each field (its path and what may stand there), made from the models themselves.

``schema-N.txt`` is the form N as it was published, and never changes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import inspect

from analyzers.counts import Sample
from daemon.engine.keptforms import KeptSession
from daemon.model import Record, Verdict
from daemon.ports.notices import Notice, Sequel
from daemon.recordings import Header

HERE = Path(__file__).parent
_KEPT = {
    "session": KeptSession,
    "record": Record,
    "recording": Header,
    "sample": Sample,
    "verdict": Verdict,
    "notice": Notice,
    "sequel": Sequel,
}
# The judge's own state stands beside the session, and has a layout of its own; what is carried has no form here.
_NEVER_WRITTEN = ("session.session.judge", "session.session.carried", "recording.translated")


def form() -> list[str]:
    """Everything that this version keeps."""
    every = (line for name, model in _KEPT.items() for line in lines(name, model))
    return [line for line in every if not line.startswith(_NEVER_WRITTEN)]


def lines(name: str, model: Any) -> Iterator[str]:
    """``path: alternatives``, of every field of a model; ``[]`` is each of a list, ``{}`` each value of a map."""
    yield from _lines(inspect.type_info(model), name)


def alternatives(line: str) -> tuple[str, frozenset[str]]:
    """The path of a line, and what may stand there."""
    path, _, words = line.partition(": ")
    return path, frozenset(words.split(" | "))


def _lines(kind: inspect.Type, path: str) -> Iterator[str]:
    """The line of one value, then those of what is in it."""
    yield f"{path}: {' | '.join(sorted(_words(kind)))}"
    yield from _inside(kind, path)


def _inside(kind: inspect.Type, path: str) -> Iterator[str]:
    match kind:
        case inspect.Metadata():
            yield from _inside(kind.type, path)
        case inspect.UnionType():
            for one in kind.types:
                yield from _inside(one, path)
        case inspect.StructType() | inspect.DataclassType():
            for part in kind.fields:
                yield from _lines(part.type, f"{path}.{part.encode_name}")
        case inspect.ListType() | inspect.VarTupleType():
            yield from _lines(kind.item_type, f"{path}[]")
        case inspect.DictType():
            yield from _lines(kind.value_type, f"{path}{{}}")
        case _:
            pass


def _words(kind: inspect.Type) -> Iterator[str]:
    match kind:
        case inspect.Metadata():
            yield from _words(kind.type)
        case inspect.UnionType():
            for one in kind.types:
                yield from _words(one)
        case inspect.LiteralType():
            yield from (f'"{one}"' for one in kind.values)
        case inspect.EnumType():
            yield from (f'"{one.value}"' for one in kind.cls)
        case inspect.StructType() | inspect.DataclassType() | inspect.DictType():
            yield "object"
        case inspect.ListType() | inspect.VarTupleType():
            yield "list"
        case _:
            yield type(kind).__name__.removesuffix("Type").lower()
