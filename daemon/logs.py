"""One line an event on stderr: JSON for machines, text for a person at a terminal.

Modules log with the standard library (``log.info("submitted", extra={"service": ...})``): the message is the event's name, the
extras are its fields. The release an event belongs to comes from a context variable, so that no function has to carry an
id only to log it. A line never holds a raw line break, and fields whose name or URL could hold a secret are blanked.

What is said over and over is summed: the first times it is written, then counted, and the count is written. An event is the
same when its logger, its name and its release are; so one release's verdict is never counted among another's.
"""

import json
import logging
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from config.secretnames import SECRET_NAME

_release_id: ContextVar[str | None] = ContextVar("release_id", default=None)

# What a LogRecord has of its own; everything else on it came as an extra.
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_URL_SECRET: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]*@", re.IGNORECASE)
_BEARER: Final = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]+", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BLANK: Final = "[redacted]"
_FIELD_CHARACTERS: Final = 4096
_TIMES: Final = 20
"""How often an event is written within a window before it is counted only."""
_WINDOW_SECONDS: Final = 10.0

# A stranger's bytes that are no HTTP: known by name, since importing the library for it would slow every command down.
_NO_HTTP: Final = "HttpProcessingError"

# Libraries that tell at INFO what we tell ourselves, once for each connection or request.
_QUIET: Final = ("aiohttp.access", "kubernetes_asyncio", "nats", "asyncio")


@contextmanager
def release_bound(release_id: str) -> Iterator[None]:
    """Everything logged inside, in this task and those it starts, carries this release's id."""
    token = _release_id.set(release_id)
    try:
        yield
    finally:
        _release_id.reset(token)


def set_up(*, level: str = "info", stream: TextIO | None = None, human: bool | None = None) -> None:
    """Send all logging to one stream, in place of what was set up before.

    Args:
        level: debug, info, warning or error.
        stream: default stderr.
        human: text instead of JSON; default: when the stream is a terminal.
    """
    stream = sys.stderr if stream is None else stream
    handler = SummingHandler(stream)
    as_text = stream.isatty() if human is None else human
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        if isinstance(old, SummingHandler):
            old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """What one event says, blanked of secrets: time, level, event, logger, release and the extras."""
    found: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": _clean(record.getMessage()),
        "logger": record.name,
    }
    if (release_id := _release_id.get()) is not None:
        found["release"] = release_id
    for name, value in vars(record).items():
        if name not in _OWN:
            found[name] = _BLANK if SECRET_NAME.search(name) and not name.endswith("_file") else _clean(value)
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and _is_no_http(error):
        found |= {"event": "a request was no HTTP", "level": "warning", "reason": _clean(" ".join(str(error).split())[:200])}
    elif error is not None:
        found["error"] = _clean(f"{type(error).__name__}: {error}")
        found["traceback"] = _clean("".join(traceback.format_exception(error)).rstrip("\n"))
    return found


class SummingHandler(logging.StreamHandler[TextIO]):
    """Writes an event the first times, and then how often it came again.

    Args:
        now: a clock that never goes backwards.
        times: how often the same event is written in one window.
        window_seconds: after so long its count is written, and it may be told again.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        now: Callable[[], float] = time.monotonic,
        times: int = _TIMES,
        window_seconds: float = _WINDOW_SECONDS,
    ) -> None:
        super().__init__(stream)
        self._now = now
        self._times = times
        self._window_seconds = window_seconds
        # In the order in which their windows began.
        self._windows: dict[tuple[str, str, object], _Window] = {}
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the event, or count it. Called with the handler's lock held, from whatever thread."""
        self.settle()
        release = getattr(record, "release", _release_id.get())
        key = (record.name, str(record.msg), release)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(record, release=release, ends=self._now() + self._window_seconds)
        window.said += 1
        if window.said <= self._times:
            super().emit(record)
        else:
            self._settle_in_time()

    def settle(self, *, all_of_them: bool = False) -> None:
        """Write the counts of the windows that are over."""
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window.ends > self._now() and not all_of_them:
                return
            del self._windows[key]
            if window.said > self._times:
                super().emit(window.summary(self._times, seconds=self._window_seconds))

    def close(self) -> None:
        """Write all counts there are, and be done."""
        self.acquire()
        try:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.settle(all_of_them=True)
        finally:
            self.release()
        super().close()

    def _settle_in_time(self) -> None:
        """Nobody may say anything any more: the counts must be written all the same."""
        if self._timer is None:
            self._timer = threading.Timer(self._window_seconds, self._settle_late)
            self._timer.daemon = True
            self._timer.start()

    def _settle_late(self) -> None:
        self.acquire()
        try:
            self._timer = None
            self.settle()
            if any(window.said > self._times for window in self._windows.values()):
                self._settle_in_time()
        finally:
            self.release()


class _Window:
    """One event since it was first written."""

    __slots__ = ("ends", "first", "release", "said")

    def __init__(self, first: logging.LogRecord, *, release: str | None, ends: float) -> None:
        self.first = first
        self.release = release
        self.ends = ends
        self.said = 0

    def summary(self, written: int, *, seconds: float) -> logging.LogRecord:
        """How often it was said beyond what was written."""
        about = fields(self.first)
        again = {"again": about["event"], "times": self.said - written, "window_seconds": seconds}
        if self.release is not None:
            again["release"] = self.release
        like = {"name": self.first.name, "levelno": self.first.levelno, "levelname": about["level"].upper()}
        return logging.makeLogRecord({**like, "msg": "said again", **again})


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line = json.dumps(fields(record), ensure_ascii=False, separators=(",", ":"), default=lambda value: _clean(str(value)))
        return line.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x7f", "\\u007f").replace("\x85", "\\u0085")


class TextFormatter(logging.Formatter):
    """``12:00:01 WARNING reverted  release=... attempts=1``, with control characters written out."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end; a traceback follows on lines of its own, indented."""
        found = fields(record)
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        trace = str(found.pop("traceback", ""))
        rest = [f"{name}={value}" for name, value in found.items() if name not in {"time", "level", "event", "logger"}]
        line = _printable(f"{clock} {found['level'].upper():<7} {found['event']}  {' '.join(rest)}").rstrip()
        return "\n    ".join([line, *map(_printable, trace.splitlines())])


def _clean(value: object) -> object:
    """A value without the secrets that URLs and headers carry, and not longer than a log line should be."""
    if not isinstance(value, str):
        return value
    text = value if len(value) <= _FIELD_CHARACTERS else f"{value[:_FIELD_CHARACTERS]}... ({len(value)} characters)"
    if "@" in text:
        text = _URL_SECRET.sub(rf"\1{_BLANK}@", text)
    return _BEARER.sub(rf"\1 {_BLANK}", text)


def _is_no_http(error: BaseException) -> bool:
    return any(kind.__name__ == _NO_HTTP for kind in type(error).__mro__)


def _printable(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
