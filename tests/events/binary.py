"""A sender's hand: a CloudEvent in binary mode, as the NATS and HTTP bindings write it."""

from urllib.parse import quote

from daemon.events.cloudevents import CloudEvent

# What the bindings leave as it is in a header: printable ASCII but space, double quote and percent.
_HEADER_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_OPTIONAL = ("subject", "time", "datacontenttype", "dataschema")


def to_binary(event: CloudEvent) -> tuple[dict[str, str], bytes]:
    """Headers and body."""
    attributes = {"specversion": "1.0", "id": event.id, "source": event.source, "type": event.type, **event.extensions}
    attributes |= {name: value for name in _OPTIONAL if (value := getattr(event, name)) is not None}
    headers = {f"ce-{name}": quote(value, safe=_HEADER_SAFE) for name, value in attributes.items()}
    if event.datacontenttype is not None:
        headers["Content-Type"] = event.datacontenttype
    return headers, event.data
