"""Policies as earlier versions stored them, in today's words.

What a person writes is refused with the fix (``config.walking``); what stands in a recording, a record or a session cannot be
written anew, so it is read, and whoever asks is told what was translated. The words that changed stand at the models themselves.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from config.documents import join
from config.policy import LatencyTolerance, Policy

WANDER_OF_THEN = 0.01
"""The default of ``tolerances.latency.wander`` while it was a caution about estimates; today it widens the tolerance."""


def modernise(document: object, *, at: tuple[str, ...] = ("policy",)) -> tuple[str, ...]:
    """Put today's words in place of the policy's, in the document itself; a sentence for each word that is read as another.

    Args:
        document: as decoded.
        at: the keys that lead to the policy.
    """
    *way, last = at
    for key in way:
        document = document.get(key) if isinstance(document, dict) else None
    if not isinstance(document, dict) or last not in document:
        return ()
    document[last], said = modern(document[last])
    return said


def modern(document: object) -> tuple[object, tuple[str, ...]]:
    """A stored policy in today's words, and a sentence for each word that is read as another.

    The document given is not changed, and whatever is wrong with it stays for the model to refuse.
    """
    if not isinstance(document, Mapping):
        return document, ()
    said: list[str] = []
    policy = dict(_renamed(document, Policy, "", said))
    tolerances = policy.get("tolerances")
    latency = tolerances.get("latency") if isinstance(tolerances, Mapping) else None
    if isinstance(tolerances, Mapping) and isinstance(latency, Mapping):
        path = "tolerances.latency"
        limits = dict(_renamed(latency, LatencyTolerance, path, said))
        if limits.keys() != latency.keys() and limits.get("wander") == WANDER_OF_THEN:
            limits["wander"] = 0.0
            said.append(f"{path}.wander: {WANDER_OF_THEN:g}, the default of then, is read as 0")
        policy["tolerances"] = {**tolerances, "latency": limits}
    return policy, tuple(said)


def _renamed(document: Mapping[str, Any], model: type[Any], path: str, said: list[str]) -> Iterator[tuple[str, Any]]:
    """The entries of one level; ``said`` grows by what was translated."""
    keys, values = getattr(model, "RENAMED", {}), getattr(model, "RENAMED_VALUES", {})
    for key, value in document.items():
        name = keys.get(key, key)
        now = values.get(name, {}).get(value, value) if isinstance(value, str) else value
        if name != key:
            said.append(f"{join(path, key)} is read as {join(path, name)}")
        if now != value:
            said.append(f"{join(path, key)}: {value} is read as {now}")
        yield name, now
