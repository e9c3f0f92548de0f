"""The command as a process: exit codes, and what it costs to start."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.cli import main, status
from daemon.cli.parser import build
from tests.cli import binary
from tests.cli.binary import needs_dev_full

HEAVY = ("scipy", "numpy", "nats", "kubernetes_asyncio", "aiohttp", "prometheus_client", "asyncio")


def verdictd(*argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "daemon.cli", *argv], input=stdin, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["wiat"],
        ["wait"],
        ["wait", "x", "--timeout", "soon"],
        ["wait", "x", "--timeout", "-1"],
        ["run", "--log-level", "loud"],
        ["plan", "--seed", "-1"],
        ["plan", "--processes", "9" * 400],
        ["plan", "--runs", "many"],
        ["completion", "tcsh"],
        ["status", "--outcome", "good"],
    ],
)
def test_wrong_usage_exits_64(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """argparse's own 2 would be read as an inconclusive verdict."""
    assert main(argv) == 64
    assert capsys.readouterr().err.startswith("usage: verdictd")


def test_so_does_its_process() -> None:
    done = verdictd("wiat")
    assert done.returncode == 64
    assert done.stderr.startswith("usage: verdictd")


@pytest.mark.usefixtures("measured")
def test_the_version_is_told() -> None:
    assert verdictd("--version").stdout.startswith("verdictd ")


@pytest.mark.parametrize(
    "command",
    [
        *("run", "demo", "submit", "wait", "status", "promote", "rollback", "cancel", "revert", "explain", "replay", "plan"),
        *("check", "completion"),
    ],
)
def test_every_command_has_a_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"verdictd {command}" in said
    assert "%%" not in said
    assert "xits 0" in said
    assert "70 a defect of verdictd" in " ".join(said.split())


@pytest.mark.live
def test_a_daemon_says_what_it_was_told_before_it_finds_its_port_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = verdictd("run", "--http-listen", address, "--config", str(_settings(tmp_path)))
    events = [json.loads(line) for line in done.stdout.splitlines() + done.stderr.splitlines()]
    assert [one["event"] for one in events] == ["starting", "nothing can be watched: no mesh is configured", "cannot run"]
    assert (events[0]["http"], address in events[2]["reason"], done.returncode) == (address, True, 69)


def _settings(folder: Path) -> Path:
    """Of a daemon that keeps to a folder."""
    file = folder / "verdictd.json"
    file.write_text(json.dumps({"nats": {"url": "embedded", "data_dir": str(folder / "data")}}), encoding="utf-8")
    return file


@pytest.mark.parametrize(("text", "seconds"), [("90", 90.0), ("90s", 90.0), ("5m", 300.0), ("1h30m", 5400.0)])
def test_a_time_is_given_in_seconds_or_with_units(text: str, seconds: float) -> None:
    assert build().parse_args(["wait", "x", "--timeout", text]).timeout == seconds


def test_what_is_no_time_is_refused_with_what_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wait", "x", "--timeout", "5x"]) == 64
    assert "'5x' is no time: give seconds (90), or numbers with units (90s, 5m, 1h30m)" in capsys.readouterr().err


def test_help_and_version_are_words_too(capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        assert main([*words]) == 0
        return capsys.readouterr().out

    assert said("version") == said("--version")
    assert said("help") == said("--help")
    assert said("help", "wait") == said("wait", "--help")


@pytest.mark.parametrize("command", ["wait", "submit"])
def test_whoever_awaits_a_verdict_reads_every_code_in_the_help(command: str) -> None:
    said = " ".join(verdictd(command, "--help").stdout.split())
    codes = ["0 promote", "1 rollback", "2 inconclusive", "3 no verdict in time", "4 rollback, but the canary still gets traffic"]
    others = ["64 wrong usage", "66 no such release", "69 the daemon cannot be reached", "77 not allowed", "130 interrupted"]
    assert [code for code in (*codes, *others) if code not in said] == []


@pytest.mark.parametrize(
    "argv",
    [
        ["wait", "shop-1", "--patience", "0", "--server", "http://127.0.0.1:1"],
        ["status", "--server", "http://127.0.0.1:1"],
        ["submit", "-", "--server", "http://127.0.0.1:1"],
        ["check", "--schema", "policy"],
    ],
)
def test_what_pipelines_call_does_not_load_what_it_does_not_need(argv: list[str]) -> None:
    script = (
        "import sys\nfrom daemon.cli import main\n"
        f"code = main({argv!r})\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], input="{", capture_output=True, text=True, timeout=100, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_replay_is_chosen_without_loading_the_daemon() -> None:
    script = (
        "import sys\nfrom daemon.cli.parser import build\nbuild().parse_args(['replay', 'x'])\n"
        f"print([name for name in {(*HEAVY, 'daemon.offline.replay')!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("command", ["replay", "explain"])
def test_judging_again_needs_the_mathematics_and_nothing_heavier(command: str) -> None:
    """Nothing is served or simulated."""
    script = (
        f"import sys\nfrom daemon.cli import main\nmain([{command!r}, 'absent.jsonl'])\n"
        f"unwanted = {(*HEAVY, 'daemon.offline.simulation')!r}\n"
        "print([name for name in unwanted if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "['scipy', 'numpy']\n"


@pytest.mark.usefixtures("measured")
def test_settings_that_cannot_be_used_stop_the_daemon_with_all_reasons(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("htp: {}\nhttp: {listen: '0.0.0.0:80'}\npolicies: {p: {alpha: 1%}}", encoding="utf-8")
    done = verdictd("run", "--config", str(file))
    assert done.returncode == 64
    assert len(done.stderr.splitlines()) == 2
    assert "policies.p.alpha" in done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m daemon.cli check --schema settings | head -c 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=100, check=False)
    assert done.stderr == ""
    assert done.stdout == "{"


def test_the_first_process_of_a_container_ends_on_sigterm_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the system does not end it by itself."""
    before = signal.getsignal(signal.SIGTERM)

    def told_to_stop(_options: object) -> int:
        signal.raise_signal(signal.SIGTERM)
        return 0

    monkeypatch.setattr(status, "run", told_to_stop)
    monkeypatch.setattr("daemon.cli.entry.os.getpid", lambda: 1)
    assert main(["status"]) == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_library_that_ends_the_process_with_words_does_not_make_a_promotion_of_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gives_up(_options: object) -> int:
        raise SystemExit("no such plug-in")

    monkeypatch.setattr(status, "run", gives_up)
    assert main(["status"]) == 70
    assert "SystemExit: no such plug-in" in capsys.readouterr().err


@needs_dev_full
async def test_what_goes_wrong_keeps_its_code_whatever_becomes_of_the_words(tmp_path: Path) -> None:
    lost = ("> /dev/full 2> /dev/full", ">&- 2>&- <&-")
    commands = [
        (["wait"], 64),
        (["run", "--http-listen", "nowhere"], 64),
        (["demo", "--rate", "1"], 64),
        (["demo", "--out", "/dev/null/x"], 69),
        (["wait", "x", "--patience", "0", "--server", "http://127.0.0.1:1"], 69),
        (["replay", str(tmp_path / "none.jsonl")], 65),
        (["revert", "--service", "a", "--baseline", "subset=a", "--canary", "subset=b", "--kubeconfig", "/none", "--yes"], 66),
    ]
    every = [(argv, streams, code) for streams in lost for argv, code in commands]
    every += [(["wait"], streams, 64) for streams in (">&-", "2>&-")]
    done = await asyncio.gather(*(binary.verdictd(*argv, then=streams) for argv, streams, _ in every))
    assert [one.code for one in done] == [code for *_, code in every]


def test_schemas_are_printed_as_json() -> None:
    for kind in ("settings", "policy", "release"):
        schema = json.loads(verdictd("check", "--schema", kind).stdout)
        assert schema["$schema"].startswith("https://json-schema.org/")
