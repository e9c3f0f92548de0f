"""How input is refused: the faults together, each with its path, the value and the fix; and the words that refusals share."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

import msgspec

from config.secretnames import SECRET_NAME

MOST_FAULTS = 30
"""What a person reads; a document with more is mended in turns."""

# JSON's own numbers end where a 64-bit integer does; beyond it nothing here is a count, a size or a time.
WHOLE_NUMBERS: Final = range(-(2**63), 2**64)

_SHOWN_CHARACTERS = 60
_SHOWN_ITEMS = 5
_SHOWN_LEVELS = 3
_LONGEST_ADDRESS = 4_096
_NAME_IN_ADDRESS = re.compile(r"//.*@", re.DOTALL)
# Whoever writes more than this did not slip with the pen, and a guess takes time that grows with its square.
_LONGEST_WORD = 64


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault. ``path`` is like ``policies.default.alpha``; ``fix`` says what to write instead.

    ``stands_for`` is more than 1 for the last of a list that was cut: how many were left out.
    """

    path: str
    message: str
    fix: str
    stands_for: int = 1

    def __str__(self) -> str:
        """``path: message; fix``; of a whole document, whose paths have no root, the path is ``$``."""
        return f"{self.path or '$'}: {self.message}" + (f"; {self.fix}" if self.fix else "")


class ConfigError(Exception):
    """A document that is refused. ``faults`` is never empty; ``source`` is the file or variable it came from."""

    def __init__(self, faults: Sequence[Fault], *, source: str) -> None:
        self.faults = first_of(faults)
        self.source = source
        super().__init__("\n".join(f"{source}: {fault}" for fault in self.faults))


def first_of(faults: Sequence[Fault], *, unseen: int = 0) -> tuple[Fault, ...]:
    """The first 30, and how many more there are. ``unseen`` counts those that are not even in the list."""
    shown_ones = tuple(faults[:MOST_FAULTS])
    more = unseen + sum(one.stands_for for one in faults[MOST_FAULTS:])
    if more == 0:
        return shown_ones
    return (*shown_ones, Fault(path="$", message=f"and {more} more", fix="mend these first", stands_for=more))


def placed(error: msgspec.ValidationError, *, path: str = "$") -> tuple[str, str]:
    """What the library says is wrong, and where. ``path`` is where the document stands; empty for paths without a root."""
    message, _, place = str(error).rpartition(" - at `")
    if not message:
        return str(error), path or "$"
    # "[...]" is its word for a place that it does not know, "`key` in `$`" for a key.
    where = place.removesuffix("`").rpartition("` in `")[2].replace("$", path, 1).replace("[...]", "")
    return message, where.removeprefix(".") or path or "$"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that ``word`` is probably a misspelling of."""
    if len(word) > _LONGEST_WORD:
        return None
    by_fold = {name.lower().replace("-", "_"): name for name in known}
    close = difflib.get_close_matches(word.lower().replace("-", "_"), by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else None


def one_of(words: Iterable[object]) -> str:
    """``a, b or c``."""
    said = [str(word) for word in words]
    return " or ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)


def shown(value: object) -> str:
    """A value as the reader wrote it, at most 60 characters, without what stands before the host in an address, or under a name
    that says it is secret.

    Costs no more for a value of any size.
    """
    part = _part_of(value, _SHOWN_LEVELS)
    try:
        text = json.dumps(part, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(part)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def as_text(value: object) -> str:
    """Text without its quotes, as much as is shown; anything else as it is shown."""
    return _without_name(value)[:_SHOWN_CHARACTERS] if isinstance(value, str) else shown(value)


def _without_name(text: str) -> str:
    return _NAME_IN_ADDRESS.sub("//...@", text[:_LONGEST_ADDRESS])


def _hides(name: str) -> bool:
    """Whether what stands under this name may be secret: a wrong form of it is shown as little as the right one."""
    return name in {"headers", "query"} or SECRET_NAME.search(name) is not None


def _part_of(value: object, levels: int) -> object:
    """As much of a value as can be shown."""
    part = value
    match value:
        case str():
            part = _without_name(value)[: _SHOWN_CHARACTERS + 1]
        case int() if value not in WHOLE_NUMBERS:
            part = f"a whole number of {value.bit_length()} bits"
        case Mapping() | list() | tuple() if levels == 0:
            part = "..."
        case Mapping():
            some = {str(key)[:_SHOWN_CHARACTERS]: item for key, item in islice(value.items(), _SHOWN_ITEMS)}
            part = {key: "..." if _hides(key) else _part_of(item, levels - 1) for key, item in some.items()}
        case list() | tuple():
            part = [_part_of(item, levels - 1) for item in value[:_SHOWN_ITEMS]]
        case _:
            pass
    return part
