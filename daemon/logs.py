"""One line an event on stderr: JSON for machines, text for a person at a terminal.

Modules log with the standard library (``log.info("submitted", extra={"service": ...})``): the message is the event's name, the
extras are its fields. The release an event belongs to comes from a context variable, so that no function has to carry an
id only to log it. A line never holds a raw line break, and fields whose name or URL could hold a secret are blanked.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

_release_id: ContextVar[str | None] = ContextVar("release_id", default=None)

# What a LogRecord has of its own; everything else on it came as an extra.
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET_NAME: Final = re.compile(r"token|secret|password|passwd|authorization|credential|cookie|api_?key", re.IGNORECASE)
_URL_SECRET: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]*@", re.IGNORECASE)
_BEARER: Final = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]+", re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BLANK: Final = "[redacted]"
_FIELD_CHARACTERS: Final = 4096

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
    handler = logging.StreamHandler(stream)
    as_text = stream.isatty() if human is None else human
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
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
            found[name] = _BLANK if _SECRET_NAME.search(name) and not name.endswith("_file") else _clean(value)
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        found["error"] = _clean(f"{type(error).__name__}: {error}")
        found["traceback"] = _clean(logging.Formatter().formatException(record.exc_info))
    return found


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
        traceback = str(found.pop("traceback", ""))
        rest = [f"{name}={value}" for name, value in found.items() if name not in {"time", "level", "event", "logger"}]
        line = _printable(f"{clock} {record.levelname:<7} {found['event']}  {' '.join(rest)}").rstrip()
        return "\n    ".join([line, *map(_printable, traceback.splitlines())])


def _clean(value: object) -> object:
    """A value without the secrets that URLs and headers carry, and not longer than a log line should be."""
    if not isinstance(value, str):
        return value
    text = value if len(value) <= _FIELD_CHARACTERS else f"{value[:_FIELD_CHARACTERS]}... ({len(value)} characters)"
    if "@" in text:
        text = _URL_SECRET.sub(rf"\1{_BLANK}@", text)
    return _BEARER.sub(rf"\1 {_BLANK}", text)


def _printable(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
