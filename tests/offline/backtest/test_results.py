"""Recordings of past releases judged under several policies, and the answer."""

import json
import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from config.identity import policy_hash
from config.policy import Policy
from daemon.model import ArmSpec, Release
from daemon.offline.backtest.page import page
from daemon.offline.backtest.past import Past
from daemon.offline.backtest.results import Backtest, Named, Seen, judged
from daemon.offline.backtest.words import lines
from daemon.offline.replay.labels import Label

BOUNDS = [5.0, 10.0, 25.0, 50.0, 100.0]
STRICT = Policy(warmup_seconds=0.0)
LENIENT_TEXT = {"warmup_seconds": 0.0, "tolerances": {"errors": {"max_rate": 0.5, "above_baseline": 0.5}}}


def named(**policies: Policy) -> list[Named]:
    return [Named(name=name, policy=policy, hash=policy_hash(policy)) for name, policy in policies.items()]


def lenient() -> Policy:
    return msgspec.convert(LENIENT_TEXT, Policy)


def arm(requests: int, errors: int) -> dict[str, Any]:
    counts = [requests // 2, requests - requests // 2, 0, 0, 0, 0]
    return {"requests": requests, "errors": errors, "denied": 0, "latency": {"counts": counts, "sum_ms": 5.0 * requests}}


def seen(
    folder: Path, version: str, *, label: Literal["healthy", "bad"] | None, errors: int = 1, onset: float = 0.0, ticks: int = 70
) -> Seen:
    """A release of which the canary fails so many of 1000 requests a tick."""
    release = {"service": "web", "baseline": {"version": "v1"}, "canary": {"version": version}}
    head = {"format": "verdictd.recording/1", "release": release, "policy": {}, "bounds_ms": BOUNDS, "tick_seconds": 5.0}
    body = [
        {"t": 5.0 * tick, "seconds": 5.0, "baseline": arm(1000, 1), "canary": arm(1000, errors if 5.0 * tick >= onset else 1)}
        for tick in range(1, ticks + 1)
    ]
    file = folder / f"{version}.jsonl"
    file.write_text("\n".join(map(json.dumps, [head, *body])) + "\n", encoding="utf-8")
    return Seen(past=past(version, label=label, onset=onset), recordings=(file,))


def past(version: str, *, label: Literal["healthy", "bad"] | None, onset: float = 0.0) -> Past:
    return Past(
        release=Release(service="web", baseline=ArmSpec(version="v1"), canary=ArmSpec(version=version)),
        begin=1_790_000_000.0,
        label=None if label is None else Label(label=label, onset_seconds=onset),
    )


def twice(one: Seen) -> Seen:
    """The same recording for both of two policies."""
    return msgspec.structs.replace(one, recordings=one.recordings * 2)


def told(folder: Path) -> Backtest:
    return judged(
        [
            twice(seen(folder, "v2", label="bad", errors=100, onset=60.0)),
            Seen(past=past("v3", label="bad"), problem="no series of <it>"),
            twice(seen(folder, "v4", label="healthy")),
            twice(seen(folder, "v5", label=None, errors=100)),
        ],
        policies=named(strict=STRICT, lenient=lenient()),
        processes=1,
    )


def test_the_answer_says_for_each_policy_what_was_caught_and_who_was_disturbed(tmp_path: Path) -> None:
    strict, lenient_, left_out = told(tmp_path).answers
    assert strict.startswith("strict: catches 1 of the 1 bad (half of them within ")
    assert "; disturbs 0 of the 1 good; rolls back 1 of the 1 of which nobody has said whether they were good" in strict
    assert lenient_.startswith("lenient: catches 0 of the 1 bad")
    assert left_out == "1 of 4 could not be judged, and count neither way"


def test_a_release_that_was_rolled_back_before_it_was_bad_was_disturbed(tmp_path: Path) -> None:
    early = seen(tmp_path, "v2", label="bad", errors=100)
    past_ = past("v2", label="bad", onset=300.0)
    (answer,) = judged([Seen(past=past_, recordings=early.recordings)], policies=named(strict=STRICT), processes=1).answers
    assert answer == "strict: catches 0 of the 1 bad; rolls back 1 of them before they were bad"


def test_a_recording_that_cannot_be_read_is_said_to_be_and_the_others_are_judged(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\n", encoding="utf-8")
    found = judged(
        [Seen(past=past("v3", label="bad"), recordings=(broken,)), seen(tmp_path, "v4", label="healthy")],
        policies=named(strict=STRICT),
        processes=1,
    )
    assert str(broken) in found.rows[0].problem
    assert found.rows[1].verdicts[0].verdict == "promote"


def test_each_policy_is_judged_on_what_was_counted_by_its_own_word(tmp_path: Path) -> None:
    mild, harsh = (seen(tmp_path, version, label="bad", errors=errors) for version, errors in (("v2", 1), ("v3", 100)))
    both = Seen(past=mild.past, recordings=(mild.recordings[0], harsh.recordings[0], mild.recordings[0]))
    other = msgspec.convert({"warmup_seconds": 0.0, "failures": {"status": [404]}}, Policy)
    found = judged([both], policies=named(strict=STRICT, teapots=other, lenient=lenient()), processes=1)
    [row] = found.rows
    assert [one.verdict for one in row.verdicts] == ["promote", "rollback", "promote"]
    assert [Path(one.recording).name for one in row.verdicts] == ["v2.jsonl", "v3.jsonl", "v2.jsonl"]
    gone = Seen(past=mild.past, recordings=(mild.recordings[0], tmp_path / "gone.jsonl", mild.recordings[0]))
    [row] = judged([gone], policies=named(strict=STRICT, teapots=other, lenient=lenient()), processes=1).rows
    assert "gone.jsonl" in row.problem


def test_a_recording_that_is_too_short_is_undecided(tmp_path: Path) -> None:
    found = judged([seen(tmp_path, "v4", label="healthy", ticks=2)], policies=named(strict=STRICT), processes=1)
    assert found.rows[0].verdicts[0].verdict is None
    assert "undecided at 10 s" in "\n".join(lines(found))


def test_the_words_have_a_line_for_each_release_and_end_with_the_answers(tmp_path: Path) -> None:
    text = list(lines(told(tmp_path)))
    assert text[0].split() == ["FROM", "(UTC)", "SERVICE", "BASELINE", "->", "CANARY", "IT", "WAS", "strict", "lenient"]
    assert text[1].split()[:7] == ["2026-09-21", "14:13:20", "default/web", "v1", "->", "v2", "bad"]
    assert text[1].endswith(" rollback at 70 s  promote at 300 s")
    assert text[2].split()[-4:] == ["not", "judged", "not", "judged"]
    assert text[-4].startswith("Would it have caught")
    assert max(map(len, text[5:-4])) <= 100


def test_the_page_has_the_answers_and_charts_and_lets_no_name_through_as_html(tmp_path: Path) -> None:
    html = page(told(tmp_path))
    found = re.search(r'id="watches">(.*?)</script>', html)
    assert found is not None
    courses = [one["course"] for one in json.loads(found[1])]
    assert len(courses) == html.count('<section class="watch">') == 3
    assert max(courses[0]["canary"]["failed_share"]["value"]) > 0.05
    assert "catches 1 of the 1 bad" in html
    assert "no series of &lt;it&gt;" in html
    assert "<it>" not in html
