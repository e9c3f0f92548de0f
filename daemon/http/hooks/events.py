"""CloudEvents over HTTP, CDEvents and our own JSON: what the stream's readers understand, read by the same readers.

Whatever form and mode an event came in, it is kept under its own name as a release in this daemon's words, as a structured
CloudEvent: what it announces means the same to every daemon that hears it. A release that comes without an envelope gets one: its
name is the header Idempotency-Key with the release's digest, and without that header each request is another release.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from daemon.errors import InvalidEvent
from daemon.events import cloudevents, decoding
from daemon.events.announced import named
from daemon.events.announcing import read_release
from daemon.events.cloudevents import STRUCTURED_JSON, CloudEvent
from daemon.events.releaseform import RELEASE_TYPE
from daemon.http.hooks.understanding import Received, Understood, kept, mapped

BATCH: Final = "application/cloudevents-batch+json"
MOST_IN_A_BATCH: Final = 100
"""Each is kept before the batch is answered."""
_KEY_CHARACTERS = 255


def parts(received: Received) -> Sequence[Received]:
    """The events of a request, each as a request of its own. Raises ``InvalidEvent`` for a batch that is none."""
    if received.headers.get("content-type", "").partition(";")[0].strip().lower() != BATCH:
        return [received]
    fix = "send a list of CloudEvents"
    found: list[msgspec.Raw] = decoding.decode_as(list[msgspec.Raw], received.body, path="$", fix=fix, what="a list")
    if len(found) > MOST_IN_A_BATCH:
        raise InvalidEvent(f"{len(found)} events are too many", path="$", fix=f"send at most {MOST_IN_A_BATCH} at a time")
    return [replace(received, headers={"content-type": STRUCTURED_JSON}, body=bytes(one)) for one in found]


def read(received: Received) -> Understood:
    """The event in a request. Raises ``InvalidEvent``, and ``NoRelease`` for one of another type."""
    announced = read_release(received.headers, received.body, received.hearing)
    if announced.origin is None:
        return _enveloped(received)
    event = cloudevents.read(received.headers, received.body)
    if event is None:
        source, event_id = named(announced.origin)
        event = CloudEvent(id=event_id, source=source, type=RELEASE_TYPE)
    said = {name: value for name, value in msgspec.to_builtins(announced.release).items() if value is not None}
    return kept(event, said, release=announced.release)


def _enveloped(received: Received) -> Understood:
    document: Any = msgspec.json.decode(received.body)
    key = received.headers.get("idempotency-key")
    if key is None:
        event_id = secrets.token_hex(16)
    elif 0 < len(key) <= _KEY_CHARACTERS and key.isprintable():
        event_id = f"{key}/{hashlib.sha256(msgspec.json.encode(document, order='sorted')).hexdigest()}"
    else:
        fix = f"use 1 to {_KEY_CHARACTERS} printable characters, for example a UUID"
        raise InvalidEvent("is not usable", path="headers.idempotency-key", fix=fix)
    source = f"/hooks/{received.hook}"
    return mapped(document, hearing=received.hearing, path="$", words={}, source=source, event_id=event_id, fix="send a release")
