"""For how long an answer sends us away (``Retry-After``, RFC 9110 section 10.2.3): seconds, or a date by the answering clock."""

from datetime import datetime
from email.utils import parsedate_to_datetime


def retry_after_seconds(text: str, *, date: str) -> float | None:
    """How long to leave it alone, in seconds; null where that is not said, or cannot be read.

    Args:
        text: of the header.
        date: of the header ``Date`` of the same answer, which a date is held against: two clocks need not agree.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    until, now = _date(text), _date(date)
    return None if until is None or now is None else max(0.0, (until - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    # Without a zone it is none of HTTP's forms, and cannot be held against one that has one.
    return found if found.tzinfo is not None else None
