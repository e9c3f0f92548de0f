"""Messages that were gone before anybody has read them.

A stream numbers its messages without holes, and a consumer gets each once before it gets any a second time. So a number that is
skipped is a message that was removed unread: by age, by a limit that was set otherwise, or by hand. Or it was given out and lost on
the way to us, with a connection, and comes again: the consumer counts what it gives out, and a hole in that count tells these.
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
        self._deliveries: int | None = None

    def begin(self, *, delivered: int | None, deliveries: int | None) -> None:
        """The consumer is there; ``delivered`` is the largest number given out so far, in so many deliveries. Null: it is new."""
        self._newest, self._deliveries = delivered, deliveries

    def next_is(self, number: int, *, lost_on_the_way: int = 0) -> None:
        """No message before this number will come any more, but those that have come once already, or were lost on the way."""
        if self._newest is None:
            return
        missing = number - self._newest - 1 - lost_on_the_way
        if missing > 0:
            self.lost += missing
            logger.error(
                "messages were removed from a stream before they were read",
                extra={"stream": self._stream, "messages": missing, "first": self._newest + 1, "last": number - 1},
            )
            self._newest = number - 1

    def seen(self, number: int, *, delivery: int) -> None:
        """A message with this number has come, in this one of the consumer's deliveries."""
        self.next_is(number, lost_on_the_way=0 if self._deliveries is None else delivery - self._deliveries - 1)
        self._newest = number if self._newest is None else max(self._newest, number)
        self._deliveries = delivery
