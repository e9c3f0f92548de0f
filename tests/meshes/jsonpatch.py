"""A small RFC 6902 applier for tests: add, replace, remove and test, failing where a server would."""

import copy
from collections.abc import Iterable
from typing import Any


class PatchFailed(Exception):
    """An operation did not apply."""


def apply(document: dict[str, Any], operations: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The patched copy of the document."""
    after = copy.deepcopy(document)
    for operation in operations:
        *path, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        parent: Any = after
        for part in path:
            parent = _step(parent, part)
        _apply(parent, last, operation)
    return after


def _apply(parent: Any, last: str, operation: dict[str, Any]) -> None:
    match operation["op"]:
        case "test":
            if _step(parent, last) != operation["value"]:
                raise PatchFailed(operation)
        case "add" if isinstance(parent, list):
            parent.insert(len(parent) if last == "-" else int(last), copy.deepcopy(operation["value"]))
        case "add":
            parent[last] = copy.deepcopy(operation["value"])
        case "replace":
            _step(parent, last)
            parent[int(last) if isinstance(parent, list) else last] = copy.deepcopy(operation["value"])
        case "remove":
            _step(parent, last)
            del parent[int(last) if isinstance(parent, list) else last]
        case other:
            raise PatchFailed(other)


def _step(parent: Any, part: str) -> Any:
    try:
        return parent[int(part)] if isinstance(parent, list) else parent[part]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise PatchFailed(part) from error
