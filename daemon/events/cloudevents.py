"""CloudEvents 1.0 as messages: read in binary and structured mode, over NATS and HTTP; written in structured mode.

Pure functions on headers and bytes, so that NATS and the HTTP hooks read events the same way. The data stays bytes: this
module knows envelopes and leaves it to others to know what is in them.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from daemon.errors import InvalidEvent
from daemon.events import decoding

STRUCTURED_JSON: Final = "application/cloudevents+json"
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


def read(headers: Mapping[str, str], body: bytes) -> CloudEvent | None:
    """The event in a message, in whichever mode it is; null when the message is no CloudEvent at all.

    A structured event without its content type is understood too: servers before NATS 2.2 carry no headers.

    Raises:
        InvalidEvent: it says it is a CloudEvent, and is none.
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


def _read_binary(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    attributes = {key[3:]: _from_header(key, value) for key, value in headers.items() if key.startswith("ce-")}
    attributes.setdefault("datacontenttype", headers.get("content-type", ""))
    return _make({name: value for name, value in attributes.items() if value}, body, path="headers.ce-")


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


def _read_structured(fields: Mapping[str, msgspec.Raw]) -> CloudEvent:
    attributes: dict[str, str] = {}
    for name, raw in fields.items():
        if name in {"data", "data_base64"}:
            continue
        value = _attribute_value(name, raw)
        if value is not None:
            attributes[name] = value
    return _make(attributes, _structured_data(fields), path="$.")


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
            raise InvalidEvent(f"the attribute is a {type(value).__name__}", path=path, fix="use a string, an integer or a boolean")


def _structured_data(fields: Mapping[str, msgspec.Raw]) -> bytes:
    if "data" in fields and "data_base64" in fields:
        raise InvalidEvent("both data and data_base64 are given", path="$.data_base64", fix="give one of them")
    if "data_base64" not in fields:
        data = bytes(fields["data"]) if "data" in fields else b""
        return b"" if data == b"null" else data
    path, fix = "$.data_base64", "encode the data as in RFC 4648"
    text: str = decoding.decode_as(str, fields["data_base64"], path=path, fix=fix, what="Base64")
    return decoding.decode_base64(text, path=path, fix=fix)


def _make(attributes: dict[str, str], data: bytes, *, path: str) -> CloudEvent:
    for name in attributes:
        if _ATTRIBUTE.fullmatch(name) is None:
            raise InvalidEvent(
                f"{name[:64]!r} is no attribute name", path=f"{path}{name[:64]}", fix="use lower-case letters and digits only"
            )
    for name in _REQUIRED:
        if not attributes.get(name):
            raise InvalidEvent("the attribute is missing", path=f"{path}{name}", fix=f"see {SPEC}, required attributes")
    if attributes["specversion"] != "1.0":
        raise InvalidEvent(
            f"specversion {attributes['specversion'][:20]!r} is not known here", path=f"{path}specversion", fix="send version 1.0"
        )
    if "time" in attributes and _TIME.fullmatch(attributes["time"]) is None:
        raise InvalidEvent(
            f"{attributes['time'][:40]!r} is no time", path=f"{path}time", fix="use RFC 3339, as 2026-08-22T14:27:05Z"
        )
    return CloudEvent(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        subject=attributes.get("subject"),
        time=attributes.get("time"),
        datacontenttype=attributes.get("datacontenttype"),
        dataschema=attributes.get("dataschema"),
        extensions={name: value for name, value in attributes.items() if name not in (*_REQUIRED, *_OPTIONAL)},
        data=data,
    )


def _json_object(body: bytes) -> dict[str, msgspec.Raw]:
    return decoding.decode_as(dict[str, msgspec.Raw], body, path="$", fix="send one JSON object", what="a JSON object")
