"""What the engine's tests share."""

import pytest

from daemon.engine import engine, recovery, ticker
from daemon.engine.recording import RecordingWriter
from daemon.ports.service import Meter
from daemon.recorder import Recorder
from tests.hand.clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    """A thousand seconds after 1970."""
    return HandClock(1_000.0)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording's folder has all the time that it needs: its thread has the machine's time, not the clock that the test moves."""

    def writer(recorder: Recorder, *, meter: Meter, patience_seconds: float) -> RecordingWriter:
        return RecordingWriter(recorder, meter=meter, patience_seconds=max(patience_seconds, 60.0))

    monkeypatch.setattr(ticker, "RecordingWriter", writer)
    monkeypatch.setattr(recovery, "PATIENCE_SECONDS", 60.0)
    monkeypatch.setattr(engine, "FLUSH_SECONDS", 60.0)
