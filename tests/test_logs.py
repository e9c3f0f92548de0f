"""One line an event, with its release, without secrets."""

import asyncio
import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp.http_exceptions import BadStatusLine

from daemon import logs

log = logging.getLogger("tests.logs")


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def fail(message: str) -> None:
    raise OSError(message)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(level="debug", stream=stream)
    return stream


def test_an_event_is_a_json_line_with_its_fields(stream: io.StringIO) -> None:
    log.warning("reverted", extra={"attempts": 2, "reason": "p99"})
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "warning", "event": "reverted", "logger": "tests.logs", "attempts": 2, "reason": "p99"}


async def test_an_event_carries_the_release_of_its_task(stream: io.StringIO) -> None:
    async def one(release_id: str) -> None:
        with logs.release_bound(release_id):
            await asyncio.sleep(0)
            log.info("ticked")

    async with asyncio.TaskGroup() as group:
        group.create_task(one("a"))
        group.create_task(one("b"))
    log.info("idle")
    assert [line.get("release") for line in lines(stream)] == ["a", "b", None]


def test_line_breaks_in_values_do_not_break_the_line(stream: io.StringIO) -> None:
    log.info("event rejected", extra={"reason": 'a\nb\r\x85c\u2028d "level":"error"'})
    assert len(stream.getvalue().splitlines()) == 1
    assert lines(stream)[0]["reason"] == 'a\nb\r\x85c\u2028d "level":"error"'


@pytest.mark.parametrize(
    ("extra", "shown"),
    [
        ({"token": "s3cret"}, {"token": "[redacted]"}),
        ({"X-Scope-Key": "s3cret"}, {"X-Scope-Key": "[redacted]"}),
        ({"nats_password": "s3cret"}, {"nats_password": "[redacted]"}),
        ({"url": "nats://me:s3cret@host:4222"}, {"url": "nats://[redacted]@host:4222"}),
        ({"header": "Authorization: Bearer s3cret.x"}, {"header": "Authorization: Bearer [redacted]"}),
        ({"token_file": "/run/token"}, {"token_file": "/run/token"}),
    ],
)
def test_secrets_are_blanked(stream: io.StringIO, extra: dict[str, str], shown: dict[str, str]) -> None:
    log.info("connecting", extra=extra)
    (line,) = lines(stream)
    assert "s3cret" not in stream.getvalue()
    assert shown.items() <= line.items()


def test_secrets_in_errors_are_blanked_and_the_traceback_is_one_field(stream: io.StringIO) -> None:
    try:
        fail("nats://me:s3cret@host is down")
    except OSError:
        log.exception("lost")
    (line,) = lines(stream)
    assert line["error"] == "OSError: nats://[redacted]@host is down"
    assert "Traceback" in line["traceback"]
    assert "s3cret" not in stream.getvalue()


def test_what_json_cannot_say_is_said_in_words_and_long_values_are_cut(stream: io.StringIO) -> None:
    log.info("strange", extra={"where": {1}, "long": "x" * 10_000})
    (line,) = lines(stream)
    assert line["where"] == "{1}"
    assert line["long"].endswith("... (10000 characters)")


def test_less_important_events_than_the_level_are_not_written() -> None:
    stream = io.StringIO()
    logs.set_up(level="error", stream=stream)
    log.warning("retried")
    logging.getLogger("aiohttp.access").warning("GET /")
    assert stream.getvalue() == ""


def test_libraries_that_chatter_are_heard_from_warnings_on(stream: io.StringIO) -> None:
    logging.getLogger("aiohttp.access").info("GET /")
    logging.getLogger("nats").warning("slow consumer")
    assert [line["event"] for line in lines(stream)] == ["slow consumer"]


def test_a_terminal_gets_text_without_control_characters() -> None:
    stream = Terminal()
    logs.set_up(stream=stream)
    with logs.release_bound("shop-1"):
        log.warning("reverted", extra={"reason": "\x1b[31mred\n"})
    assert stream.getvalue().endswith("WARNING reverted  release=shop-1 reason=\\x1b[31mred\\n\n")
    try:
        fail("gone")
    except OSError:
        log.exception("lost")
    assert "\n    Traceback" in stream.getvalue()


def test_setting_up_again_replaces_what_was_set_up() -> None:
    one, two = io.StringIO(), io.StringIO()
    logs.set_up(stream=one)
    logs.set_up(stream=two, human=False)
    log.info("once")
    assert one.getvalue() == ""
    assert len(lines(two)) == 1


class Hand:
    """A clock that a test moves, and the handler that reads it."""

    def __init__(self, stream: io.StringIO) -> None:
        self.time = 100.0
        self.handler = logs.SummingHandler(stream, now=lambda: self.time, times=3, window_seconds=10.0)
        self.handler.setFormatter(logs.JsonFormatter())
        logging.getLogger().handlers[:] = [self.handler]


@pytest.fixture
def hand(stream: io.StringIO) -> Iterator[Hand]:
    made = Hand(stream)
    yield made
    made.handler.close()


def test_what_is_said_over_and_over_is_written_the_first_times_and_then_summed(stream: io.StringIO, hand: Hand) -> None:
    for number in range(503):
        log.warning("event rejected", extra={"reason": str(number)})
    log.info("something else")
    hand.time += 10.0
    log.warning("event rejected", extra={"reason": "anew"})
    events = [(line["event"], line.get("reason"), line.get("times")) for line in lines(stream)]
    assert events == [
        *(("event rejected", str(number), None) for number in range(3)),
        ("something else", None, None),
        ("said again", None, 500),
        ("event rejected", "anew", None),
    ]
    summary = lines(stream)[4]
    assert (summary["again"], summary["window_seconds"], summary["level"]) == ("event rejected", 10.0, "warning")


def test_the_end_of_one_release_is_never_counted_among_those_of_others(stream: io.StringIO, hand: Hand) -> None:
    for number in range(50):
        with logs.release_bound(f"web-{number}"):
            log.info("verdict")
    log.info("recording stopped", extra={"release": "web-7"})
    assert [line["release"] for line in lines(stream)] == [*(f"web-{number}" for number in range(50)), "web-7"]


def test_the_count_is_written_when_nobody_says_anything_any_more(stream: io.StringIO) -> None:
    written = threading.Event()

    class Noticing(io.StringIO):
        def write(self, text: str) -> int:
            length = stream.write(text)
            if "said again" in text:
                written.set()
            return length

    handler = logs.SummingHandler(Noticing(), times=1, window_seconds=0.2)
    handler.setFormatter(logs.JsonFormatter())
    logging.getLogger().handlers[:] = [handler]
    with logs.release_bound("web-1"):
        for _ in range(3):
            log.warning("lost")
    assert written.wait(timeout=20)
    assert sum(line.get("times", 1) for line in lines(stream)) == 3
    assert {line["release"] for line in lines(stream)} == {"web-1"}


def test_what_was_counted_is_written_at_the_end(stream: io.StringIO, hand: Hand) -> None:
    for _ in range(5):
        log.warning("lost")
    hand.handler.close()
    assert [line.get("times") for line in lines(stream)] == [None, None, None, 2]


def test_bytes_that_are_no_http_are_one_short_line_without_a_traceback(stream: io.StringIO) -> None:
    error = BadStatusLine("\x16\x03\x01" * 1000)
    logging.getLogger("aiohttp.server").error("Error handling request from %s", "10.0.0.7", exc_info=error)
    (line,) = lines(stream)
    assert (line["event"], line["level"]) == ("a request was no HTTP", "warning")
    assert "traceback" not in line
    assert len(stream.getvalue()) < 500
