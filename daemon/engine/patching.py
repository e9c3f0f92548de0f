"""Trying a patch: which failures are worth another try and how soon, and what was written over all tries.

All tries may take a minute, in which a bad canary serves: that the first did not get through is said at once, and not at their end.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec

from config.settings import Limits
from daemon.aio.backoff import doubled
from daemon.aio.clock import Clock
from daemon.errors import Conflict, Throttled, TransientError, Unauthenticated, VerdictdError
from daemon.model import Release
from daemon.placement import ObjectName, PatchedObject, PatchReceipt
from daemon.ports.routing import TrafficRouter

log = logging.getLogger(__name__)

T = TypeVar("T")

BACKOFF_CAP_SECONDS: Final = 2.0
_BACKOFF_FIRST_SECONDS: Final = 0.05
_RETRY_AFTER_CAP_SECONDS: Final = 5.0
_FREE_CONFLICTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Patched:
    """What was written, over all tries; and why not all of it could be."""

    attempts: int
    receipt: PatchReceipt | None
    error: VerdictdError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """What is tried again, with what it needs: time, the limits, and numbers in [0, 1) for the jitter."""

    clock: Clock
    limits: Limits
    random: Callable[[], float]

    async def patch(self, router: TrafficRouter, release: Release, *, located: str) -> Patched:
        """Try until all is written, or what is left is sure to fail, or it was tried ``limits.revert_attempts`` times."""
        written: dict[tuple[ObjectName, str], PatchedObject] = {}
        attempts, is_told = 0, False

        async def attempt() -> PatchReceipt:
            nonlocal attempts, is_told
            attempts += 1
            try:
                receipt = await router.revert(release, located=located)
                written.update({_which(part): part for part in receipt.parts if part.failure is None})
                if receipt.failure is not None:
                    raise receipt.failure
            except (TransientError, Unauthenticated) as error:
                if not (is_told or (isinstance(error, Conflict) and attempts <= _FREE_CONFLICTS)):
                    is_told = True
                    log.warning("the revert does not get through, it is tried again", extra={"reason": str(error)})
                raise
            return receipt

        last = await self.several(attempt)
        parts = tuple(written.values())
        receipt = None if isinstance(last, VerdictdError) else last
        if parts:
            sent_at, acknowledged_at = min(one.sent_at for one in parts), max(one.acknowledged_at for one in parts)
            known = receipt or PatchReceipt(sent_at=sent_at, acknowledged_at=acknowledged_at)
            receipt = msgspec.structs.replace(known, parts=parts, sent_at=sent_at, acknowledged_at=acknowledged_at)
        return Patched(attempts=attempts, receipt=receipt, error=last if isinstance(last, VerdictdError) else None)

    async def several(self, call: Callable[[], Awaitable[T]]) -> T | VerdictdError:
        """Call until it succeeds, is sure to fail, or was tried ``limits.revert_attempts`` times."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await call()
            except (TransientError, Unauthenticated) as error:
                if attempt >= self.limits.revert_attempts:
                    return error
                await self.clock.sleep(self._retry_delay(error, attempt=attempt))
            except VerdictdError as error:
                return error

    def _retry_delay(self, error: VerdictdError, *, attempt: int) -> float:
        """A conflict means that somebody else was quicker, not that the server is in trouble: the first few cost nothing."""
        match error:
            case Conflict() if attempt <= _FREE_CONFLICTS:
                return 0.0
            case Throttled(retry_after_seconds=seconds):
                return min(max(seconds, 0.0), _RETRY_AFTER_CAP_SECONDS)
            case _:
                first, cap = _BACKOFF_FIRST_SECONDS, BACKOFF_CAP_SECONDS
                return doubled(attempt, first_seconds=first, cap_seconds=cap, random=self.random)


def _which(part: PatchedObject) -> tuple[ObjectName, str]:
    """Kinds of two groups may have one name, as HTTPRoute has."""
    return part.object, part.undo.resource if part.undo is not None else ""


def asked_for(error: VerdictdError) -> float:
    """The pause that a throttling server asks for, within reason."""
    return min(error.retry_after_seconds, _RETRY_AFTER_CAP_SECONDS) if isinstance(error, Throttled) else 0.0
