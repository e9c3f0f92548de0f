"""Numbers as an on-call engineer reads them at 3 a.m."""

import math
from functools import lru_cache


def percent(rate: float) -> str:
    """A rate as per cent with two significant digits: 0.1 %, 2.1 %, 21 %."""
    value = 100.0 * rate
    if value == 0.0:
        return "0 %"
    if 99.995 <= value < 100.0:
        return "over 99.99 %"
    digits = max(0, 1 - math.floor(math.log10(value))) if value < 99.5 else 2
    text = f"{value:.{min(digits, 6)}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def times(factor: float) -> str:
    """A factor: 1.31 times, 12 times."""
    return f"{factor:.2f} times" if factor < 10.0 else f"{factor:.0f} times"


def slower(factor: float) -> str:
    """A factor as what is added: 10 % slower."""
    return f"{round(100.0 * (factor - 1.0), 1):g} % slower"


def milliseconds(latency: float) -> str:
    """A latency with thin groups: 0.5 ms, 250 ms, 3 600 000 ms."""
    return f"{latency:g} ms" if latency < 1000.0 else f"{count(latency)} ms"


def duration(seconds: float) -> str:
    """A forecast of time, rounded up: 40 s, 25 min, 3 h, 2 days."""
    for unit, size, most in (("s", 1.0, 90.0), ("min", 60.0, 90.0), ("h", 3600.0, 48.0)):
        if seconds <= size * most:
            return f"{math.ceil(seconds / size)} {unit}"
    return f"{math.ceil(seconds / 86400.0)} days"


def per_second(rate: float) -> str:
    """Traffic: 0.5/s, 2.3/s, 50/s."""
    return f"{rate:.2g}/s" if rate < 10.0 else f"{count(rate)}/s"


def between(low: float, high: float | None) -> str:
    """Two factors, or the lower one only, with as many digits as tell them apart: between 0.92 and 1.07 times."""
    if high is None or low == high:
        return f"{'at least ' if high is None else ''}{times(low)}"
    digits = next((digits for digits in range(2, 9) if f"{low:.{digits}f}" != f"{high:.{digits}f}"), 9)
    return f"between {low:.{digits}f} and {high:.{digits if high < 10.0 else 0}f} times"


def odds(evidence: float) -> str:
    """Evidence as a chance: an e-value of 4000 would be seen with a chance of at most 1 in 4000 on a healthy canary."""
    if evidence >= 1e9:
        return "less than 1 in a billion"
    digits = max(0, math.floor(math.log10(max(evidence, 1.0))) - 1)
    return f"at most 1 in {round(max(1, math.floor(evidence / 10**digits)) * 10**digits):,}".replace(",", " ")


def alarm(evidence: float) -> str:
    """The same as how often a canary that is no worse would come as far."""
    return f"{odds(evidence).replace('less', 'fewer')} canaries that are no worse would look as bad"


def to_one(evidence: float) -> str:
    """Evidence as odds: 5 to 1, 12 to 1, more than a million to 1."""
    if evidence < 1.0:
        return "less than 1 to 1"
    if evidence >= 1e6:
        return "more than a million to 1"
    return f"{math.floor(10.0 * evidence) / 10.0:g} to 1" if evidence < 10.0 else f"{count(math.floor(evidence))} to 1"


@lru_cache(maxsize=4096)
def count(number: float) -> str:
    """A count with thin groups: 12 500."""
    whole = round(number)
    return str(whole) if whole < 1000 else f"{whole:,}".replace(",", " ")


@lru_cache(maxsize=4096)
def exposed(requests: float, wanted: float) -> str:
    """Requests of those that are wanted."""
    seen = "canary requests seen"
    return f"{count(requests)} of {count(wanted)} {seen}" if requests < wanted else f"{count(requests)} {seen} (enough)"


@lru_cache(maxsize=4096)
def watched(seconds: float, wanted: float) -> str:
    """Time that has gone by of the time wanted."""
    return f"{math.floor(seconds)} of {wanted:g} s watched" if seconds < wanted else f"{seconds:.0f} s watched (enough)"


def of_connections(text: str) -> str:
    """What is said of requests, said of connections."""
    return text.replace("request", "connection").replace("Request", "Connection")


def listed(parts: list[str]) -> str:
    """a; a and b; a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
