"""The library's NATS client, made to survive what strangers write around a message.

NATS takes any bytes for a subject and for the headers, the library reads them strictly, and where that fails its reading task
ends: the connection looks alive and nobody is heard any more. The broker would send the same message again after every reconnect.

And it knows the broker's own words ("no messages", "the consumer is gone") by a header that any sender can write. Taken for them,
a message ends the fetch that brought it and all that came with it, and is never seen by whoever counts how often it came. So
what is in a stream, which is known by the address to answer it at, never has that header under that name.
"""

from typing import Any

import nats.aio.client
from nats.js.api import Header

# No sender can write it: the library leaves out names with a space.
UNREADABLE = "headers that cannot be read"
_STORED = b"$JS.ACK."
_OWN_WORDS = (Header.STATUS.value, Header.DESCRIPTION.value)
_SHOWN_BYTES = 100


class NatsClient(nats.aio.client.Client):
    """A client that reads every message.

    Bytes of a subject that are not UTF-8 are written as ``\\xff``. Headers that cannot be read become one, ``UNREADABLE``, with
    their beginning. ``Status`` and ``Description`` of a message that is in a stream are in lower case.
    """

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        try:
            return await super()._process_headers(headers)
        except (IndexError, ValueError):  # a first line that is none, or not UTF-8
            return {UNREADABLE: (headers or b"")[:_SHOWN_BYTES].decode("ascii", "backslashreplace")}

    def _build_message(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None) -> Any:
        if headers and reply.startswith(_STORED):
            headers = {name.lower() if name in _OWN_WORDS else name: value for name, value in headers.items()}
        return super()._build_message(sid, _readable(subject), _readable(reply), data, headers)


def _readable(name: bytes) -> bytes:
    return bytes(name).decode("utf-8", "backslashreplace").encode()
