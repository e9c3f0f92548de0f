"""The one check of a release, whoever sends it: the command line, HTTP, a message. All faults are told, each with path and fix.

The walk along the model (``config/walking.py``) finds what has the wrong form; here is what the model cannot say:
names that go into queries, subjects and addresses, and two arms that must differ.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from config.documents import join
from config.errors import Fault, first_of
from config.walking import faults
from daemon import names
from daemon.errors import InvalidInput
from daemon.model import ArmSpec, Outline, Release

MOST_LABELS: Final = 64
"""Of an arm. They are in every question to the mesh, and in everything that is kept of the release."""

_TOKENS = ("service", "namespace", "cluster", "mesh", "policy")
_ARMS = ("baseline", "canary")
_OF_AN_ARM = ("workload", "version", "subset")


def decode_release(document: object, *, path: str = "$") -> Release:
    """Check a decoded JSON document and return the release it describes.

    Args:
        document: as decoded.
        path: where the release is in the whole document; empty: its paths have no root.

    Raises:
        InvalidInput: with every fault.
    """
    found = [*faults(document, Release, path=path)]
    if isinstance(document, Mapping):
        found += _faults(document, path)
    if found:
        raise InvalidInput.of(first_of(found))
    return msgspec.convert(document, Release)


def decode_outline(document: Mapping[str, object], *, path: str = "$", says_what: bool = True) -> Outline:
    """Check what was announced without both arms; arguments and errors are those of ``decode_release``.

    ``says_what``: it must say what is new, or which an arm is.
    """
    found = [*faults(document, Outline, path=path), *_names(document, path)]
    found += [fault for arm in _ARMS if document.get(arm) is not None for fault in _arm_faults(document[arm], join(path, arm))]
    if says_what and not any(document.get(field) for field in ("artifact", "version", "revision", "images", *_ARMS)):
        fix = "give artifact, version or revision, or baseline and canary"
        found.append(Fault(path=path, message="says neither what is new nor which versions to compare", fix=fix))
    if found:
        raise InvalidInput.of(first_of(found))
    return msgspec.convert(document, Outline)


def _names(release: Mapping[str, Any], path: str) -> Iterator[Fault]:
    for field in _TOKENS:
        yield from _name(names.token, release.get(field), join(path, field))
    yield from _name(names.dotted, release.get("route"), join(path, "route"))


def _faults(release: Mapping[str, Any], path: str) -> Iterator[Fault]:
    yield from _names(release, path)
    of_arms = [fault for arm in _ARMS for fault in _arm_faults(release.get(arm), join(path, arm))]
    yield from of_arms
    baseline, canary = (_arm(release.get(arm)) for arm in _ARMS)
    if not of_arms and baseline is not None and baseline == canary:
        yield Fault(
            path=join(path, "canary"),
            message="baseline and canary are the same",
            fix="give the canary its own workload, version, subset or service",
        )


def _arm_faults(arm: object, path: str) -> Iterator[Fault]:
    """What the model cannot say of an arm; one that is no mapping has been told by then."""
    if not isinstance(arm, Mapping):
        return
    for field in _OF_AN_ARM:
        yield from _name(names.dotted, arm.get(field), join(path, field))
    yield from _name(names.backend, arm.get("service"), join(path, "service"))
    labels = arm.get("labels", {})
    where = join(path, "labels")
    if isinstance(labels, Mapping) and len(labels) > MOST_LABELS:
        many = f"{len(labels)} labels are more than {MOST_LABELS}"
        yield Fault(path=where, message=many, fix="name those only that tell the arms apart")
    elif isinstance(labels, Mapping):
        for key, value in labels.items():
            yield from _name(names.label_key, key, where)
            yield from _name(names.label_value, value, join(where, str(key)))
    if _arm(arm) == ArmSpec():
        yield Fault(path=path, message="names nothing", fix="name the arm's workload, version, subset, service or labels")


def _arm(arm: object) -> ArmSpec | None:
    """The arm, where its form is right."""
    try:
        return msgspec.convert(arm, ArmSpec)
    except msgspec.ValidationError:
        return None


def _name(check: Callable[..., str], value: object, path: str) -> Iterator[Fault]:
    """The fault of a name; anything but text has been told by then."""
    if isinstance(value, str):
        try:
            check(value, path=path)
        except InvalidInput as error:
            yield from error.faults
