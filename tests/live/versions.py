"""A daemon whose stored form is another version's: ``python -m tests.live.versions VERSION SETTINGS``.

``yesterday`` keeps what form ``FORM - 1`` knew and nothing more, ``today`` is the daemon as it is, and ``tomorrow`` keeps one thing
more, under the next number. They share all else, so that what is tried is the change of the form, in both directions.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from daemon import app, stored
from daemon.model import Record
from daemon.settings import load_settings
from tests.earlier.schema import HERE, alternatives

TODAY: Final = stored.FORM
FORMS: Final = {"yesterday": TODAY - 1, "today": TODAY, "tomorrow": TODAY + 1}
MORE: Final = {"lease": {"until": 7}}
"""What tomorrow's form has more of, in every session."""

_Encode = Callable[..., bytes]


def yesterday(encode: _Encode) -> _Encode:
    """With everything taken out that the form before did not have."""
    lines = (HERE / f"schema-{TODAY - 1}.txt").read_text(encoding="utf-8").splitlines()
    known = frozenset(path for path, _ in map(alternatives, lines))
    inner = frozenset(path[: -len(tail)] for path in known for tail in _tails(path))

    def kept(path: str, value: Any) -> Any:
        match value:
            case dict() if path in inner and f"{path}{{}}" not in known:
                return {key: kept(f"{path}.{key}", one) for key, one in value.items() if f"{path}.{key}" in known}
            case list() if f"{path}[]" in known:
                return [kept(f"{path}[]", one) for one in value]
            case _:
                return value

    def as_yesterday(value: object, *, carried: Mapping[str, Any]) -> bytes:
        root = "record" if isinstance(value, Record) else "session"
        document = msgspec.json.decode(encode(value, carried=carried))
        return msgspec.json.encode({**kept(root, document), stored.FIELD: TODAY - 1})

    return as_yesterday


def tomorrow(encode: _Encode) -> _Encode:
    """With one thing more in every session."""

    def as_tomorrow(value: object, *, carried: Mapping[str, Any]) -> bytes:
        more = {} if isinstance(value, Record) else MORE
        return encode(value, carried={**carried, **more})

    return as_tomorrow


def _tails(path: str) -> list[str]:
    """What stands behind each place in a path inside which it is."""
    return [path[at:] for at, letter in enumerate(path) if letter in ".["]


def become(version: str) -> None:
    """From now on this process keeps what that version does."""
    vars(stored)["FORM"] = FORMS[version]
    if version in _KEEPS:
        vars(stored)["encode"] = _KEEPS[version](stored.encode)


_KEEPS: Final = {"yesterday": yesterday, "tomorrow": tomorrow}


if __name__ == "__main__":
    become(sys.argv[1])
    sys.exit(app.run(load_settings(Path(sys.argv[2]))))
