"""The library's NATS client, made to survive subjects that are not UTF-8.

NATS takes any bytes for a subject, the library decodes them strictly, and where that fails its reading task ends: the connection
looks alive and nobody is heard any more. The broker would send the same message again after every reconnect.
"""

from typing import Any

import nats.aio.client


class Client(nats.aio.client.Client):
    """A client that reads every message. Bytes of a subject that are not UTF-8 are written as ``\\\\xff``."""

    def _build_message(self, sid: int, subject: bytes, *rest: Any) -> Any:
        readable = bytes(subject).decode("utf-8", "backslashreplace").encode()
        return super()._build_message(sid, readable, *rest)
