"""A scrape that comes into its store in parts, and the newest moment at which all of its parts are there.

Prometheus writes a scrape at once. Remote writing does not: it spreads series over shards, each of which sends when a batch is
full or its deadline has come, so that failures may be there seconds before the requests that were served. A part alone is a
share of failures that never was. So a series that is behind the others by a scrape, or by seconds, is waited for, and all are
taken as they were when it was last there; one that is behind by more has ended.
"""

from collections.abc import Mapping, Sequence

from daemon.telemetry.wire import number

Samples = Sequence[tuple[float, str]]
"""A series' samples, the oldest first: when, and what."""

PARTS_SECONDS = 10.0
"""By how much parts of one scrape may be apart: Prometheus' remote writing waits 5 s for a batch to fill, and then it is sent."""
_SPACINGS = 1.2


def apart_seconds(spacing_seconds: float) -> float:
    """By how much a series may be behind the others of its scrape without having ended."""
    return max(PARTS_SECONDS, _SPACINGS * spacing_seconds)


def settled_at(newest: Mapping[str, Samples], behind: Mapping[str, Samples], *, at: float, spacing_seconds: float) -> float:
    """The newest moment at which all of these series are there.

    Args:
        newest: those that are there at ``at``.
        behind: those of the same scraper whose last sample is older.
        at: the newest moment of any of them, in seconds.
        spacing_seconds: how far apart scrapes are.
    """
    times = {_ms(when) for samples in newest.values() for when, _ in samples}
    lasts = [samples[-1][0] for samples in behind.values()]
    missed = [last for last in lasts if at - last <= apart_seconds(spacing_seconds) and _ms(last) in times]
    # A process that has begun anew has not all of its series yet.
    return at if not missed or any(_fell(samples) for samples in newest.values()) else min(missed)


def value_at(samples: Samples, at: float) -> str | None:
    """What a series was then; null where it has no sample of that moment."""
    return next((text for when, text in reversed(samples) if _ms(when) == _ms(at)), None)


def _fell(samples: Samples) -> bool:
    return len(samples) > 1 and number(samples[-1][1], path="value") < number(samples[-2][1], path="value")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
