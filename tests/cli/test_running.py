"""The settings that file, environment and options make together."""

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.policy import Policy
from config.settings import Settings
from daemon import app
from daemon.cli import main, settingsfile
from daemon.cli.parser import build
from daemon.cli.running import settings_of


def test_options_are_stronger_than_variables_and_those_than_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("cluster: eu\nhttp: {listen: '127.0.0.1:1'}\nnats: {url: 'nats://a:4222'}\nlog_level: error", encoding="utf-8")
    options = build().parse_args(["run", "--config", str(file), "--http-listen", "127.0.0.1:3", "--log-level", "debug"])
    settings = settings_of(options, environ={"VERDICTD_HTTP__LISTEN": "127.0.0.1:2", "VERDICTD_NATS__URL": "nats://b:4222"})
    assert (settings.http.listen, settings.nats.url, settings.log_level) == ("127.0.0.1:3", "nats://b:4222", "debug")
    assert settings.cluster == "eu"


def test_an_option_is_text_whatever_it_looks_like(tmp_path: Path) -> None:
    options = build().parse_args(["run", "--recordings", "2026", "--nats", "embedded"])
    assert settings_of(options, environ={}).recordings.directory == "2026"


def test_the_file_can_be_named_by_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("cluster: eu", encoding="utf-8")
    assert settings_of(build().parse_args(["run"]), environ={"VERDICTD_CONFIG": str(file)}).cluster == "eu"


def test_a_file_that_lies_where_people_put_it_is_read_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = tmp_path / "etc" / "verdictd.yaml"
    monkeypatch.setattr(settingsfile, "PLACES", ("verdictd.yaml", str(system)))
    monkeypatch.chdir(tmp_path)
    assert settings_of(build().parse_args(["run"]), environ={}).cluster == "default"
    system.parent.mkdir()
    system.write_text("cluster: system", encoding="utf-8")
    assert settings_of(build().parse_args(["run"]), environ={}).cluster == "system"
    (tmp_path / "verdictd.yaml").write_text("cluster: here", encoding="utf-8")
    assert settings_of(build().parse_args(["run"]), environ={}).cluster == "here"
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: \$: cannot be read"):  # a slip is no reason to read another
        settings_of(build().parse_args(["run", "--config", "nowhere.yaml"]), environ={})


def test_one_that_lies_there_and_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "verdictd.yaml").symlink_to("away.yaml")
    with pytest.raises(ConfigError, match=r"verdictd\.yaml: \$: cannot be read"):
        settings_of(build().parse_args(["run"]), environ={})


def test_policies_of_a_folder_join_those_of_the_file(tmp_path: Path) -> None:
    file, folder = tmp_path / "settings.yaml", tmp_path / "policies"
    file.write_text("policies: {default: {alpha: 0.02}, slow: {}}", encoding="utf-8")
    folder.mkdir()
    (folder / "default.yaml").write_text("alpha: 0.05", encoding="utf-8")
    options = build().parse_args(["run", "--config", str(file), "--policies", str(folder)])
    assert settings_of(options, environ={}).policies == {"default": Policy(alpha=0.05), "slow": Policy()}


def test_listening_elsewhere_without_a_token_is_refused() -> None:
    options = build().parse_args(["run", "--http-listen", "0.0.0.0:80"])
    with pytest.raises(ConfigError, match=r"verdictd run: http\.token_file: is not set"):
        settings_of(options, environ={})


def test_a_wrong_option_is_refused_by_its_own_name() -> None:
    options = build().parse_args(["run", "--http-listen", "nowhere", "--nats", "nats://x", "--log-level", "info"])
    with pytest.raises(ConfigError, match=r"^verdictd run: cluster: \[\] is not text \(from VERDICTD_CLUSTER\)"):
        settings_of(options, environ={"VERDICTD_CLUSTER": "[]"})
    with pytest.raises(ConfigError, match=r'^verdictd run: http\.listen: "nowhere" has no host and port \(from --http-listen\)'):
        settings_of(options, environ={})


def test_a_defect_of_the_daemon_is_70_and_its_traceback_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_settings: Settings, *, file: str | None) -> int:
        raise ExceptionGroup("the daemon's tasks", [ZeroDivisionError("x")])

    monkeypatch.setattr(app, "run", broken)
    assert main(["run", "--nats", "embedded"]) == 70
    [record] = caplog.records
    assert record.exc_info is not None
    assert "ZeroDivisionError" in caplog.text
    assert capsys.readouterr().out == ""
