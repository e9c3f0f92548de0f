"""Several engines that share the work, as a test says: who has which service, and whether that is sure."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from daemon.engine.dependencies import Shared
from daemon.errors import Unavailable
from daemon.ports.sharing import Moves, Of
from daemon.replicas.slots import slot_of
from tests.hand.ports import HandTelemetry, Scene


@dataclass
class HandSharing:
    """``Sharing`` of one replica. ``holders`` and ``numbers`` are the same of all."""

    me: str
    holders: dict[int, str]
    numbers: dict[int, int]
    problem: str | None = None
    moves: Moves | None = None
    has_left: bool = False
    lasting: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.lasting.set()

    async def run(self, moves: Moves) -> None:
        self.moves = moves
        moves.gained({slot for slot, holder in self.holders.items() if holder == self.me})
        await asyncio.Event().wait()

    async def leave(self) -> None:
        self.has_left = True

    def slot_of(self, of: Of) -> int:
        return slot_of(of.namespace, of.service)

    def holder_of(self, of: Of) -> str | None:
        return self.holders.get(self.slot_of(of))

    def number_of(self, of: Of) -> int:
        return self.numbers.get(self.slot_of(of), 0) if self.holder_of(of) == self.me else 0

    def is_sure(self) -> bool:
        return self.lasting.is_set()

    async def sure(self) -> None:
        await self.lasting.wait()


class HandCarrier:
    """``Carrier`` among the replicas of one process."""

    def __init__(self, answers: dict[str, Callable[[bytes], Awaitable[bytes]]]) -> None:
        self.answers = answers
        self.asked = 0

    async def ask(self, replica: str, words: bytes) -> bytes:
        self.asked += 1
        if replica not in self.answers:
            raise Unavailable(f"there is no replica {replica} now")
        return await self.answers[replica](words)

    async def answer(self, replica: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        self.answers[replica] = answer
        try:
            await asyncio.Event().wait()
        finally:
            del self.answers[replica]


class Replicas:
    """Scenes of replicas over the same stores, the same traffic and the same stream of verdicts."""

    def __init__(self, *names: str) -> None:
        self.holders: dict[int, str] = {}
        self.numbers: dict[int, int] = {}
        self.sharing = {name: HandSharing(name, self.holders, self.numbers) for name in names}
        self.carrier = HandCarrier({})
        first = Scene()
        self.scenes = {
            name: Scene(
                sessions=first.sessions,
                records=first.records,
                aliases=first.aliases,
                freezes=first.freezes,
                promotions=first.promotions,
                sink=first.sink,
                router=first.router,
                telemetry=HandTelemetry(),
                shared=Shared(sharing=sharing, carrier=self.carrier),
            )
            for name, sharing in self.sharing.items()
        }

    def give(self, of: Of, name: str) -> None:
        """Let this one have the service, from whoever had it, who is not told."""
        slot = slot_of(of.namespace, of.service)
        self.holders[slot] = name
        self.numbers[slot] = self.numbers.get(slot, 0) + 1
        if (moves := self.sharing[name].moves) is not None:
            moves.gained({slot})

    def lose(self, of: Of, name: str) -> None:
        """Tell this one that it does not have the service any more."""
        moves = self.sharing[name].moves
        assert moves is not None
        moves.lost({slot_of(of.namespace, of.service)})

    async def hand_over(self, of: Of, name: str, *, to: str) -> None:
        """In order: the one is told before the other."""
        moves = self.sharing[name].moves
        assert moves is not None
        await moves.give_up({slot_of(of.namespace, of.service)})
        self.give(of, to)
