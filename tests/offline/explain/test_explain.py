"""The account of a verdict: it says what the record says, checks it against the recording, and reads well."""

import json
import math
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from analyzers.reference import Reference
from analyzers.ruling import Finding
from config.policy import Policy, Promotion
from daemon import recordings
from daemon.errors import InvalidInput
from daemon.model import After, Outcome
from daemon.offline.explain import account, read_record, trace
from daemon.offline.explain.amounts import amount, figures
from daemon.offline.explain.page import page
from daemon.offline.explain.trace import Totals
from daemon.offline.explain.words import lines, missing, traffic
from daemon.offline.replay import replay_file
from daemon.offline.simulation.world import Change
from tests.offline.explain.told import Told, by_a_person, told
from tests.offline.replay.recorded import FAILING, HEALTHY, SLOW, record

PATIENT = Policy(window_seconds=20.0, warmup_seconds=0.0, promotion=Promotion(min_seconds=20.0, min_requests=10**6))


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return told(tmp_path_factory.mktemp("bad"), change=FAILING)


@pytest.fixture(scope="module")
def open_end(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return told(tmp_path_factory.mktemp("open"), change=HEALTHY, policy=PATIENT, gap_at=7)


def watches(document: str) -> list[dict[str, Any]]:
    """The data of a page."""
    found = re.search(r'id="watches">(.*?)</script>', document)
    assert found is not None
    told: list[dict[str, Any]] = json.loads(found[1])
    return told


def text(*args: object) -> str:
    return "\n".join(lines(account(*args), colours=False))  # type: ignore[arg-type] # a record, a trace or null


def test_a_recording_is_explained_as_replay_judges_it(bad: Told) -> None:
    traced = trace(bad.recording)
    replayed = replay_file(bad.recording)
    said = account(None, traced)
    assert (said.outcome, said.ticks, said.reason, said.findings) == (
        replayed.verdict,
        replayed.decided_at_tick,
        replayed.reason,
        replayed.findings,
    )
    assert said.curves is not None
    assert len(said.curves.t) == said.ticks
    assert said.curves.evidence[-1] == said.evidence >= said.boundary
    assert all(one < said.boundary for one in said.curves.evidence[:-1])


def test_the_record_of_a_session_agrees_with_its_recording(bad: Told, open_end: Told) -> None:
    """Live, in the record and judged again: one digest, one verdict."""
    for one in (bad, open_end):
        said = account(one.record, trace(one.recording, policy=one.record.policy))
        assert said.check is not None
        assert (said.check.digest, said.check.verdict, said.check.failed) == ("equal", "same", False)
        assert said.source == "record and recording"


def test_a_changed_sample_is_noticed(bad: Told, tmp_path: Path) -> None:
    forged = tmp_path / "forged.jsonl"
    first, second, *rest = bad.recording.read_bytes().splitlines(keepends=True)
    forged.write_bytes(first + re.sub(rb'"requests":\d+', b'"requests":9999', second, count=1) + b"".join(rest))
    said = account(bad.record, trace(forged))
    assert said.check is not None
    assert said.check.digest == "differs"
    assert said.check.failed
    assert "NOT those that were judged" in "\n".join(lines(said, colours=False)).replace("\n            ", " ")


def test_a_recording_that_is_too_short_cannot_support_the_record(bad: Told, tmp_path: Path) -> None:
    short = tmp_path / "short.jsonl"
    short.write_bytes(b"".join(bad.recording.read_bytes().splitlines(keepends=True)[:2]))
    said = account(bad.record, trace(short))
    assert said.check is not None
    assert (said.check.digest, said.check.verdict) == ("differs", "differs")
    assert "has 1 of" in said.check.detail
    assert account(None, trace(short)).by == "end of the recording"
    assert "by nobody: end of the recording" in text(None, trace(short))


def test_what_a_person_decided_is_not_held_against_the_judge(bad: Told) -> None:
    said = account(by_a_person(bad), trace(bad.recording))
    assert said.check is not None
    assert (said.check.verdict, said.check.failed) == ("other", False)
    assert "by a person" in "\n".join(lines(said, colours=False))


def test_a_rollback_reads_as_one(bad: Told) -> None:
    said = text(bad.record, trace(bad.recording))
    assert said.startswith("ROLLBACK  shop/web  canary v2 against baseline v1\n")
    assert re.sub(r"\s+", " ", bad.record.verdict.reason) in re.sub(r"\s+", " ", said)
    for words in (
        "by the judge after",
        "on errors",
        "that the canary is worse at all, before the guards; a rollback needs 100",
        "that it is worse than tolerated, by errors, before the guards; the policy asks for 5 to 1 as well (evidence: balanced)",
        "errors CONVICTS",
        "revert: the traffic was taken back to the baseline",
        "Timeline\n",
        "patch_sent",
        "virtualservice/web",
        "Classical figures (fixed horizon, not what decides)",
        "dots: enough",
        "that it is worse than tolerated, from 1 to 5 to 1",
        bad.record.sample_digest,
        bad.record.verdict.policy_hash,
        "its samples are those that were judged",
    ):
        assert re.sub(r"\s+", " ", words) in re.sub(r"\s+", " ", said)
    assert "What was missing" not in said


def test_lines_fit_into_80_columns_but_for_hashes_and_paths(bad: Told, open_end: Told) -> None:
    for one in (bad, open_end):
        for line in lines(account(one.record, trace(one.recording)), colours=False):
            assert len(line) <= 80 or "sha256" in line or "/" in line, line


def test_what_was_missing_is_said(open_end: Told) -> None:
    assert open_end.record.verdict.outcome is Outcome.INCONCLUSIVE
    said = text(open_end.record, trace(open_end.recording))
    missing = said.split("What was missing\n")[1].split("\n\n")[0]
    assert "telemetry in 1 of 20 ticks: no answer in time" in re.sub(r"\s+", " ", missing)
    assert "errors: between" in missing
    assert "denied" not in missing
    assert "slow_end" not in missing, "the policy does not ask for it"
    assert "hold, by the policy's on_inconclusive" in said
    assert "by the end of the watch after 20.0 s" in said
    assert re.search(r"no data +x", said)


def test_a_slow_end_that_the_policy_asks_for_is_missing(tmp_path: Path) -> None:
    strict = msgspec.convert({"tolerances": {"latency": {"require_slow_end": True}}}, Policy)
    policy = msgspec.structs.replace(PATIENT, tolerances=strict.tolerances)
    said = account(None, trace(told(tmp_path, change=HEALTHY, policy=policy).recording))
    assert any(one.startswith("slow_end: at most") for one in missing(said))


def test_what_is_surely_worse_but_not_more_than_tolerated_says_what_it_lacks(tmp_path: Path) -> None:
    """Evidence beyond its boundary without a rollback would contradict itself."""
    patient = msgspec.convert({"window_seconds": 300.0, "warmup_seconds": 0.0}, Policy)
    one = told(tmp_path, change=Change(factor=1.07), policy=patient)
    said = account(one.record, trace(one.recording))
    assert said.outcome == "inconclusive"
    assert said.evidence > said.boundary
    text = re.sub(r"\s+", " ", "\n".join(lines(said, colours=False)))
    assert "less than 1 to 1 that it is worse than tolerated, by typical latency, before the guards; the policy asks" in text
    assert "less than 1 to 1 that it is more than tolerated)" in text


def test_the_boundary_is_labelled_where_its_dots_are(bad: Told, open_end: Told) -> None:
    for one in (bad, open_end):
        said = account(one.record, trace(one.recording))
        for boundary in (20.0, 100.0, 1000.0):
            rows = list(lines(msgspec.structs.replace(said, boundary=boundary), colours=False))
            [dotted] = [row for row in rows if row.startswith(f"{amount(boundary):>9} ┤")]
            assert sum(mark in dotted for mark in "⠄⠂⠁⡀") == 1


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (None, None, "errors: nothing is excluded yet; allowed +0.40 points"),
        (None, 0.01, "errors: at most +1.00 points over the whole watch (95 % sure); allowed +0.40 points"),
        (-0.01, None, "errors: at least -1.00 points over the whole watch (95 % sure); allowed +0.40 points"),
        (-0.01, 0.01, "errors: between -1.00 points and +1.00 points over the whole watch (95 % sure); allowed +0.40 points"),
    ],
)
def test_how_far_a_quantity_is_known(open_end: Told, low: float | None, high: float | None, says: str) -> None:
    verdict = open_end.record.verdict
    errors = Finding(
        leg="errors",
        effect=0.0,
        unit="points",
        low=low,
        high=high,
        level=0.95,
        e_value=1.0,
        tolerance=0.004,
        standing="open",
        sentence="",
    )
    record = msgspec.structs.replace(open_end.record, verdict=msgspec.structs.replace(verdict, findings=(errors,)))
    assert list(missing(account(record, None))) == [says]


def test_without_a_recording_there_is_no_curve_and_it_is_said(bad: Told) -> None:
    said = text(bad.record, None)
    assert "Evidence over time" not in said
    assert "--recording FILE" in said


def test_a_record_is_told_from_a_recording_by_its_content(bad: Told, tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(bad.record)))
    assert read_record(file) == bad.record
    assert read_record(bad.recording) is None
    for content in (b"", b"\x1f\x8b packed", b"{", b'{"format":"other"}', b"{\xff}"):
        file.write_bytes(content)
        assert read_record(file) is None


def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    with pytest.raises(InvalidInput, match=r"r\.json"):
        read_record(file)
    file.write_text('{"format":"verdictd.record/1","verdict":{}}', encoding="utf-8")
    with pytest.raises(InvalidInput, match="verdict"):
        read_record(file)


def test_colours_are_written_only_when_asked_for(bad: Told) -> None:
    said = account(None, trace(bad.recording))
    assert "\x1b[31m" in "\n".join(lines(said, colours=True))
    assert "\x1b" not in "\n".join(lines(said, colours=False))


def test_the_page_holds_the_watch_as_it_was_judged_and_escapes_what_it_shows(bad: Told, open_end: Told) -> None:
    for one in (bad, open_end):
        verdict = msgspec.structs.replace(one.record.verdict, reason="because <of> & this")
        traced = trace(one.recording)
        document = page(account(msgspec.structs.replace(one.record, verdict=verdict), traced), traced.course)
        assert "because &lt;of&gt; &amp; this" in document
        [watch] = watches(document)
        assert len(watch["course"]["t"]) == traced.ruling.tick
        assert watch["course"]["log_evidence"][-1] == pytest.approx(math.log10(traced.ruling.evidence), abs=1e-3)
        assert [finding["leg"] for finding in watch["findings"]] == [finding.leg for finding in one.record.verdict.findings]
        assert {"decided"} <= {step["label"] for step in watch["steps"]}
    [watch] = watches(page(account(bad.record, None), None))
    assert (watch["course"]["t"], watch["leg"]) == ([], bad.record.verdict.leg)


def test_arms_without_latency_have_no_chart_of_it(tmp_path: Path) -> None:
    bare = tmp_path / "bare.jsonl"
    arm = '{"requests":100,"errors":0}'
    release = '{"service":"a","baseline":{"subset":"b"},"canary":{"labels":{"x":"y"}}}'
    header = f'{{"format":"verdictd.recording/1","release":{release},"policy":{{}}}}'
    rows = [f'{{"t":{t}.0,"seconds":1.0,"baseline":{arm},"canary":{arm if t > 1 else "null"}}}' for t in (1, 2, 3)]
    bare.write_text("\n".join([header, *rows]), encoding="utf-8")
    said = account(None, trace(bare))
    assert (said.canary, said.baseline) == ("x=y", "b")
    assert said.curves is not None
    assert said.curves.gaps == {1: "no telemetry of canary"}
    [watch] = watches(page(said, trace(bare).course))
    assert watch["course"]["gaps"] == [True, False, False]
    assert watch["course"]["canary"]["median_ms"]["value"] == [None, None, None]


def test_another_policy_can_be_given(tmp_path: Path) -> None:
    one = told(tmp_path, change=SLOW)
    assert account(None, trace(one.recording)).outcome == "rollback"
    lenient = msgspec.convert({"tolerances": {"latency": {"typical": 5.0, "slow_end": 5.0}}}, Policy)
    assert account(None, trace(one.recording, policy=lenient)).outcome == "inconclusive"


def test_amounts_are_read_at_a_glance() -> None:
    assert [amount(value) for value in (0.123, 1.0, 7.31, 164.2, 12_500.0, 1e6, 3e12, 1e250)] == [
        "0.12", "1", "7.3", "164", "12 500", "10^6", "10^12", "10^250",
    ]  # fmt: skip
    assert dict(figures({"binomial_p": None, "something_new": 0.5})) == {
        "p of failing no more than the baseline (binomial)": "not known",
        "something new": "0.5",
    }


def test_every_classical_figure_of_the_judge_has_a_name_and_a_unit_of_its_own() -> None:
    """A figure that is not listed would go by its field's name."""
    shown = dict(figures({"canary_p99_high_ms": 2500.0, "baseline_p50_low_ms": 17.5}))
    assert shown == {"canary's p99, at most": "2 500 ms", "baseline's median, at least": "17.5 ms"}


def test_requests_that_nobody_answered_are_in_the_account_with_their_line() -> None:
    said = traffic(Totals(requests=1000, errors=3, denied=2, unanswered=40, unclassified=7))
    assert said == (
        "1 000 requests (7 whose end is not told), 3 failed, 2 denied by policy, 40 more got no answer before their clients gave up"
    )
    assert traffic(Totals(requests=1000, errors=3)) == "1 000 requests, 3 failed"


def test_the_account_of_a_canary_whose_clients_give_up_names_the_leg_and_keeps_its_columns(tmp_path: Path) -> None:
    paths = record(tmp_path, ticks=30)
    hung = []
    for line in paths[0].read_bytes().splitlines():
        document = msgspec.json.decode(line)
        if "canary" in document and "format" not in document:
            document["canary"] |= {"requests": 25, "errors": 0, "unanswered": 25}
        hung.append(msgspec.json.encode(document))
    paths[0].write_bytes(b"\n".join(hung) + b"\n")
    said = text(None, trace(paths[0]))
    assert "on requests without an answer" in said
    assert "\n  unanswered CONVICTS " in said
    assert "\n  errors     " in said
    assert "got no answer before their clients gave up" in re.sub(r"\s+", " ", said)


def test_a_watch_after_a_promotion_is_told_as_one(tmp_path: Path) -> None:
    """Nothing is missing where there is no baseline, and nothing is said of the canary being worse than one."""
    [path] = record(tmp_path, change=FAILING, ticks=40)
    header, _ = recordings.read(path)
    after = After(of="web-1", seconds=30.0, reference=Reference(requests=1000.0, errors=1.0))
    ticks = [json.loads(one) | {"baseline": None} for one in path.read_bytes().splitlines()[1:]]
    first = recordings.header_line(msgspec.structs.replace(header, after=after))
    path.write_bytes(b"\n".join([first, *map(msgspec.json.encode, ticks)]) + b"\n")
    found = account(None, trace(path))
    shown = "\n".join(lines(found, colours=False))
    assert shown.startswith("ROLLBACK  shop/web  canary v2 alone, after the promotion of release web-1")
    assert [*missing(found)] == []
    assert found.canary_totals is not None
    assert found.canary_totals.requests > 0
    for said in ("What was missing", "worse than tolerated", "  baseline ", "worse at all, before"):
        assert said not in shown
    assert "that a share of the canary's requests is above what is tolerated" in " ".join(shown.split())
