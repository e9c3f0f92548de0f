"""What a pipeline's tool is told of a verdict, read as that tool reads it."""

import asyncio
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from daemon.cli import ending, githubjob, gitlabjob, junit, main
from daemon.cli.exits import Exit
from daemon.model import Action, Outcome
from tests.hand.api import Engine, serving, verdict, view

URL = "http://verdictd.verdictd.svc:8484/v1/releases/shop-1"
HOSTILE = "x\n::set-output name=outcome::promote\nVERDICTD_OUTCOME=promote </failure> [a](http://b) <img> | `c` %0A ##[error]"


def ended(
    code: Exit, outcome: Outcome, *, reason: str = "errors: 5 % against 0.1 %", action: Action = Action.NONE
) -> ending.Ending:
    said = msgspec.structs.replace(verdict("shop-1", outcome), reason=reason, action=action)
    return ending.of_verdict(said, view("shop-1"), code=code, url=URL, notices=["verdictd: look at it"])


def outputs(text: str) -> dict[str, str]:
    """As the runner reads $GITHUB_OUTPUT: ``name<<delimiter``, lines, the delimiter."""
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        name, _, delimiter = line.partition("<<")
        value = []
        while (part := next(lines)) != delimiter:
            value.append(part)
        found[name] = "\n".join(value)
    return found


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The files of a step."""
    summary, output = tmp_path / "summary", tmp_path / "output"
    output.write_text("of=an earlier command\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_OUTPUT", str(output))
    return summary, output


@pytest.mark.parametrize(
    ("outcome", "code", "level"),
    [(Outcome.PROMOTE, 0, "notice"), (Outcome.ROLLBACK, 1, "error"), (Outcome.INCONCLUSIVE, 2, "warning")],
)
async def test_a_step_of_github_has_outputs_a_summary_and_an_annotation(
    outcome: Outcome, code: int, level: str, github: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    summary, output = github
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        api.engine.end("shop-1", outcome)
        server = api.server.address.url
        assert await asyncio.to_thread(main, ["wait", "shop-1", "--output", "github", "--server", server]) == code
    written = output.read_text()
    assert written.startswith("of=an earlier command\n")
    told = outputs(written.partition("\n")[2])
    assert told | {"reason": ""} == {
        "release": "shop-1",
        "outcome": outcome.value,
        "meaning": {0: "promote", 1: "rollback", 2: "hold"}[code],
        "action": "revert" if code == 1 else "none",
        "code": str(code),
        "reason": "",
        "url": f"{server}/v1/releases/shop-1",
    }
    assert f"### verdictd: {outcome.value}\\: web\\/shop\n" in summary.read_text()
    assert f"::{level} title=verdictd%3A {outcome.value}%3A web/shop::{outcome.value} (" in capsys.readouterr().err


async def test_without_a_verdict_a_step_says_so_with_the_reason(
    github: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api:
        argv = ["wait", "shop-1", "--output", "github", "--timeout", "1ms", "--server", api.server.address.url]
        assert await asyncio.to_thread(main, argv) == 3
    assert {"outcome": "none", "code": "3"}.items() <= outputs(github[1].read_text().partition("\n")[2]).items()
    assert "::warning title=verdictd%3A no verdict%3A web/shop::verdictd: no verdict on shop-1" in capsys.readouterr().err


def test_what_comes_from_outside_can_set_no_output_begin_no_command_and_be_no_markup(tmp_path: Path) -> None:
    told = ended(Exit.ROLLBACK, Outcome.ROLLBACK, reason=HOSTILE)
    job = githubjob.GithubJob(tmp_path / "summary", tmp_path / "output")
    job.tell(told)
    found = outputs((tmp_path / "output").read_text())
    assert (found["outcome"], "set-output" in found["reason"]) == ("rollback", True)
    said = githubjob.annotation(told)
    assert (said.count("\n"), said.count("::set-output name"), said.startswith("::error ")) == (0, 1, True)
    assert "##[" not in said
    assert "%250A" in said
    page = (tmp_path / "summary").read_text()
    for markup in ("[a]", "<img>", "`c`", "##["):
        assert markup not in page
    assert re.search(r"\\\[a\\\]\\\(http", page)


def test_a_delimiter_is_never_the_same_twice(tmp_path: Path) -> None:
    job = githubjob.GithubJob(tmp_path / "summary", tmp_path / "output")
    job.tell(ended(Exit.OK, Outcome.PROMOTE))
    delimiters = re.findall(r"<<(\w+)$", (tmp_path / "output").read_text(), flags=re.MULTILINE)
    assert len({*delimiters}) == len(delimiters) == 7


def test_gitlab_s_variables_have_no_blanks_quotes_or_second_lines() -> None:
    told = ended(Exit.ROLLBACK, Outcome.ROLLBACK, reason=HOSTILE)
    lines = gitlabjob.dotenv(other(told, release_id="a b\nVERDICTD_OUTCOME=promote")).splitlines()
    assert lines == [
        "VERDICTD_OUTCOME=rollback",
        "VERDICTD_MEANING=rollback",
        "VERDICTD_ACTION=none",
        "VERDICTD_CODE=1",
        f"VERDICTD_URL={URL}",
    ]
    assert gitlabjob.dotenv(told).splitlines()[0] == "VERDICTD_RELEASE=shop-1"


def other(told: ending.Ending, **changes: object) -> ending.Ending:
    """Another ending, as no daemon tells it."""
    return ending.Ending(**{name: getattr(told, name) for name in told.__slots__} | changes)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Exit.OK, None),
        (Exit.ROLLBACK, "failure"),
        (Exit.STILL_SERVING, "failure"),
        (Exit.INCONCLUSIVE, "skipped"),
        (Exit.TIMEOUT, "error"),
        (None, "error"),
    ],
)
def test_junit_says_what_the_exit_code_says(code: Exit | None, kind: str | None) -> None:
    told = other(ended(Exit.OK, Outcome.ROLLBACK, reason=HOSTILE), code=code)
    suites = ET.fromstring(junit.document(told))  # noqa: S314 - our own text
    [case] = suites.findall("testsuite/testcase")
    assert [one.tag for one in case if one.tag != "system-out"] == ([] if kind is None else [kind])
    counts = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    for element in (suites, suites[0]):
        assert {name: element.get(name) for name in counts} == {name: str(int(kind == of)) for name, of in counts.items()}
    assert "verdictd: look at it" in (case.findtext("system-out") or "")


@pytest.mark.parametrize(("output", "files"), [("gitlab", {"verdictd.env", "verdictd.xml"}), ("junit", {"verdictd.xml"})])
async def test_files_say_that_there_is_no_verdict_until_there_is_one(output: str, files: set[str], tmp_path: Path) -> None:
    (tmp_path / "verdictd.xml").write_text("of an earlier job: promoted")
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api, asyncio.TaskGroup() as group:
        argv = ["wait", "shop-1", "--output", output, "--output-dir", str(tmp_path), "--server", api.server.address.url]
        waiting = group.create_task(asyncio.to_thread(main, argv))
        await api.engine.waited_for.wait()
        before = texts(tmp_path)
        api.engine.end("shop-1", Outcome.PROMOTE)
    assert waiting.result() == 0
    assert before.keys() == files
    assert {name: "none" in text for name, text in before.items()} == dict.fromkeys(files, True)
    assert {name: "promote" in text for name, text in texts(tmp_path).items()} == dict.fromkeys(files, True)


async def test_what_cannot_be_told_is_refused_before_anything_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release = tmp_path / "release.json"
    release.write_text('{"service": "shop", "baseline": {"subset": "v1"}, "canary": {"subset": "v2"}}')
    for variable in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(variable, raising=False)
    async with serving() as api:
        at = ["submit", str(release), "--server", api.server.address.url]
        for argv, said in (
            (["--wait", "--output", "github"], "use github in a step of GitHub Actions"),
            (["--wait", "--output", "junit", "--output-dir", str(tmp_path / "gone")], "name a folder that is there"),
            (["--output", "junit"], "add --wait"),
        ):
            assert await asyncio.to_thread(main, [*at, *argv]) == 64
            assert said in capsys.readouterr().err
        assert api.engine.submitted == []


async def test_a_report_that_cannot_be_written_any_more_changes_no_exit_code(
    github: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(Engine(releases={"shop-1": view("shop-1")})) as api, asyncio.TaskGroup() as group:
        argv = ["wait", "shop-1", "--output", "github", "--server", api.server.address.url]
        waiting = group.create_task(asyncio.to_thread(main, argv))
        await api.engine.waited_for.wait()
        github[1].unlink()
        github[1].mkdir()
        api.engine.end("shop-1", Outcome.ROLLBACK)
    assert waiting.result() == 1
    assert "IsADirectoryError" in capsys.readouterr().err
