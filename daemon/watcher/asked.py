"""What is asked about routes, where people look for what is open: told when it is asked, taken back when nobody need answer.

What a route waits for is kept with it by its marks, and a question goes before its mark does: where a daemon dies in between, the
mark leads to the same again.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from daemon.interventions import OpenQuestion
from daemon.questions import Questions
from daemon.watcher.kept import KeptRoute, RouteKey
from daemon.watcher.steps import Question, Step

_REFUSED: Final = "mend it where it stands; the release is announced then"


class RouteQuestions:
    """The open questions of routes, in ``questions``."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions

    async def keep(self, key: RouteKey, step: Step, *, before: KeptRoute | None, refused: Mapping[str, str], now: float) -> None:
        """Bring them to what comes of a look. Raises ``VerdictdError``: they may be so or not.

        Args:
            key: the route.
            step: what comes of it.
            before: what was kept of the route.
            refused: why releases could not be announced, by their marks.
            now: seconds since 1970.
        """
        wanted = _marks(step.after)
        for question in step.questions:
            if question.mark in wanted:
                await self._questions.ask(_open(key, question, now=now))
        for mark, reason in refused.items():
            said = f"a release could not be announced: {reason}"
            await self._questions.ask(_told(key, mark, question=said, answer=_REFUSED, now=now))
        await self._questions.close(_id(key, mark) for mark in sorted(_marks(before) - wanted))


def _marks(kept: KeptRoute | None) -> set[str]:
    return set() if kept is None else {*kept.asked, *kept.refused}


def _id(key: RouteKey, mark: str) -> str:
    return f"{key.stored}-{mark}"


def _open(key: RouteKey, question: Question, *, now: float) -> OpenQuestion:
    faults = question.error.faults
    said = [fault.message if fault.path == str(key) else f"{fault.path}: {fault.message}" for fault in faults]
    fixes = dict.fromkeys(fault.fix for fault in faults if fault.fix)
    told = _told(key, question.mark, question="; ".join(said), answer="; ".join(fixes), now=now)
    return msgspec.structs.replace(told, annotations=question.annotations, fields=question.fields)


def _told(key: RouteKey, mark: str, *, question: str, answer: str, now: float) -> OpenQuestion:
    return OpenQuestion(id=_id(key, mark), about=str(key), namespace=key.namespace, question=question, answer=answer, since=now)
