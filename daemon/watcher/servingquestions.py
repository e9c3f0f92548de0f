"""What is asked about the Deployments behind a Service, where people look for what is open: which of several is to be compared.

A question is opened before the look that asks it is over, and closed before what is kept of the Service changes, so that a daemon
which dies in between finds it again. What is open is read once, since nobody else asks about Services.
"""

import logging

from config.errors import one_of
from daemon.interventions import OpenQuestion
from daemon.questions import Questions
from daemon.watcher.annotations import WATCH
from daemon.watcher.kept import RouteKey
from daemon.watcher.pairing import Undecided

log = logging.getLogger(__name__)

_PREFIX = "serving-"


class ServingQuestions:
    """Those of one life of the watch, in ``questions``."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._asked: dict[str, str] | None = None

    async def keep(self, key: RouteKey, undecided: Undecided | None, *, now: float) -> None:
        """Ask this of a Service and nothing else; null: nothing. Raises ``VerdictdError``: it may be asked or not.

        Args:
            key: the Service.
            undecided: what somebody must say.
            now: seconds since 1970.
        """
        if self._asked is None:
            self._asked = {one.id: one.answer for one in await self._questions.open() if one.id.startswith(_PREFIX)}
        question_id = _PREFIX + key.stored
        wanted = None if undecided is None else _open(question_id, key, undecided, now=now)
        before = self._asked.get(question_id)
        if before == (None if wanted is None else wanted.answer):
            return
        if before is not None:
            await self._questions.close([question_id])
            del self._asked[question_id]
        if wanted is not None:
            await self._questions.ask(wanted)
            self._asked[question_id] = wanted.answer
            log.warning(
                "a Service is asked about", extra={"service": str(key), "question": wanted.question, "answer": wanted.answer}
            )


def _open(question_id: str, key: RouteKey, undecided: Undecided, *, now: float) -> OpenQuestion:
    words = " and ".join(f"{annotation}: {one_of(names)}" for annotation, names in undecided.words.items())
    fewer = "; two Deployments behind it answer too" if undecided.are_many else ""
    return OpenQuestion(
        id=question_id,
        about=str(key),
        namespace=key.namespace,
        question=undecided.why,
        answer=f"annotate the Service with {words}, or with {WATCH}: off{fewer}",
        annotations=(*undecided.words, WATCH),
        since=now,
    )
