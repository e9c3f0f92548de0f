"""The other replicas as one of them finds them in the store: the table, their signs of life, and who of them is surely dead.

Who is silent for a whole lease has its sign overwritten first, by compare-and-set: of a renewal and a removal at the same moment
one is first, and who was taken for dead finds it out by its next renewal. Time in which nothing could be read counts for nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from daemon.aio.clock import Clock
from daemon.aio.tasks import TaskGroup
from daemon.errors import Conflict, Refused, VerdictdError
from daemon.ports.durable import Kept, Store
from daemon.replicas.lease import Heard
from daemon.replicas.table import Table

TABLE: Final = "table"
DEAD: Final = b""
_UNREADABLE: Final = "the table of replicas cannot be read"
_BEGIN_ANEW: Final = "where no newer version has written it, remove that key (it ends in .table) from the bucket of sessions"


class Spoiled(Refused):
    """What stands in the place of the table was written by no version. ``revision``: what a write may stand on."""

    def __init__(self, message: str, *, revision: int) -> None:
        super().__init__(message)
        self.revision = revision


def sign(name: str) -> str:
    """The key of a replica's sign of life."""
    return f"sign-{name}"


async def read_table(store: Store, *, now: float, since: int = 0) -> tuple[Table, int]:
    """The table and its revision; a new one, whose numbers are larger than all that was before, where there is none.

    ``now``: seconds since 1970. ``since``: the number of a table that was read before, as far as one was.
    Raises as the store does; ``Refused``: what is there cannot be read; ``Spoiled``: by nobody.
    """
    kept = await store.get(TABLE)
    if kept is None:
        return Table(number=int(now * 1000.0)), 0
    try:
        table = msgspec.json.decode(kept.value, type=Table)
    except msgspec.ValidationError as error:
        raise Refused(f"{_UNREADABLE}: {error}; {_BEGIN_ANEW}") from error
    except (ValueError, RecursionError) as error:
        raise Spoiled(f"{_UNREADABLE}: {error}; {_BEGIN_ANEW}", revision=kept.revision) from error
    if table.number < max(since, 1):
        # Numbers only grow. With smaller ones whoever was given a slot later would be taken for the one who has come too late.
        raise Spoiled(f"{_UNREADABLE}: its number is {table.number} after {since}; {_BEGIN_ANEW}", revision=kept.revision)
    return table, kept.revision


class Others:
    """Who of them lives, by what was heard of each since when."""

    def __init__(self, store: Store, *, lease_seconds: float, clock: Clock) -> None:
        self._store = store
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._heard: dict[str, Heard] = {}

    def forget(self) -> None:
        """Who could not be heard was not silent."""
        self._heard.clear()

    async def dead(self, names: Sequence[str]) -> frozenset[str]:
        """Those of these that were silent for a whole lease; their signs are overwritten, so that they know.

        Raises as the store does.
        """
        async with TaskGroup() as group:
            looks = {name: group.create_task(self._sign_of(name)) for name in names}
        signs = {name: _answer(look.result()) for name, look in looks.items()}
        now = self._clock.monotonic()
        self._heard = {
            name: self._heard.get(name, Heard(revision=0, at=now)).again(0 if kept is None else kept.revision, now=now)
            for name, kept in signs.items()
        }
        return frozenset([name for name in names if await self._is_dead(name, signs, now=now)])

    async def _is_dead(self, name: str, signs: Mapping[str, Kept | None], *, now: float) -> bool:
        kept = signs[name]
        if kept is not None and kept.value == DEAD:
            return True
        if not self._heard[name].is_silent(now, lease_seconds=self._lease_seconds):
            return False
        try:
            await self._store.put(sign(name), DEAD, over=0 if kept is None else kept.revision)
        except Conflict:
            return False
        return True

    async def _sign_of(self, name: str) -> Kept | VerdictdError | None:
        """As a value: a group that fails while it is cancelled would forget that it was."""
        try:
            return await self._store.get(sign(name))
        except VerdictdError as error:
            return error


def _answer(found: Kept | VerdictdError | None) -> Kept | None:
    if isinstance(found, VerdictdError):
        raise found
    return found
