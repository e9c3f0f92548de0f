"""Events and commands that could not be used, kept with the reason, so that nothing is dropped in silence.

A dead letter is the original message (its data untouched, its headers behind a prefix) with ours in front: a person can read the
reason, mend the data and publish it again without unpacking anything.
"""

import re

from nats.aio.msg import Msg

from daemon.bus import subjects
from daemon.bus.connection import WRITE_SECONDS, Connection
from daemon.bus.translating import translated

REASON = "Verdictd-Reason"
SUBJECT = "Verdictd-Subject"
SEQUENCE = "Verdictd-Sequence"
DELIVERED = "Verdictd-Delivered"
TRUNCATED = "Verdictd-Truncated"
ORIGINAL_PREFIX = "Verdictd-Header-"

# All faults of a release that has thirty, and not of one that has thousands of bytes in each.
MAX_REASON_CHARACTERS = 4_096
# The server closes a connection on which headers and data together are over its limit; headers are small, this is smaller.
_HEADROOM_BYTES = 16 * 1024
_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")


async def dead_letter(connection: Connection, message: Msg, reason: str) -> None:
    """Publish ``message`` to the dead letters; returns when that is acknowledged. The same message is kept once.

    Raises:
        Unavailable, TimedOut: not acknowledged; the message must come again.
    """
    sequence = message.metadata.sequence.stream
    headers = {
        **_original(message.headers or {}),
        REASON: _printable(reason)[:MAX_REASON_CHARACTERS],
        SUBJECT: _printable(message.subject)[:MAX_REASON_CHARACTERS],
        SEQUENCE: f"{message.metadata.stream}:{sequence}",
        DELIVERED: str(message.metadata.num_delivered),
        # Several clusters may refuse the same message; the time makes the id differ when a stream is made anew.
        "Nats-Msg-Id": f"{message.metadata.stream}:{sequence}:{message.metadata.timestamp.timestamp()}.rejected",
    }
    data = message.data
    limit = connection.client.max_payload - _HEADROOM_BYTES
    if len(data) > limit:
        headers[TRUNCATED] = f"{len(data)} bytes; the whole is at {headers[SEQUENCE]}"
        data = data[:limit]
    with translated("keeping a dead letter"):
        await connection.jetstream.publish(
            subjects.REJECTED_SUBJECT, data, timeout=WRITE_SECONDS, stream=subjects.REJECTED, headers=headers
        )


def _original(headers: dict[str, str]) -> dict[str, str]:
    """The original headers behind a prefix, where the server cannot take them for instructions; at most 8 KiB of them."""
    kept: dict[str, str] = {}
    size = 0
    for key, value in headers.items():
        written = _printable(value)
        size += len(ORIGINAL_PREFIX) + len(key) + len(written)
        if _KEY.fullmatch(key) is not None and size <= _HEADROOM_BYTES // 2:
            kept[ORIGINAL_PREFIX + key] = written
    return kept


def _printable(text: str) -> str:
    """One line of ASCII: what every client can show."""
    return text.encode("ascii", "backslashreplace").decode().translate(dict.fromkeys((*range(32), 127), " "))
