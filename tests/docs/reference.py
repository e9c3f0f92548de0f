"""docs/configuration.md, made from the models: every key with its type, default and meaning."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import inspect

from config import values
from config.errors import one_of, shown
from config.policy import Policy
from daemon import connectors
from daemon.meshes.kind import MeshKind
from daemon.settings import model_of

PAGE = "docs/configuration.md"

_INTRODUCTION = """# Configuration

<!-- Made from the models by `python -m tests.docs --write`; do not edit. -->

`verdictd run --config FILE` reads YAML, or JSON when the file's name ends in `.json`. Every key has a default unless the table
says *required*; a file that is refused is refused with every problem of what is written at once,
and then with every problem of what does not fit together, each with its path, the value and the fix.
`verdictd check FILE` does the same without starting anything, and `verdictd check --schema settings` prints the JSON Schema for
your editor.

The environment lies over the file: `VERDICTD_HTTP__LISTEN=127.0.0.1:0` sets `http.listen` (two underscores go down one level;
values are read as YAML). Options of the command lie over both. Nothing is clamped, and an unknown key is never ignored. Times are
numbers of seconds, shares are fractions (`0.01`, not `1%`), latency limits are factors of the baseline's (`1.1` is 10 % slower).
"""

_POLICY = """## Policy

One entry under `policies`, a file of a folder given by `verdictd run --policies DIR`, or the file given to
`verdictd replay --policy FILE`. A release names the policy it wants, else it gets the one called `default`. A policy is
identified by the hash of its content, defaults included, which goes into every verdict. `verdictd check --schema policy` prints
the JSON Schema. What counts as a failed request is told in [failures.md](failures.md), with examples.

Where the latency buckets are too coarse for a latency tolerance, a canary that is slower by so much cannot be told from its
baseline, whatever the traffic; one that is slower by more can, and typical latency is then judged by its mean. It is said as early
as it can be known: once 200 latencies of the baseline were seen, in the log, in `verdictd status ID` and as `unresolved` in
`GET /v1/releases/ID`, with the bound that would help. `verdictd plan` says it before there is a release,
`verdictd check` of a recording.
"""


def page(kinds: Sequence[MeshKind]) -> str:
    """The whole page, where there are these kinds of mesh."""
    sources = [row.settings for row in connectors.SOURCES if row.settings is not None]
    sinks = [row.settings for row in connectors.SINKS if row.settings is not None]
    settings, policy = inspect.type_info(model_of(kinds, sources=sources, sinks=sinks)), inspect.type_info(Policy)
    assert isinstance(settings, inspect.StructType)
    assert isinstance(policy, inspect.StructType)
    parts = [_INTRODUCTION, "## Settings\n", *_sections(settings, "", told=set()), _POLICY, *_sections(policy, "", told=set())]
    return "\n".join(parts)


def _sections(struct: inspect.StructType, path: str, *, told: set[tuple[type, str]], note: str = "") -> Iterator[str]:
    """A heading, words and a table for a struct, then for each below it: once, where several kinds have the same there."""
    if (struct.cls, path) in told:
        return
    told.add((struct.cls, path))
    if path:
        yield f"### `{path}`{note}\n"
        yield f"{_words(struct.cls)}\n"
    below: list[tuple[inspect.StructType, str, str]] = []
    rows = []
    for field in struct.fields:
        kind, description = _bare(field.type)
        here = f"{path}.{field.encode_name}" if path else field.encode_name
        inner = list(_structs(kind, here))
        below += [(one, name, said) for one, name, said in inner if one.cls is not Policy]
        if not inner:
            rows.append(f"| `{field.encode_name}` | {_type(kind)} | {_default(field)} | {description} |")
    if struct.tag is not None:
        rows.insert(0, f"| `{struct.tag_field}` | `{struct.tag}` | *required* | What kind it is. |")
    if rows:
        yield "| key | type | default | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    for one, name, said in below:
        yield from _sections(one, name, told=told, note=said)


def _structs(kind: inspect.Type, path: str) -> Iterator[tuple[inspect.StructType, str, str]]:
    """The structs that stand at a path: itself, the values of a mapping, the members of a union."""
    match kind:
        case inspect.StructType():
            yield kind, path, "" if kind.tag is None else f" of kind `{kind.tag}`"
        case inspect.DictType():
            yield from _structs(_bare(kind.value_type)[0], f"{path}.NAME")
        case inspect.ListType() | inspect.VarTupleType():
            yield from _structs(_bare(kind.item_type)[0], f"{path}[]")
        case inspect.UnionType():
            for member in kind.types:
                yield from _structs(_bare(member)[0], path)
        case _:
            return


def _bare(kind: inspect.Type) -> tuple[inspect.Type, str]:
    if isinstance(kind, inspect.Metadata):
        description = str((kind.extra_json_schema or {}).get("description", ""))
        inner, inner_description = _bare(kind.type)
        return inner, description or inner_description
    return kind, ""


def _type(kind: inspect.Type) -> str:
    kind, _ = _bare(kind)
    match kind:
        case inspect.FloatType() | inspect.IntType():
            words = f"{'whole number' if isinstance(kind, inspect.IntType) else 'number'}{values.limits(kind)}"
        case inspect.LiteralType():
            words = one_of(f"`{value}`" for value in kind.values)
        case inspect.UnionType():
            words = one_of(_type(one) for one in kind.types if not isinstance(one, inspect.NoneType))
        case inspect.DictType():
            words = f"mapping of text to {_type(kind.value_type)}"
        case inspect.ListType() | inspect.VarTupleType():
            words = f"list of {_type(kind.item_type)}"
        case _:
            words = {inspect.StrType: "text", inspect.BoolType: "`true` or `false`"}[type(kind)]
    return words


def _default(field: inspect.Field) -> str:
    if field.required:
        return "*required*"
    if field.default is None:
        return "none"
    if field.default is msgspec.NODEFAULT:
        return "empty"
    if field.default == ():
        return "empty"
    if isinstance(field.default, tuple):
        return f"`[{', '.join(map(str, field.default))}]`"
    value: Any = field.default
    return f"`{value if isinstance(value, str) else f'{value:g}' if isinstance(value, float) else shown(value)}`"


def _words(model: type[Any]) -> str:
    return " ".join((model.__doc__ or "").split()).replace("``", "`")
