"""What is between replicas that share the work: which services are whose, and words from one to another.

Who holds a service watches its releases and writes what is kept of them; nobody else does. How long one may count on that is asked
before every deed that another replica could not take back.
"""

from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from typing import Protocol

from daemon.model import Release, Verdict

Of = Release | Verdict
"""What tells of which service it is."""


class Moves(Protocol):
    """Who is told which services it has to do with, in slots: each a group of services that stay together."""

    def gained(self, slots: AbstractSet[int]) -> None:
        """They are its own from now on."""
        ...

    async def give_up(self, slots: AbstractSet[int]) -> None:
        """Others will have them once this returns, which it does in bounded time: nothing of theirs may be begun any more."""
        ...

    def lost(self, slots: AbstractSet[int]) -> None:
        """Others may have them already: what is under way ends here and now, without a word to anybody."""
        ...


class Sharing(Protocol):
    """A replica's part of the work."""

    @property
    def me(self) -> str:
        """This replica, as others know where to find it."""
        ...

    @property
    def problem(self) -> str | None:
        """Why it cannot be sure of its part now; null while it can."""
        ...

    async def run(self, moves: Moves) -> None:
        """Take part until cancelled. What it has then stays its own until others take it for dead."""
        ...

    async def leave(self) -> None:
        """Hand over everything at once. To be called when ``run`` has ended and nothing is under way any more."""
        ...

    def slot_of(self, of: Of) -> int:
        """The slot that its service falls into."""
        ...

    def holder_of(self, of: Of) -> str | None:
        """Which replica has its service, as far as it is known; null: nobody."""
        ...

    def number_of(self, of: Of) -> int:
        """The number under which this replica has its service: larger than that of all before it."""
        ...

    def is_sure(self) -> bool:
        """Whether what this replica holds is surely its own now."""
        ...

    async def sure(self) -> None:
        """Wait until it is. Whoever waits is to be cancelled when what it is about is lost."""
        ...


class Turn(Protocol):
    """Whose it is to do what one replica does for all: at most one's at a time, but for a moment where one was taken for dead."""

    async def begins(self) -> None:
        """Wait until it is this replica's."""
        ...

    async def ends(self) -> None:
        """Wait until it is not any more."""
        ...


class Carrier(Protocol):
    """Words from one replica to another, each with one answer."""

    async def ask(self, replica: str, words: bytes) -> bytes:
        """The answer. Raises ``Unavailable`` where there is nobody of that name, ``TimedOut``: it may have been heard or not."""
        ...

    async def answer(self, replica: str, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer what is said to the replica of this name, for ever."""
        ...
