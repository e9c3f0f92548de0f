"""CloudEvents 1.0: the examples of the specification, the round trip, and what is none."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import InvalidEvent
from daemon.events.cloudevents import CloudEvent, read, to_structured
from tests.events.binary import to_binary

# The examples of the specification's JSON format, and below those of its HTTP and NATS bindings.
JSON_EXAMPLE: dict[str, Any] = {
    "specversion": "1.0",
    "type": "com.example.someevent",
    "source": "/mycontext",
    "subject": None,
    "id": "C234-1234-1234",
    "time": "2018-04-05T17:31:00Z",
    "comexampleextension1": "value",
    "comexampleothervalue": 5,
    "datacontenttype": "application/json",
    "data": {"appinfoA": "abc", "appinfoB": 123, "appinfoC": True},
}
BASE: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}


def structured(**fields: Any) -> bytes:
    return json.dumps({**BASE, **fields}).encode()


def understood(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    event = read(headers, body)
    assert event is not None
    return event


@pytest.mark.parametrize("headers", [{}, STRUCTURED, {"content-type": "APPLICATION/CLOUDEVENTS+JSON"}])
def test_the_example_of_the_json_format(headers: dict[str, str]) -> None:
    event = understood(headers, json.dumps(JSON_EXAMPLE).encode())
    assert event == CloudEvent(
        id="C234-1234-1234",
        source="/mycontext",
        type="com.example.someevent",
        time="2018-04-05T17:31:00Z",
        datacontenttype="application/json",
        extensions={"comexampleextension1": "value", "comexampleothervalue": "5"},
        data=event.data,
    )
    assert json.loads(event.data) == JSON_EXAMPLE["data"]


def test_the_example_of_the_http_and_nats_bindings_in_binary_mode() -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-type": "com.example.someevent",
        "ce-time": "2018-04-05T03:56:24Z",
        "ce-id": "1234-1234-1234",
        "ce-source": "/mycontext/subcontext",
        "Content-Type": "application/json; charset=utf-8",
    }
    body = b'{"numbers": [1, 2]}'
    event = understood(headers, body)
    assert (event.type, event.id, event.source) == ("com.example.someevent", "1234-1234-1234", "/mycontext/subcontext")
    assert event.datacontenttype == "application/json; charset=utf-8"
    assert event.data == body


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),  # the example of the HTTP binding, section 3.1.3.2
        ('"quoted \\" string"', 'quoted " string'),
        ("plain", "plain"),
        ("100%25", "100%"),
        ("  spaced  ", "spaced"),
    ],
)
def test_header_values_are_decoded_as_the_bindings_say(header: str, value: str) -> None:
    headers = {"CE-Id": "1", "Ce-Source": "/s", "ce-type": "t", "CE-SPECVERSION": "1.0", "ce-subject": header}
    assert understood(headers, b"").subject == value


def test_base64_data_is_decoded() -> None:
    assert understood(STRUCTURED, structured(data_base64="AQIDBA==")).data == b"\x01\x02\x03\x04"


def test_null_data_is_no_data() -> None:
    assert understood(STRUCTURED, structured(data=None)).data == b""
    assert understood(STRUCTURED, structured()).data == b""


def test_extensions_may_be_of_the_types_of_the_specification() -> None:
    event = understood(STRUCTURED, structured(flag=True, off=False, count=-3, name="x", gone=None))
    assert event.extensions == {"flag": "true", "off": "false", "count": "-3", "name": "x"}


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'"specversion"', b'{"service":"web"}', b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_what_has_no_envelope_is_no_cloudevent(body: bytes) -> None:
    assert read({}, body) is None
    assert read({"X-Other": "1", "Content-Type": "application/json"}, body) is None


@pytest.mark.parametrize(
    ("headers", "body", "message"),
    [
        (STRUCTURED, b"{", r"\$: not a JSON object"),
        (STRUCTURED, b"[]", r"\$: not a JSON object"),
        (STRUCTURED, b"[" * 100_000, r"\$: not a JSON object"),
        (STRUCTURED, b"\xff", r"\$: not a JSON object"),
        (STRUCTURED, structured(specversion="0.3"), r"\$\.specversion: '0\.3' is not known here; send version 1\.0"),
        ({}, structured(specversion=1), r"\$\.specversion: '1'"),
        (STRUCTURED, structured(id=""), r"\$\.id: the attribute is missing"),
        (STRUCTURED, structured(source=None), r"\$\.source: the attribute is missing"),
        (STRUCTURED, structured(type=None), r"\$\.type: the attribute is missing"),
        (STRUCTURED, b"{}", r"\$\.specversion: the attribute is missing"),
        (STRUCTURED, structured(time="yesterday"), r"\$\.time: 'yesterday' is no time"),
        (STRUCTURED, structured(subject={"a": 1}), r"\$\.subject: the attribute is an object"),
        (STRUCTURED, structured(**{"Not-A-Name": "x"}), r"\$\.Not-A-Name: is no attribute name"),
        (STRUCTURED, structured(data={}, data_base64="AA=="), r"\$\.data_base64: both"),
        (STRUCTURED, structured(data_base64="%%%"), r"\$\.data_base64: not Base64"),
        (STRUCTURED, structured(data_base64=5), r"\$\.data_base64: not Base64"),
        ({"Content-Type": "application/cloudevents-batch+json"}, b"[]", r"one event per message"),
        (
            {"Content-Type": "application/cloudevents+xml"},
            b"{}",
            r"the event format 'application/cloudevents\+xml' is not read here",
        ),
        ({"Content-Type": "application/cloudevents+avro"}, b"\x00\x01", r"the event format"),
        ({"ce-id": "1"}, b"", r"headers\.ce-specversion: the attribute is missing"),
        ({"ce-id": "1", "ce-source": "/s", "ce-type": "t", "ce-specversion": "2.0"}, b"", r"headers\.ce-specversion: .*'2\.0'"),
        ({"ce-id": "1", "ce-bad_name": "x"}, b"", r"headers\.ce-bad_name: is no attribute name"),
    ],
)
def test_what_claims_to_be_a_cloudevent_and_is_none_is_refused_with_the_place(
    headers: dict[str, str], body: bytes, message: str
) -> None:
    with pytest.raises(InvalidEvent, match=message):
        read(headers, body)


# Without the replacement character: in a header it stands for what could not be decoded, and is refused.
text = st.text(
    alphabet=st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffd"), min_size=1, max_size=30
).filter(lambda s: s.strip() == s)
events = st.builds(
    CloudEvent,
    id=text,
    source=text,
    type=text,
    subject=st.none() | text,
    time=st.none() | st.just("2026-08-22T14:27:05.315+02:00"),
    datacontenttype=st.just("application/json"),
    dataschema=st.none() | text,
    extensions=st.dictionaries(st.from_regex(r"ext[a-z0-9]{1,10}", fullmatch=True), text, max_size=3),
    data=st.dictionaries(text, st.integers() | text | st.none(), max_size=3).map(lambda value: json.dumps(value).encode()),
)


@given(events)
def test_a_structured_event_comes_back_as_it_went(event: CloudEvent) -> None:
    assert understood(*to_structured(event)) == event


@given(events)
def test_a_binary_event_comes_back_as_it_went(event: CloudEvent) -> None:
    headers, body = to_binary(event)
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert understood(headers, body) == event


def test_an_event_without_data_has_no_data_in_either_mode() -> None:
    event = CloudEvent(id="1", source="/s", type="t")
    assert to_binary(event) == ({"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}, b"")
    assert json.loads(to_structured(event)[1]) == BASE


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4), st.binary(max_size=200))
def test_no_message_raises_anything_but_invalid_event(headers: dict[str, str], body: bytes) -> None:
    with contextlib.suppress(InvalidEvent):
        read(headers, body)
