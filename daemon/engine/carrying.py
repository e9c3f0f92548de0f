"""What is said to one replica and is another's to do: carried there and answered here, as if it had been said there.

A replica that does not answer is about to be replaced, so it is tried again for as long as that takes.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from config.errors import Fault
from daemon.aio.backoff import pauses
from daemon.aio.clock import Clock
from daemon.errors import InvalidInput, NotFound, Refused, TransientError, Unavailable, VerdictdError
from daemon.interventions import Command
from daemon.model import Release
from daemon.ports.sharing import Carrier
from daemon.releaseview import ReleaseView

LEASES_AND_SECONDS: Final = (2.0, 5.0)
"""How long is tried: twice as long as a dead replica's place is empty, and what it takes to read what was kept."""


class Submission(msgspec.Struct, frozen=True, kw_only=True, tag="submission"):
    """A release that is announced; see ``ReleaseService.submit``."""

    release: Release
    release_id: str
    sender: str = ""
    announced_at: float | None = None


class Inquiry(msgspec.Struct, frozen=True, kw_only=True, tag="inquiry"):
    """About the attempt that is under way; see ``ReleaseService.attempt``."""

    release: Release
    release_id: str
    sender: str
    silence_seconds: float


class Word(msgspec.Struct, frozen=True, kw_only=True, tag="word"):
    """A person's word; see ``ReleaseService.command``."""

    release_id: str
    command: Command


Said = Submission | Inquiry | Word


class _Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How it stands then, or why not: the kind of error, and what it says."""

    release: ReleaseView | None = None
    error: str = ""
    message: str = ""
    faults: tuple[Fault, ...] = ()


_PERMANENT: Final = {kind.__name__: kind for kind in (NotFound, Refused)}


class Carrying:
    """Both ends of it, on ``carrier``."""

    def __init__(self, carrier: Carrier, *, lease_seconds: float, clock: Clock) -> None:
        self._carrier = carrier
        leases, seconds = LEASES_AND_SECONDS
        self._patience_seconds = leases * lease_seconds + seconds
        self._clock = clock

    async def carry(self, said: Said, *, where: Callable[[], Awaitable[str | None]]) -> ReleaseView | None:
        """The other replica's answer; null: it is for this replica to do.

        Args:
            said: what.
            where: which replica it is for now; null: this one.

        Raises:
            Unavailable: nobody has answered in time: it may have been done or not; twice is once.
            VerdictdError: what the other one says.
        """
        words = msgspec.json.encode(said)
        end = self._clock.monotonic() + self._patience_seconds
        for pause in pauses():
            try:
                replica = await where()
                return None if replica is None else _heard(await self._carrier.ask(replica, words))
            except TransientError as error:
                if self._clock.monotonic() + pause >= end:
                    raise Unavailable(f"the replica that has this service does not answer ({error}); try again") from error
                await self._clock.sleep(pause)
        raise AssertionError("pauses never end")


async def answered(words: bytes, *, does: Callable[[Said], Awaitable[ReleaseView]]) -> bytes:
    """The answer to what another replica has carried here."""
    try:
        answer = _Answer(release=await does(msgspec.json.decode(words, type=Said)))
    except InvalidInput as error:
        answer = _Answer(error="InvalidInput", faults=error.faults)
    except VerdictdError as error:
        answer = _Answer(error=type(error).__name__, message=str(error))
    except msgspec.MsgspecError as error:
        answer = _Answer(error="Refused", message=f"another replica's words cannot be read: {error}")
    return msgspec.json.encode(answer)


def _heard(words: bytes) -> ReleaseView:
    answer = msgspec.json.decode(words, type=_Answer)
    if answer.release is not None:
        return answer.release
    if answer.faults:
        raise InvalidInput.of(answer.faults)
    raise _PERMANENT.get(answer.error, Unavailable)(answer.message)
