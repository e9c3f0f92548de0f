"""What an earlier version stored is read in today's words, and whoever asks is told what was translated."""

import json
from pathlib import Path

import msgspec
import pytest

from config import earlier
from config.policy import LatencyTolerance, Policy, Promotion, Tolerances, TrafficTolerance
from daemon import recordings, stored
from daemon.cli import main
from daemon.engine.keptforms import decode
from daemon.model import Record, Stage
from daemon.offline.explain.trace import read_record
from daemon.offline.replay import replay_file

HERE = Path(__file__).parent
RECORDING, RECORD, SESSION = HERE / "recording-0.1.jsonl", HERE / "record-0.1.json", HERE / "session-0.1.json"
OF_THEN = Policy(
    window_seconds=300.0,
    tolerances=Tolerances(traffic=TrafficTolerance(share_factor=2.0)),
    promotion=Promotion(min_seconds=60.0),
)
SAID = (
    "evidence: estimate is read as balanced",
    "tolerances.latency.p99 is read as tolerances.latency.slow_end",
    "tolerances.latency.require_p99_certificate is read as tolerances.latency.require_slow_end",
    "tolerances.latency.wander: 0.01, the default of then, is read as 0",
)


def test_a_recording_of_0_1_is_read_and_judged_and_replay_says_what_it_reads_as_what() -> None:
    header, samples = recordings.read(RECORDING)
    assert header.policy == OF_THEN
    assert header.translated == SAID
    assert len(list(samples)) == 2
    result = replay_file(RECORDING)
    assert result.verdict is not None
    assert result.notes == tuple(f"the recorded policy's {one}" for one in SAID)


def test_replay_says_nothing_of_a_recorded_policy_that_another_takes_the_place_of() -> None:
    assert replay_file(RECORDING, policy=Policy()).notes == ()


def test_replay_prints_what_it_reads_as_what_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    main(["replay", str(RECORDING)])
    assert f"  note: the recorded policy's {SAID[0]}\n" in capsys.readouterr().out
    again = tmp_path / "again.jsonl"
    again.write_bytes(RECORDING.read_bytes())
    main(["replay", str(RECORDING), str(again)])
    assert capsys.readouterr().out.count(f"note: the recorded policy's {SAID[0]}\n") == 1
    main(["replay", "--json", str(RECORDING)])
    assert json.loads(capsys.readouterr().out)["notes"][0].endswith(SAID[0])


def test_a_header_is_written_as_it_was_read_without_what_is_only_said() -> None:
    header, _ = recordings.read(RECORDING)
    again = json.loads(recordings.header_line(header))
    assert "translated" not in again
    assert msgspec.convert(again["policy"], Policy) == OF_THEN


def test_a_record_of_0_1_is_read_and_its_verdict_stands() -> None:
    record = read_record(RECORD)
    assert record is not None
    assert record.policy == OF_THEN
    assert record.verdict.outcome == "rollback"
    assert stored.decode(RECORD.read_bytes(), Record).said == SAID


def test_a_watch_that_0_1_began_goes_on_under_its_own_policy() -> None:
    read = decode(SESSION.read_bytes(), now=9.0)
    session = read.session
    assert (session.stage, session.ticks) == (Stage.WATCHING, 3)
    assert session.policy.evidence == "strict"
    assert session.policy.tolerances.latency == LatencyTolerance(slow_end=1.5, wander=0.02, require_slow_end=True)
    assert (session.judge is None) == (read.lost is not None), "evidence in another layout is gathered anew, and said"


def test_what_is_wrong_for_another_reason_is_refused_as_ever() -> None:
    with pytest.raises(stored.Unreadable, match="alpha"):
        stored.decode(b'{"release": {}, "policy": {"evidence": "estimate", "alpha": "much"}}', recordings.Header)
    for wrong in (b"{}", b"[]", b'{"policy": 1}', b'{"policy": {"tolerances": {"latency": 2}}}', b'{"policy": {"tolerances": []}}'):
        with pytest.raises(stored.Unreadable):
            stored.decode(wrong, recordings.Header)
    with pytest.raises(stored.Unreadable):
        stored.decode(b'{"session": []}', Record, policy_at=("session", "policy"))


def test_a_word_that_is_in_use_is_not_translated() -> None:
    document = {"evidence": "fast", "tolerances": {"latency": {"wander": 0.01, "slow_end": 1.2}}}
    assert earlier.modern(document) == (document, ())
