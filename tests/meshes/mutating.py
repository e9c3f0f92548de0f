"""Objects as no definition has them: each value of another type, each key away, each element of a list twice."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

_OTHERS: tuple[Any, ...] = (7, 1.5, True, "v2", "", [], [7], ["web-v2"], [[]], {}, {"x": 7}, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One of them. ``retyped``: a value was replaced by one of another type, so that it may mean whatever the value meant."""

    item: Any
    said: str
    path: tuple[str | int, ...]
    retyped: bool


def mutants(item: Json) -> Iterator[Mutant]:
    """All of an object's, each with one change."""
    for number, (path, value) in enumerate(_values((), item)):
        # Of the other types each value has some in turn: all of them, on the whole.
        for other in (_OTHERS * 2)[number % len(_OTHERS) :][: len(_OTHERS) // 3]:
            if _type(other) != _type(value):
                yield _mutant(item, path, f"is {other!r}", other, retyped=other is not None)
        changed, holder = _copied(item, path)
        if isinstance(holder, list):
            holder.append(copy.deepcopy(value))
            yield Mutant(item=changed, said=f"{path} twice", path=path, retyped=False)
        else:
            del holder[path[-1]]
            yield Mutant(item=changed, said=f"{path} away", path=path, retyped=False)


def _mutant(item: Json, path: tuple[str | int, ...], said: str, value: Any, *, retyped: bool) -> Mutant:
    changed, holder = _copied(item, path)
    holder[path[-1]] = copy.deepcopy(value)
    return Mutant(item=changed, said=f"{path} {said}", path=path, retyped=retyped)


def _copied(item: Json, path: tuple[str | int, ...]) -> tuple[Json, Any]:
    """The object anew, and what in it holds the value at the path."""
    changed = copy.deepcopy(item)
    holder: Any = changed
    for step in path[:-1]:
        holder = holder[step]
    return changed, holder


def _values(path: tuple[str | int, ...], value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value inside, with where it is."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield (*path, key), one
        yield from _values((*path, key), one)


def _type(value: Any) -> str:
    """As JSON has it; a number that is whole is another type than one that is not, as definitions have it."""
    return "whole" if isinstance(value, int) and not isinstance(value, bool) else type(value).__name__
