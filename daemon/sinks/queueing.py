"""All that a channel tells, into its queue: to the engine that is a sink, which has what the queue has."""

from collections.abc import Callable

from daemon.model import Outline, Release, Verdict
from daemon.ports.notices import Notice, NoticeQueue, PersonWanted, Sequel


class QueueingSink:
    """Implements ``AskingSink``, ``AnsweringSink`` and ``FollowingSink``.

    Args:
        queue: the channel's.
        wanted: whether a notice is for the channel. Pure.
        asks: whether it can tell, and is to tell, that a person is waited for. Pure.
        follows: whether it can tell, and is to tell, this that came after the verdict. Pure.
        answers: whether somebody of an announcement waits there. Pure.
    """

    def __init__(
        self,
        queue: NoticeQueue,
        *,
        wanted: Callable[[Notice], bool],
        asks: Callable[[Release], bool],
        follows: Callable[[Sequel], bool],
        answers: Callable[[Release | Outline], bool],
    ) -> None:
        self._queue = queue
        self._wanted = wanted
        self._asks = asks
        self._follows = follows
        self._answers = answers

    def wants(self, release: Release, verdict: Verdict) -> bool:
        """See ``VerdictSink.wants``."""
        return self._wanted(Notice(release=release, verdict=verdict))

    async def publish(self, release: Release, verdict: Verdict) -> None:
        """See ``VerdictSink.publish``."""
        await self._queue.put(Notice(release=release, verdict=verdict))

    def asks(self, release: Release) -> bool:
        """See ``AskingSink.asks``."""
        return self._asks(release)

    async def ask(self, wanted: PersonWanted) -> None:
        """See ``AskingSink.ask``."""
        await self._queue.put(wanted)

    def follows(self, sequel: Sequel) -> bool:
        """See ``FollowingSink.follows``."""
        return self._follows(sequel)

    async def follow(self, sequel: Sequel) -> None:
        """See ``FollowingSink.follow``."""
        await self._queue.put(sequel)

    def answers(self, said: Release | Outline) -> bool:
        """See ``AnsweringSink.answers``."""
        return self._answers(said)

    async def answer(self, release: Release, verdict: Verdict, *, asked_as: str) -> None:
        """See ``AnsweringSink.answer``."""
        await self._queue.put(Notice(release=release, verdict=verdict), asked_as=asked_as)
