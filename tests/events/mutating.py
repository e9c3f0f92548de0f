"""Messages as they may be, mutated at random: what any sender, editor or broken pipe can make of them.

A mutation is made from a seed number alone, so that one that is found can be made again.
"""

import base64
import json
import logging
import random
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from config import walking
from daemon import names
from daemon.errors import InvalidEvent, InvalidInput
from daemon.events.announcing import read_release
from daemon.events.commanding import read_command
from daemon.events.releaseform import RELEASE_TYPE
from daemon.model import Release

Message = tuple[dict[str, str], bytes]

ARMS = {"baseline": {"subset": "v1"}, "canary": {"subset": "v2", "labels": {"app.kubernetes.io/version": "2"}}}
RELEASE: dict[str, Any] = {
    "service": "web",
    "namespace": "shop",
    "cluster": "prod",
    "mesh": "istio",
    "weight": 10,
    "deadline": 600.5,
    "policy": "default",
    **ARMS,
}
DEPLOYED = "dev.cdevents.service.deployed.0.3.0"
ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/ci", "type": RELEASE_TYPE}
BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/ci", "Content-Type": "application/json"}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}


def cdevent(event_type: str = DEPLOYED, *, version: str = "specversion", custom: object = None) -> dict[str, Any]:
    """As CDEvents 0.5 (``specversion``) and 0.4 (``version``, links) write it."""
    return {
        "context": {
            version: "0.5.1",
            "id": "1",
            "source": "/ci",
            "type": event_type,
            "timestamp": "2026-08-22T14:27:05.315Z",
            "links": [{"linkType": "END", "from": {"contextId": "5328c37f"}, "tags": {"a": "b"}}],
        },
        "subject": {
            "id": "shop/web",
            "source": "/ci",
            "type": "service",
            "content": {"environment": {"id": "prod"}, "artifactId": "pkg:oci/web@sha256%3A0b31"},
        },
        "customData": {"verdictd": {**ARMS, "weight": 10}} if custom is None else custom,
        "customDataContentType": "application/json",
    }


def _message(document: object, **headers: str) -> Message:
    return headers, json.dumps(document).encode()


PACKED = base64.b64encode(json.dumps(RELEASE).encode()).decode()
CUSTOM_PACKED = base64.b64encode(json.dumps({"verdictd": ARMS}).encode()).decode()
EVENTS: tuple[Message, ...] = (
    _message(RELEASE),
    _message({**ATTRIBUTES, "data": RELEASE}, **STRUCTURED),
    _message({**ATTRIBUTES, "time": "2026-08-22T14:27:05Z", "sequence": 5, "final": True, "data": RELEASE}),
    _message({**ATTRIBUTES, "data_base64": PACKED}, **STRUCTURED),
    _message([{**ATTRIBUTES, "data": RELEASE}], **{"Content-Type": "application/cloudevents-batch+json"}),
    _message(RELEASE, **BINARY, **{"ce-type": RELEASE_TYPE, "ce-subject": "Euro%20%E2%82%AC"}),
    _message(cdevent(), **BINARY, **{"ce-type": DEPLOYED, "Nats-Msg-Id": "7"}),
    _message({**ATTRIBUTES, "type": DEPLOYED, "data": cdevent()}, **STRUCTURED),
    _message(cdevent()),
    _message(cdevent("dev.cdevents.service.upgraded.0.2.0", version="version")),
    _message(cdevent("dev.cdevents.service.rolledback.0.2.0", version="version")),
    _message(cdevent(custom=CUSTOM_PACKED)),
)
COMMANDS: tuple[Message, ...] = (
    _message({"command": "rollback"}),
    _message({"command": "promote", "by": "ann", "reason": "looks good"}),
)

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null')
_NASTY = (
    b"1e999", b"-1e999", b"9" * 400, b"9" * 5_000, b"-" + b"9" * 400, b"1e-999", b"0.1" * 3, b"1E400", b"NaN", b"-0",
    b'"\xff"', '"é"'.encode(), b'"\\ud800"', b'"\\u0000"', b'"\x00"', b'"\xed\xa0\x80"', '"\u2028\U0001f600"'.encode(),
    b"[" * 90 + b"]" * 90, b"[" * 900 + b"]" * 900, b"[" * 30_000, b'{"a":' * 500 + b"1" + b"}" * 500,
    b"null", b"true", b"1.5", b'""', b"{}", b"[]", b"[[]]", b'"' + b"x" * 70_000 + b'"', b'"a.b>"', b'"data"', b'"context"',
)  # fmt: skip
_BYTES = (b"\xff", b"\x00", b'"', b"\\", b"{", b"}", b"[", b",", b":", b"\xc3", b"\n", b"1", b"e", b"\xef\xbb\xbf")
_VALUES = ("", "\xff", "\ufffd", "\udcff", "%FF", "%", "é", '"', '"\\"', "1" * 5_000, "application/cloudevents-batch+json", "null")


def mutated(number: int, messages: tuple[Message, ...]) -> Message:
    """The mutation of that number."""
    dice = random.Random(number)  # noqa: S311 - chance for a test, not a secret
    headers, body = messages[dice.randrange(len(messages))]
    headers = dict(headers)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 5))):
        kind = dice.random()
        if kind < 0.5:
            body = _with_token(dice, body)
        elif kind < 0.85:
            body = _with_bytes(dice, body)
        else:
            _change_headers(dice, headers)
    return headers, body


def _with_token(dice: random.Random, body: bytes) -> bytes:
    """Another value, or another key, in place of one."""
    tokens = list(_TOKENS.finditer(body[:5_000]))
    if not tokens:
        return body
    token = dice.choice(tokens)
    return body[: token.start()] + dice.choice((*_NASTY, dice.choice(tokens)[0])) + body[token.end() :]


def _with_bytes(dice: random.Random, body: bytes) -> bytes:
    """A few bytes changed, put in, taken out or repeated; or the end cut off."""
    at = dice.randrange(len(body) + 1)
    to = min(len(body), at + dice.randrange(1, 9))
    match dice.randrange(5):
        case 0:
            return body[:at] + dice.choice(_BYTES) + body[to:]
        case 1:
            return body[:at] + dice.choice(_BYTES) + body[at:]
        case 2:
            return body[:at] + body[to:]
        case 3:
            return body[:to] + body[at:to] * dice.randrange(1, 4) + body[to:]
        case _:
            return body[:at]


def _change_headers(dice: random.Random, headers: dict[str, str]) -> None:
    key = dice.choice((*headers, "ce-id", "ce-type", "ce-foo", "ce-", "ce-\xe9", "CE-ID", "Content-Type", "Nats-Msg-Id"))
    if dice.random() < 0.2:
        headers.pop(key, None)
    else:
        headers[key] = dice.choice((*_VALUES, dice.choice(tuple(headers.values()) or ("",))))


class Defects(logging.Handler):
    """Remembers that the last net was needed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        self.seen.append(record.getMessage())


def defects(first: int, count: int) -> Iterator[str]:
    """Read so many mutations of events and commands; yields what came out beside a release and our own refusal."""
    handler = Defects()
    logger = logging.getLogger("daemon.events.decoding")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        for number in range(first, first + count):
            try:
                _read(number)
            except Exception as error:  # noqa: BLE001 - it is what is looked for
                yield f"mutation {number}: {error!r}"
            if handler.seen:
                yield f"mutation {number}: {handler.seen.pop()}"
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _read(number: int) -> None:
    """Read one mutation in all the ways that it can come in."""
    headers, body = mutated(number, EVENTS)
    try:
        announced = read_release(headers, body)
        names.new_release_id(announced.release.service, origin=announced.origin)
        msgspec.json.encode(announced.release)
    except InvalidEvent as refusal:
        _check(refusal)
    _look_for_faults(body)
    try:
        read_command(mutated(number, COMMANDS)[1])
    except InvalidEvent as refusal:
        _check(refusal)


def _check(refusal: InvalidInput) -> None:
    """It can be written wherever refusals are written, and says how to mend it."""
    text = str(refusal).encode()
    assert len(text) < 20_000
    assert refusal.message
    assert refusal.path
    assert refusal.fix


def _look_for_faults(body: bytes) -> None:
    """As the API does."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return
    found = walking.faults(document, Release, path="$")
    assert len(msgspec.json.encode([str(one) for one in found])) < 40_000
