"""What a person reads."""

import io
import json
import re
from itertools import pairwise

import msgspec
import pytest

from analyzers.counts import Signal
from analyzers.ruling import Finding
from daemon.cli import rendering
from daemon.cli.apiclient import _ANSWER_SECONDS
from daemon.cli.rendering import ProgressLine
from daemon.cli.waiting import _POLL_SECONDS
from daemon.errors import Unavailable
from daemon.measurements import Cadence
from daemon.model import Action, Outcome, Stage, TimedStep
from tests.hand.api import verdict, view


@pytest.mark.parametrize(
    ("evidence", "boundary", "full"),
    [(0.5, 100.0, 0), (1.0, 100.0, 0), (10.0, 100.0, 10), (100.0, 100.0, 20), (1e300, 100.0, 20), (5.0, None, 0), (5.0, 1.0, 0)],
)
def test_the_bar_is_logarithmic_from_no_evidence_to_the_boundary(evidence: float, boundary: float | None, full: int) -> None:
    assert rendering.bar(evidence, boundary) == "#" * full + "." * (20 - full)


def test_control_characters_of_others_do_not_reach_the_terminal() -> None:
    assert rendering.clean("a\x1b[31m\nb\x9b") == "a?[31m b?"
    rows = rendering.table([view("shop-1", service="\x1b[2J")])
    assert all(row.isprintable() for row in rows)


def test_what_a_ci_s_runner_takes_for_a_command_wherever_it_stands_is_none_of_ours() -> None:
    """GitHub's, Azure's, TeamCity's; in JSON it is the same text to who reads it."""
    for words in ("a ##[set-output name=outcome]promote", "##vso[task.complete]", "x ##teamcity[buildStatus]"):
        assert "##" not in rendering.clean(words)
        assert "##" not in rendering.as_json({"reason": words})
        assert json.loads(rendering.as_json({"reason": words})) == {"reason": words}
    assert rendering.clean("## [x] ##") == "## [x] ##"


def test_a_verdict_says_what_was_done_and_every_finding() -> None:
    finding = Finding(
        leg="errors", effect=0.05, unit="points", low=0.03, high=None, level=0.95, e_value=150.0, tolerance=0.0025,
        standing="outside", sentence="5 % of the canary's requests fail, 0.1 % of the baseline's",
    )  # fmt: skip
    said = msgspec.structs.replace(verdict("shop-1"), findings=(finding,))
    assert rendering.verdict_lines(said) == [
        "rollback (revert) after 7 ticks: errors: 5 % against 0.1 %",
        "  errors   5 % of the canary's requests fail, 0.1 % of the baseline's",
    ]
    observed = msgspec.structs.replace(said, action=Action.NONE)
    assert rendering.verdict_lines(observed)[0].startswith("rollback (observed only)")
    assert rendering.verdict_lines(verdict("x", Outcome.PROMOTE))[0].startswith("promote (none)")


def test_a_verdict_and_a_release_say_what_they_are_of_in_a_line_that_commands_no_terminal() -> None:
    said = msgspec.structs.replace(verdict("shop-1"), revision="main@sha1:4f2a", initiated_by="ana\x1b[2J")
    assert rendering.verdict_lines(said)[1] == "  revision main@sha1:4f2a, initiated by ana?[2J"
    assert rendering.origin_lines(msgspec.structs.replace(said, revision=None)) == ["  initiated by ana?[2J"]
    assert rendering.origin_lines(msgspec.structs.replace(said, initiated_by=None)) == ["  revision main@sha1:4f2a"]
    assert rendering.origin_lines(verdict("shop-1")) == []


def test_a_watch_after_a_promotion_says_after_which_and_that_nothing_was_taken_back() -> None:
    said = msgspec.structs.replace(verdict("shop-2"), after="shop-1")
    assert rendering.verdict_lines(said) == ["rollback (revert) after 7 ticks of the watch after shop-1: errors: 5 % against 0.1 %"]
    gone = msgspec.structs.replace(said, action=Action.NONE, reason="the baseline is gone")
    assert rendering.verdict_lines(gone)[0].startswith("rollback (nothing taken back)")
    assert [*rendering.notices(gone, bare=False)] == ["verdictd: the canary keeps its traffic: the baseline is gone"]
    assert rendering.progress(msgspec.structs.replace(view("shop-2"), after="shop-1")).startswith("shop-2 watching after shop-1")


def test_a_watched_release_says_which_tolerances_its_buckets_cannot_tell() -> None:
    blind = msgspec.structs.replace(view("shop-1"), unresolved=("p99 lies in 250-500 ms: 10 % slower cannot be told",))
    assert rendering.unresolved_lines(blind) == ["  buckets p99 lies in 250-500 ms: 10 % slower cannot be told"]
    assert rendering.unresolved_lines(view("shop-1")) == []


@pytest.mark.parametrize("columns", range(24, 200))
def test_a_line_of_progress_shows_no_number_in_part(columns: int) -> None:
    """Evidence 1 of 100 became 1 of 10, then 1 of 1, as the line before it grew."""
    seen = msgspec.structs.replace(
        view("shop-1"), ticks=1234, gaps=12, seconds=617.2, canary_requests=54321, waiting_for="123 of 500 canary requests seen"
    )
    whole, line = rendering.progress(seen), rendering.progress(seen, columns=columns)
    assert len(line) <= columns
    assert set(re.findall(r"[\d.]+\d|\d", line)) <= set(re.findall(r"[\d.]+\d|\d", whole))
    assert ("evidence 10 of 100" in line) == (columns >= len("shop-1 watching  evidence 10 of 100"))
    assert columns < 80 or "waiting for 123 of 500 canary requests seen" in line


def test_a_name_that_is_too_long_for_the_line_is_all_there_is() -> None:
    assert rendering.progress(view("x" * 60), columns=40) == f"{'x' * 60} watching"


def test_a_status_says_from_where_it_is_read_while_it_cannot_be_read_as_it_should() -> None:
    away = msgspec.structs.replace(view("shop-1"), fallback="read from telemetry prom instead of the proxies: timed out")
    assert rendering.fallback_lines(away) == ["  telemetry is read from telemetry prom instead of the proxies: timed out"]
    assert rendering.fallback_lines(view("shop-1")) == []


def test_what_stands_beside_the_counts_is_a_line_each_with_what_it_does() -> None:
    signal = Signal(kind="not_ready", about="canary", effect="holds", words="1 of 3 pods of the canary are not\x1b ready")
    beside = msgspec.structs.replace(view("shop-1"), signals=(signal,))
    assert rendering.signal_lines(beside) == ["  holds 1 of 3 pods of the canary are not? ready"]
    assert rendering.signal_lines(view("shop-1")) == []


def test_a_status_says_how_samples_come_and_what_keeps_the_release_from_being_judged() -> None:
    cadence = Cadence(spacing_seconds=15.0, late_seconds=60.4, longest_seconds=300.0)
    slow = msgspec.structs.replace(
        view("shop-1"), cadence=cadence, hindrances=("samples are 15 s apart: a watch of 30 s sees too few",)
    )
    assert rendering.telemetry_lines(slow) == [
        "  not judged so: samples are 15 s apart: a watch of 30 s sees too few",
        "  samples are 15 s apart, and up to 60 s late",
    ]
    punctual = msgspec.structs.replace(view("shop-1"), cadence=msgspec.structs.replace(cadence, late_seconds=0.4))
    assert rendering.telemetry_lines(punctual) == ["  samples are 15 s apart"]
    assert rendering.telemetry_lines(view("shop-1")) == []


def test_steps_are_shown_since_the_first() -> None:
    assert rendering.step_lines(
        [TimedStep(step="patch_sent", at=10.0, detail="10 -> 0"), TimedStep(step="confirmed", at=10.02)]
    ) == [
        "     0.000 s  patch_sent  10 -> 0",
        "     0.020 s  confirmed",
    ]


def test_without_a_terminal_there_is_a_line_for_each_stage() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    for text, stage in (("a", "watching"), ("b", "watching"), ("c", "reverting")):
        line.show(text, stage=stage)
    line.end()
    assert stream.getvalue() == "a\nc\n"


@pytest.mark.parametrize("poll_seconds", [_POLL_SECONDS, _POLL_SECONDS + _ANSWER_SECONDS + 1.0, 0.3])
def test_without_a_terminal_there_is_a_sign_of_life_every_half_minute(poll_seconds: float) -> None:
    """A CI ends a job that says nothing for too long. Also where each answer comes at the last moment, or none does."""
    stream, now = io.StringIO(), 0.0
    line = ProgressLine(stream, monotonic=lambda: now)
    said = []
    for poll in range(240):
        now = poll_seconds * poll
        before = len(stream.getvalue())
        line.show("watching", stage="watching")
        if len(stream.getvalue()) > before:
            said.append(now)
    assert said[0] == 0.0
    assert max(later - earlier for earlier, later in pairwise(said)) < 30.0


@pytest.mark.parametrize(
    ("stage", "going_on"),
    [
        (Stage.LOCATING, "the watch goes on, and may still take the traffic back"),
        (Stage.WATCHING, "the watch goes on, and may still take the traffic back"),
        (Stage.REVERTING, "a rollback is decided, and the traffic is being taken back"),
        (Stage.PUBLISHING, "it is decided, and the verdict about to be published"),
        (Stage.GUARDING, "it is decided, and the verdict about to be published"),
        (Stage.ENDED, "it is decided, and the verdict about to be published"),
    ],
)
def test_a_time_out_says_why_and_what_goes_on(stage: Stage, going_on: str) -> None:
    seen = msgspec.structs.replace(
        view("shop-1", stage=stage), seconds=24.7, canary_requests=7, waiting_for="7 of 300 canary requests seen"
    )
    said = "verdictd: no verdict on shop-1 within 25 s"
    why = f"{stage} for 25 s, 7 canary requests seen, waiting for 7 of 300 canary requests seen"
    assert rendering.no_verdict("shop-1", seen, seconds=25.0, away=None) == f"{said}: {why}; {going_on}"
    assert rendering.no_verdict("shop-1", None, seconds=25.0, away=None) == said
    gone = Unavailable("connection refused")
    away = "the daemon does not answer now: connection refused"
    assert rendering.no_verdict("shop-1", seen, seconds=25.0, away=gone) == f"{said}: {why}; {going_on}; {away}"


def test_what_is_no_text_is_an_escape_in_json() -> None:
    assert rendering.as_json({"file": "\udcff.jsonl"}) == '{"file":"\\udcff.jsonl"}'


def test_large_numbers_are_short() -> None:
    assert [rendering.number(value) for value in (1.0, 12.345, 99999.0, 1e9, float("inf"))] == [
        "1",
        "12.3",
        "1e+05",
        "1.0e+09",
        "inf",
    ]
