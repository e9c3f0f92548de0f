"""A value of a store that several change at once: each change is made of what is there, and made again where another came first."""

import logging
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec

from daemon.errors import Conflict
from daemon.ports.durable import Store

log = logging.getLogger(__name__)

_TRIES: Final = 5
_Value = TypeVar("_Value", bound=msgspec.Struct)


class SharedValue(Generic[_Value]):
    """Values of one kind in ``store``, by key.

    Args:
        empty: what counts where there is none, and where what is there cannot be read.
        unreadable: what the log says then.
        contested: what a ``Conflict`` says when others were first each time.
    """

    def __init__(self, store: Store, *, empty: _Value, unreadable: str, contested: str) -> None:
        self._store = store
        self._empty = empty
        self._unreadable = unreadable
        self._contested = contested

    async def read(self, key: str) -> _Value:
        """As it is. Raises as the store does."""
        value, _ = await self._read(key)
        return value

    async def change(self, key: str, changed: Callable[[_Value], _Value]) -> _Value:
        """Put there what ``changed`` makes of it, and give that. Raises ``Conflict``, and as ``changed`` and the store do."""
        for _ in range(_TRIES):
            value, revision = await self._read(key)
            after = changed(value)
            if revision and after == value:  # an earlier try of ours, whose answer was lost, say
                return after
            try:
                await self._store.put(key, msgspec.json.encode(after), over=revision)
            except Conflict:
                continue
            return after
        raise Conflict(self._contested)

    async def _read(self, key: str) -> tuple[_Value, int]:
        kept = await self._store.get(key)
        if kept is None:
            return self._empty, 0
        try:
            return msgspec.json.decode(kept.value, type=type(self._empty)), kept.revision
        except msgspec.MsgspecError as error:
            log.error(self._unreadable, extra={"error": str(error)})  # noqa: TRY400 - the reason says it
            return self._empty, kept.revision
