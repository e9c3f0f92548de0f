"""CloudEvents 1.0 as messages: read in binary and structured mode, over NATS and HTTP; written in structured mode.

Pure functions on headers and bytes, so that NATS and the HTTP hooks read events the same way. The data stays bytes: this
module knows envelopes and leaves it to others to know what is in them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from config.errors import Fault
from daemon.errors import InvalidEvent
from daemon.events import decoding
from daemon.events.decoding import Gathering

STRUCTURED_JSON: Final = "application/cloudevents+json"
MAPPED: Final = "verdictdmapped"
"""The attribute, ``true``, of an event whose words were mapped when it was kept."""
SPEC: Final = "https://cloudevents.io 1.0"

_ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}")
_OPTIONAL = ("subject", "time", "datacontenttype", "dataschema")
_REQUIRED = ("specversion", "id", "source", "type")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event.

    Attributes:
        id, source, type: as in the specification; source and id together identify the event for all time.
        time: RFC 3339.
        extensions: further attributes, all as strings.
        data: the payload as bytes, JSON unless ``datacontenttype`` says otherwise; empty when there is none.
    """

    id: str
    source: str
    type: str
    subject: str | None = None
    time: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    extensions: Mapping[str, str] = {}
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What was found around some data, right or wrong.

    Attributes:
        event: what could be read of it; what could not is empty. Where there are faults it serves to find further ones only.
        faults: all of the envelope.
        before: what stands before an attribute's name in the path to it.
        has_data: whether the data could be got at.
    """

    event: CloudEvent
    faults: tuple[Fault, ...]
    before: str
    has_data: bool


def read(headers: Mapping[str, str], body: bytes) -> CloudEvent | None:
    """The event in a message; null when the message is no CloudEvent at all. Raises ``InvalidEvent`` with every fault of it."""
    envelope = opened(headers, body)
    if envelope is None:
        return None
    Gathering(envelope.faults).refuse()
    return envelope.event


def opened(headers: Mapping[str, str], body: bytes) -> Envelope | None:
    """The envelope of a message, in whichever mode it is; null when the message is no CloudEvent at all.

    A structured event without its content type is understood too: servers before NATS 2.2 carry no headers.

    Raises:
        InvalidEvent: it says it is a CloudEvent, and is of a form of which nothing can be read.
    """
    lowered = {key.lower(): value for key, value in headers.items()}
    content_type = lowered.get("content-type", "").strip().lower()
    if content_type.startswith("application/cloudevents"):
        _check_format(content_type.partition(";")[0].strip())
        return _read_structured(_json_object(body))
    if any(key.startswith("ce-") for key in lowered):
        return _read_binary(lowered, body)
    try:
        fields = _json_object(body)
    except InvalidEvent:
        return None
    return _read_structured(fields) if "specversion" in fields else None


def to_structured(event: CloudEvent) -> tuple[dict[str, str], bytes]:
    """Headers and body of the structured mode. The data must be JSON."""
    fields: dict[str, Any] = {"specversion": "1.0", "id": event.id, "source": event.source, "type": event.type}
    fields |= {name: value for name in _OPTIONAL if (value := getattr(event, name)) is not None}
    fields |= event.extensions
    if event.data:
        fields["data"] = msgspec.Raw(event.data)
    return {"Content-Type": STRUCTURED_JSON}, msgspec.json.encode(fields)


def _read_binary(headers: Mapping[str, str], body: bytes) -> Envelope:
    faults, attributes = Gathering(), {"datacontenttype": headers.get("content-type", "")}
    for key, value in headers.items():
        if key.startswith("ce-"):
            with faults:
                attributes[key[3:]] = _from_header(key, value)
    return _made({name: value for name, value in attributes.items() if value}, body, faults=faults, path="headers.ce-")


def _from_header(key: str, value: str) -> str:
    """The value of an attribute. Bytes that are no UTF-8 are refused, never replaced: two events would become one."""
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    try:
        value = unquote(value, errors="strict")
        value.encode()
    except UnicodeError as error:
        raise _not_utf8(key) from error
    # The NATS client puts this character in place of what it could not decode.
    if "\ufffd" in value:
        raise _not_utf8(key)
    return value


def _not_utf8(key: str) -> InvalidEvent:
    return InvalidEvent("holds bytes that are not UTF-8", path=f"headers.{key[:64]}", fix="send UTF-8, percent-encoded")


def _check_format(media_type: str) -> None:
    if media_type != STRUCTURED_JSON:
        raise InvalidEvent(
            f"the event format {media_type!r} is not read here",
            path="headers.content-type",
            fix=f"send one event per message, as {STRUCTURED_JSON} or in binary mode",
        )


def _read_structured(fields: Mapping[str, msgspec.Raw]) -> Envelope:
    faults, attributes, data = Gathering(), dict[str, str](), None
    for name, raw in fields.items():
        if name not in {"data", "data_base64"}:
            with faults:
                if (value := _attribute_value(name, raw)) is not None:
                    attributes[name] = value
    with faults:
        data = _structured_data(fields)
    return _made(attributes, data, faults=faults, path="$.")


def _attribute_value(name: str, raw: msgspec.Raw) -> str | None:
    path = f"$.{name[:64]}"
    value = decoding.decode(raw, path=path, fix="use a string, an integer or a boolean")
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case str() | int():
            return str(value)
        case _:
            kind = "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "a number with a fraction"
            raise InvalidEvent(f"the attribute is {kind}", path=path, fix="use a string, an integer or a boolean")


def _structured_data(fields: Mapping[str, msgspec.Raw]) -> bytes:
    if "data" in fields and "data_base64" in fields:
        raise InvalidEvent("both data and data_base64 are given", path="$.data_base64", fix="give one of them")
    if "data_base64" not in fields:
        data = bytes(fields["data"]) if "data" in fields else b""
        return b"" if data == b"null" else data
    path, fix = "$.data_base64", "encode the data as in RFC 4648"
    text: str = decoding.decode_as(str, fields["data_base64"], path=path, fix=fix, what="Base64")
    return decoding.decode_base64(text, path=path, fix=fix)


def _made(attributes: Mapping[str, str], data: bytes | None, *, faults: Gathering, path: str) -> Envelope:
    """The envelope; ``data`` is null where it could not be got at, and ``faults`` has what is wrong with single attributes."""
    faults.faults += [one for one in _attribute_faults(attributes, path=path) if not faults.tells_of(one.path)]
    event = CloudEvent(
        id=attributes.get("id", ""),
        source=attributes.get("source", ""),
        type=attributes.get("type", ""),
        subject=attributes.get("subject"),
        time=attributes.get("time"),
        datacontenttype=attributes.get("datacontenttype"),
        dataschema=attributes.get("dataschema"),
        extensions={name: value for name, value in attributes.items() if name not in (*_REQUIRED, *_OPTIONAL)},
        data=data or b"",
    )
    return Envelope(event=event, faults=tuple(faults.faults), before=path, has_data=data is not None)


def _attribute_faults(attributes: Mapping[str, str], *, path: str) -> Iterator[Fault]:
    """``path`` is what stands before an attribute's name."""
    for name in attributes:
        if _ATTRIBUTE.fullmatch(name) is None:
            yield Fault(path=f"{path}{name[:64]}", message="is no attribute name", fix="use lower-case letters and digits only")
    for name in _REQUIRED:
        if not attributes.get(name):
            yield Fault(path=f"{path}{name}", message="the attribute is missing", fix=f"see {SPEC}, required attributes")
    if (version := attributes.get("specversion", "1.0")) != "1.0" and version:
        yield Fault(path=f"{path}specversion", message=f"{version[:20]!r} is not known here", fix="send version 1.0")
    if "time" in attributes and _TIME.fullmatch(attributes["time"]) is None:
        no_time = f"{attributes['time'][:40]!r} is no time"
        yield Fault(path=f"{path}time", message=no_time, fix="use RFC 3339, as 2026-08-22T14:27:05Z")


def _json_object(body: bytes) -> dict[str, msgspec.Raw]:
    return decoding.decode_as(dict[str, msgspec.Raw], body, path="$", fix="send one JSON object", what="a JSON object")
