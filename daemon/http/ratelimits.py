"""How often each may ask: so many requests a second on average, and ten seconds' worth of them at once.

Whoever shows a token or a secret is one caller wherever it asks from; everybody else is its address. The generic cell rate
algorithm (ITU-T I.371) keeps one moment of each, at which all that it has asked for would have come at an even pace; those whose
moment has passed are forgotten, and when too many remain to be remembered, those that come new share one.
"""

import time
from collections.abc import Callable
from typing import Final

from daemon.errors import Throttled

BURST_SECONDS: Final = 10.0
MOST_REMEMBERED: Final = 10_000
_OTHERS: Final = "others"
_ROUNDING_SECONDS: Final = 1e-6


class RateLimits:
    """Who has asked how often.

    Args:
        per_second: requests of each; null: any number.
        monotonic: seconds, on a clock that is never set.
    """

    def __init__(self, per_second: float | None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._interval_seconds = None if per_second is None else 1.0 / per_second
        self._monotonic = monotonic
        self._even_at: dict[str, float] = {}

    def check(self, who: str, *, is_known: bool = False) -> None:
        """One more request of somebody. Raises ``Throttled``, and then it does not count.

        ``is_known``: one of those that the settings name, of whom there are few; strangers never take their places.
        """
        if self._interval_seconds is None:
            return
        now = self._monotonic()
        who = who if is_known else self._remembered(who, now)
        even_at = max(self._even_at.get(who, now), now) + self._interval_seconds
        early_seconds = even_at - now - max(BURST_SECONDS, self._interval_seconds)
        if early_seconds > _ROUNDING_SECONDS:
            raise Throttled(
                f"{who} has asked more than {1.0 / self._interval_seconds:g} times a second (http.requests_per_second)",
                retry_after_seconds=early_seconds,
            )
        self._even_at[who] = even_at

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._even_at)

    def _remembered(self, who: str, now: float) -> str:
        if who in self._even_at or len(self._even_at) < MOST_REMEMBERED:
            return who
        self._even_at = {one: at for one, at in self._even_at.items() if at > now}
        return who if len(self._even_at) < MOST_REMEMBERED else _OTHERS
