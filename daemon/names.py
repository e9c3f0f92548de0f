"""Names that come from outside, and what they may contain.

A release's names end up in PromQL strings, NATS subjects, URL paths, file names and JSON Pointers. Each of those writers
escapes for itself; this module is the first line: a name that no mesh could carry is refused at admission, with the reason.
"""

import hashlib
import re
import secrets
from collections.abc import Collection

from daemon.errors import InvalidInput

_TOKEN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_DOTTED = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_BACKEND = re.compile(rf"(?=.{{1,253}}\Z)(?:{_DOTTED.pattern})(?:[/|]{{1,2}}(?:{_DOTTED.pattern}))*")
_LABEL_KEY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_RELEASE_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,94}[a-z0-9])?")


def token(value: str, *, path: str) -> str:
    """Return ``value`` if it can be one token of a NATS subject (cluster, namespace, service); else raise ``InvalidInput``."""
    return _matching(
        _TOKEN,
        value,
        path=path,
        fix="use 1 to 63 letters, digits, '-' or '_', beginning and ending with a letter or digit",
    )


def dotted(value: str, *, path: str) -> str:
    """Return ``value`` if it is a Kubernetes object, host, subset or version name; else raise ``InvalidInput``."""
    return _matching(
        _DOTTED,
        value,
        path=path,
        fix="use 1 to 253 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit",
    )


def backend(value: str, *, path: str) -> str:
    """Return ``value`` if it is such a name, or a proxy's for a cluster, which joins several by ``/`` or ``|``; else raise."""
    fix = "use 1 to 253 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit; between them / or | too"
    return _matching(_BACKEND, value, path=path, fix=fix)


def label_key(value: str, *, path: str) -> str:
    """Return ``value`` if it is a Kubernetes label key (``[prefix/]name``); else raise ``InvalidInput``."""
    return _matching(_LABEL_KEY, value, path=path, fix="use a Kubernetes label key such as app.kubernetes.io/version")


def label_value(value: str, *, path: str) -> str:
    """Return ``value`` if it is a Kubernetes label value, which may be empty; else raise ``InvalidInput``."""
    fix = "use at most 63 letters, digits, '-', '_' or '.', beginning and ending with a letter or digit"
    return _matching(_LABEL_VALUE, value, path=path, fix=fix)


def release_id(value: str, *, path: str) -> str:
    """Return ``value`` if it has the form of our release ids; else raise ``InvalidInput``."""
    return _matching(_RELEASE_ID, value, path=path, fix="use 1 to 96 lower-case letters, digits or '-'")


def mesh(named: str | None, *, configured: Collection[str]) -> str:
    """The mesh that a release names, or the only one there is; else raise ``InvalidInput``, naming those there are."""
    fix = f"use one of: {', '.join(sorted(configured))}" if configured else "configure it under meshes"
    if named is None and len(configured) == 1:
        return next(iter(configured))
    if named is None:
        raise InvalidInput("is not given", path="$.mesh", fix=fix)
    if named not in configured:
        raise InvalidInput(f"{named!r} is not configured", path="$.mesh", fix=fix)
    return named


def new_release_id(service: str, *, origin: str | None = None) -> str:
    """Make a release id: readable, safe in every place that an id is written to.

    Args:
        service: the service's name; its beginning makes the id readable.
        origin: what identifies the event for all time (CloudEvents source and id, or stream and sequence). The same origin
            gives the same id, which is how an event delivered twice becomes one release. None: a new random id.
    """
    stem = re.sub(r"[^a-z0-9]+", "-", service.lower()).strip("-")[:40].strip("-") or "release"
    tail = secrets.token_hex(8) if origin is None else hashlib.sha256(origin.encode()).hexdigest()[:16]
    return f"{stem}-{tail}"


def _matching(pattern: re.Pattern[str], value: str, *, path: str, fix: str) -> str:
    if pattern.fullmatch(value) is None:
        raise InvalidInput(f"{value[:80]!r} is not a usable name", path=path, fix=fix)
    return value
