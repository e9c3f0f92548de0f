"""Messages that were gone before anybody has read them.

A stream numbers its messages without holes, and a consumer gets each once before it gets any a second time. So a number that is
skipped is a message that was removed unread: by age, by a limit that was set otherwise, or by hand.
"""

import logging

logger = logging.getLogger(__name__)


class Gaps:
    """Of one consumer.

    Attributes:
        lost: how many messages were gone unread, since the daemon has started.
    """

    def __init__(self, stream: str) -> None:
        self.lost = 0
        self._stream = stream
        self._newest: int | None = None

    def begin(self, *, delivered: int | None) -> None:
        """The consumer is there: ``delivered`` is the largest number that it has given out; null when it is new."""
        self._newest = delivered

    def next_is(self, number: int) -> None:
        """No message before this number will come any more, but those that have come once already."""
        if self._newest is not None and number > self._newest + 1:
            missing = number - self._newest - 1
            self.lost += missing
            logger.error(
                "messages were removed from a stream before they were read",
                extra={"stream": self._stream, "messages": missing, "first": self._newest + 1, "last": number - 1},
            )
            self._newest = number - 1

    def seen(self, number: int) -> None:
        """A message with this number has come."""
        self.next_is(number)
        self._newest = number if self._newest is None else max(self._newest, number)
