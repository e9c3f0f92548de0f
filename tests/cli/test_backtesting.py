"""``verdictd backtest``: its options, its exit codes, and what it says where. What it reads is tested on a real Prometheus."""

from pathlib import Path

import pytest

from daemon.cli import main
from tests.cli.binary import verdictd
from tests.hand.servers import says, stub

NOTHING = {"status": "success", "data": {"resultType": "matrix", "result": []}}
ONE = ["--service", "web", "--baseline", "workload=web-v1", "--canary", "workload=web-v2", "--from", "2h"]
SERVER = ["--prometheus", "http://127.0.0.1:1"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (ONE, "--prometheus: is missing"),
        ([*SERVER, *ONE, "--dialect", "klingon"], "'klingon' is none; use one of: "),
        ([*SERVER, "--from", "2h"], "--service: is missing"),
        ([*SERVER, "--service", "web"], "--from: is missing"),
        ([*SERVER, "--service", "web", "--from", "soon"], "--from: 'soon' is no moment"),
        ([*SERVER, *ONE[:-2]], "the release.from: is missing"),
        ([*SERVER, *ONE[:2], "--baseline", "v1", *ONE[4:]], "--baseline: 'v1' has no ="),
        ([*SERVER, "--service", "web", "--from", "2h", "--dialect", "envoy"], "names no service; list them in a file"),
        ([*SERVER, "--prometheus", "nowhere", *ONE], "--prometheus: 'nowhere' is not a base URL"),
    ],
)
def test_wrong_usage_exits_64_and_says_it(argv: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", *argv, "--recordings", str(tmp_path / "kept")]) == 64
    assert said in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        (["{}", "failures: {status: [404]}"], "p1.yaml cannot be honoured: failures.status: envoy telemetry has classes only"),
        (["failures: {status: [404]}"], "p0.yaml cannot be honoured: failures.status: envoy telemetry has classes only"),
    ],
)
def test_what_counts_as_failed_must_be_what_the_mesh_tells(
    policies: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [*SERVER, *ONE, "--dialect", "envoy"]
    for number, text in enumerate(policies):
        (tmp_path / f"p{number}.yaml").write_text(text, encoding="utf-8")
        argv += ["--policy", str(tmp_path / f"p{number}.yaml")]
    assert main(["backtest", *argv]) == 64
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("telemetry", "argv", "said"),
    [
        ("{}", [], "--telemetry: is missing; name one of those of kind prometheus: there is none"),
        ("{a: {kind: prometheus, url: 'http://a:1', dialect: istio}, b: {kind: prometheus, url: 'http://b:1', dialect: istio}}", [],
         "name one of those of kind prometheus: a, b"),
        ("{a: {kind: prometheus, url: 'http://a:1', dialect: istio}}", ["--telemetry", "b"], "'b' is none of kind prometheus"),
    ],
)  # fmt: skip
def test_of_the_settings_one_server_must_be_meant(
    telemetry: str, argv: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"telemetry: {telemetry}\n", encoding="utf-8")
    assert main(["backtest", "--config", str(file), *ONE, *argv]) == 64
    assert said in capsys.readouterr().err


async def test_a_release_of_which_there_is_nothing_exits_65_and_says_so(tmp_path: Path) -> None:
    async with stub(says(NOTHING)) as server:
        argv = ["--prometheus", server.url, *ONE, "--pause", "0", "--recordings", str(tmp_path / "kept")]
        done = await verdictd("backtest", *argv)
        assert done.code == 65
        assert "not judged: nothing of it can be counted in that time" in done.out
        assert done.out.splitlines()[-1].strip() == "1 of 1 could not be judged, and count neither way"
        assert "reading 1 of 1: web-v2 of " in done.err
        assert server.most_at_once == 1


async def test_a_server_that_says_no_exits_77_and_nothing_is_kept(tmp_path: Path) -> None:
    async with stub(says("who are you?", status=401)) as server:
        kept = tmp_path / "kept"
        done = await verdictd("backtest", "--prometheus", server.url, *ONE, "--pause", "0", "--recordings", str(kept))
        assert (done.code, done.out, kept.exists()) == (77, "", False)
        assert "who are you?" in done.err


async def test_a_service_without_a_release_exits_66(tmp_path: Path) -> None:
    async with stub(says(NOTHING)) as server:
        done = await verdictd("backtest", "--prometheus", server.url, "--service", "web", "--from", "1h", "--pause", "0")
        assert done.code == 66
        assert "no series of default/web in that time" in done.err
