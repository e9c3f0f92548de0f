"""An end of the daemon that nobody brought about is a fault, and one that its broker brought about is none."""

import signal
from pathlib import Path

import pytest

from tests.survival.victims import Daemon

MISSED = '{"event":"cannot run","reason":"NATS at nats://127.0.0.1:1 did not answer within 10 s ()"}\n'


@pytest.mark.parametrize(
    ("code", "log", "fault"),
    [
        (-signal.SIGKILL, "", False),
        (-signal.SIGTERM, "", False),
        (0, "", False),
        (69, MISSED, False),
        (69, MISSED + "Traceback\n", True),
        (69, "", True),
        (70, MISSED, True),
        (-signal.SIGSEGV, "", True),
    ],
)
def test_an_end_that_nobody_brought_about_is_a_fault(tmp_path: Path, code: int, log: str, fault: bool) -> None:
    (tmp_path / "verdictd.log").write_text(log)
    daemon = Daemon(port=1, folder=tmp_path, settings={}, starts=3)
    daemon._judge(code)
    assert daemon.faults == ([f"the daemon's start 3 ended with {code}, see verdictd.log"] if fault else [])
