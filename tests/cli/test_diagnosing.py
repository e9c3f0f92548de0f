"""``verdictd doctor``: what it exits with, and how what was found is told."""

import json
import re
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.cli.diagnosing import code_of, lines
from daemon.cli.exits import Exit
from daemon.doctor.diagnosis import Code, Diagnosis, Findings, worst_first

FAULT = Diagnosis(code=Code.NO_SERIES, where="telemetry.mesh", found="there is none\x1b[2J", fix="scrape them\nthis way")
WARNING = Diagnosis(code=Code.SLOW_SAMPLES, where="telemetry.mesh", found="60 s apart", fix="scrape more often", more=("or wait",))
NOTE = Diagnosis(code=Code.BROKER, where="nats", found="it answers", more=("in a second",))


def findings(*diagnoses: Diagnosis) -> Findings:
    return Findings(diagnoses=worst_first(diagnoses), seconds=2.0)


def settings(folder: Path, **more: object) -> str:
    telemetry = {"mesh": {"kind": "prometheus", "url": "http://127.0.0.1:9", "dialect": "envoy"}}
    mesh = {"kind": "envoy", "telemetry": "mesh", "routes_file": str(folder / "routes.yaml"), "admin": "http://127.0.0.1:9"}
    document = {"telemetry": telemetry, "meshes": {"edge": mesh}, **more}
    (folder / "verdictd.yaml").write_text(json.dumps(document), encoding="utf-8")
    return str(folder / "verdictd.yaml")


def release(folder: Path, **more: object) -> str:
    document = {"service": "web", "namespace": "shop", "baseline": {"service": "web-v1"}, "canary": {"service": "web-v2"}, **more}
    (folder / "web.yaml").write_text(json.dumps(document), encoding="utf-8")
    return str(folder / "web.yaml")


def test_where_there_is_nothing_to_ask_nothing_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == Exit.OK
    out = capsys.readouterr().out
    assert re.match(r"nothing is wrong \(examined in \d+ s\)\n", out)
    assert "broker          nats: embedded: it starts with the daemon" in out


def test_a_fault_exits_65_and_is_told_in_json_with_where_it_is_and_what_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--config", settings(tmp_path), "--json"]) == Exit.DATA
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["faults"], told["warnings"]) == (False, 2, 0)
    first, second, *notes = told["findings"]
    assert (first["severity"], first["code"], first["where"]) == ("fault", "telemetry-unreachable", "telemetry.mesh")
    assert "127.0.0.1:9" in first["found"]
    assert first["fix"].startswith("set telemetry.mesh.url to where it answers")
    assert (second["code"], second["where"]) == ("mesh-unreachable", "meshes.edge")
    assert [one["severity"] for one in notes] == ["note"]


def test_a_warning_is_no_fault_unless_that_is_asked_for() -> None:
    assert code_of(findings(NOTE), strict=True) == Exit.OK
    assert code_of(findings(NOTE, WARNING), strict=False) == Exit.OK
    assert code_of(findings(NOTE, WARNING), strict=True) == Exit.DATA
    assert code_of(findings(FAULT), strict=False) == Exit.DATA


def test_the_worst_is_told_first_one_line_each_then_what_mends_it_then_what_is_there() -> None:
    assert list(lines(findings(NOTE, WARNING, FAULT, WARNING))) == [
        "1 fault, 1 warning (examined in 2 s)",
        "FAULT   no-series              telemetry.mesh: there is none?[2J",
        "WARNING slow-samples           telemetry.mesh: 60 s apart",
        "",
        "what mends it",
        "  no-series (telemetry.mesh)",
        "    scrape them",
        "      this way",
        "  slow-samples (telemetry.mesh)",
        "    scrape more often",
        "      or wait",
        "",
        "what is there",
        "  broker          nats: it answers",
        "      in a second",
    ]


def test_a_release_whose_policy_there_is_not_is_refused_before_anybody_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["doctor", "--config", settings(tmp_path), "--release", release(tmp_path, policy="strict")]
    assert main(argv) == Exit.USAGE
    assert "policy: no policy 'strict'; use one of: default" in capsys.readouterr().err


def test_a_release_that_would_be_refused_at_the_door_is_a_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policies = {"default": {"failures": {"mirrored": "excused"}}}
    argv = ["doctor", "--config", settings(tmp_path, policies=policies), "--release", release(tmp_path)]
    assert main(argv) == Exit.DATA
    out = capsys.readouterr().out
    assert "FAULT   refused                policies.default: failures.mirrored: envoy telemetry cannot tell copies" in out
