"""Events and commands that could not be used, kept with the reason, so that nothing is dropped in silence.

A dead letter is the original message (its data untouched, its headers behind a prefix) with ours in front: a person can read the
reason, mend the data and publish it again without unpacking anything.
"""

import re
from collections.abc import Mapping

from nats.aio.msg import Msg

from daemon.bus import subjects
from daemon.bus.connection import Connection
from daemon.bus.eventlog import HEADROOM_BYTES
from daemon.bus.translating import translated
from daemon.ports.events import DeadLetter

REASON = "Verdictd-Reason"
SUBJECT = "Verdictd-Subject"
SEQUENCE = "Verdictd-Sequence"
DELIVERED = "Verdictd-Delivered"
TRUNCATED = "Verdictd-Truncated"
ORIGINAL_PREFIX = "Verdictd-Header-"

# All faults of a release that has thirty, and not of one that has thousands of bytes in each.
MAX_REASON_CHARACTERS = 4_096
_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")


class NatsDeadLetters:
    """``DeadLetters`` on a stream of their own, whatever source they come from."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.kept = 0
        """How many were acknowledged."""

    async def keep(self, letter: DeadLetter) -> None:
        """Publish it; see ``ports.events.DeadLetters``. Raises ``Unavailable`` and ``TimedOut`` when that is not acknowledged."""
        headers = {
            **_original(letter.headers),
            REASON: _printable(letter.reason)[:MAX_REASON_CHARACTERS],
            SUBJECT: _printable(letter.sent_to)[:MAX_REASON_CHARACTERS],
            DELIVERED: str(letter.deliveries),
            "Nats-Msg-Id": _printable(letter.key),
        }
        if letter.place:
            headers[SEQUENCE] = _printable(letter.place)
        data = letter.body
        limit = self._connection.client.max_payload - HEADROOM_BYTES
        if len(data) > limit:
            headers[TRUNCATED] = f"{len(data)} bytes" + (f"; the whole is at {headers[SEQUENCE]}" if letter.place else "")
            data = data[:limit]
        with translated("keeping a dead letter"):
            await self._connection.write(subjects.REJECTED_SUBJECT, data, stream=subjects.REJECTED, headers=headers)
        self.kept += 1


def letter_of(message: Msg, reason: str) -> DeadLetter:
    """A message of a stream as a dead letter."""
    meta = message.metadata
    place = f"{meta.stream}:{meta.sequence.stream}"
    return DeadLetter(
        body=message.data,
        headers=message.headers or {},
        reason=reason,
        # Several clusters may refuse the same message; the time makes the key differ when a stream is made anew.
        key=f"{place}:{meta.timestamp.timestamp()}.rejected",
        sent_to=message.subject,
        place=place,
        deliveries=meta.num_delivered,
    )


def _original(headers: Mapping[str, str]) -> dict[str, str]:
    """The original headers behind a prefix, where the server cannot take them for instructions; at most 8 KiB of them."""
    kept: dict[str, str] = {}
    size = 0
    for key, value in headers.items():
        written = _printable(value)
        size += len(ORIGINAL_PREFIX) + len(key) + len(written)
        if _KEY.fullmatch(key) is not None and size <= HEADROOM_BYTES // 2:
            kept[ORIGINAL_PREFIX + key] = written
    return kept


def _printable(text: str) -> str:
    """One line of ASCII: what every client can show."""
    return text.encode("ascii", "backslashreplace").decode().translate(dict.fromkeys((*range(32), 127), " "))
