"""``verdictd check``."""

import json
from pathlib import Path

import pytest
import yaml

from config.load import policy_of
from config.policy import Policy
from daemon.cli import checking, main
from daemon.cli.checking import schema

GOOD = {
    "settings.yaml": ("cluster: eu", "settings"),
    "policy.yaml": ("alpha: 0.02", "policy"),
    "release.json": ('{"service": "a", "baseline": {"version": "1"}, "canary": {"version": "2"}}', "release"),
    "empty.yaml": ("", "settings"),
}


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_good_file_is_known_by_its_keys(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, kind = GOOD[name]
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["check", str(tmp_path / name)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{tmp_path / name}: a usable {kind} file"


def test_every_problem_of_every_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("mode: observe", encoding="utf-8")
    bad.write_text("alpha: 1%\nwindow_seconds: 5m", encoding="utf-8")
    assert main(["check", str(good), str(bad)]) == 64
    assert capsys.readouterr().out.splitlines() == [
        f"{good}: a usable policy file",
        f'{bad}: alpha: "1%" is not a number; write a fraction: 0.01',
        f'{bad}: window_seconds: "5m" is not a number; write seconds as a number: 300',
    ]


def test_json_is_one_line_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("alpha: 2", encoding="utf-8")
    assert main(["check", "--json", str(file)]) == 64
    line = json.loads(capsys.readouterr().out)
    assert (line["kind"], line["ok"], line["problems"][0]["path"]) == ("policy", False, "alpha")


def test_the_kind_can_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("cluster: eu", encoding="utf-8")
    assert main(["check", "--kind", "policy", str(file)]) == 64
    assert "cluster: is not a known key" in capsys.readouterr().out


def test_a_folder_of_policies_is_checked_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("mode: observe", encoding="utf-8")
    assert main(["check", str(tmp_path)]) == 0
    assert "its policies: a" in capsys.readouterr().out
    (tmp_path / "b.yaml").write_text("mode: watch", encoding="utf-8")
    assert main(["check", str(tmp_path)]) == 64
    assert "b.mode" in capsys.readouterr().out


def test_a_folder_without_a_policy_is_no_good_news(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mode: observe", encoding="utf-8")
    assert main(["check", str(tmp_path)]) == 64
    assert "the folder holds no policy and no recording; name a folder with" in capsys.readouterr().out


def test_a_fault_of_a_whole_release_names_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "release.yaml").write_text("service: web", encoding="utf-8")
    assert main(["check", "--kind", "release", str(tmp_path / "release.yaml")]) == 64
    assert "release.yaml: $: says neither what is new" in capsys.readouterr().out


def test_an_announcement_without_arms_is_what_submit_takes_and_says_who_finds_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "release.yaml").write_text("service: web\nrevision: 8f3c2a1", encoding="utf-8")
    assert main(["check", str(tmp_path / "release.yaml")]) == 0
    assert "its arms are for the daemon to find" in capsys.readouterr().out


def test_settings_under_which_nothing_can_be_watched_are_usable_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.yaml").touch()
    assert main(["check", str(tmp_path / "empty.yaml")]) == 0
    assert "nothing can be watched: no mesh is configured" in capsys.readouterr().out


def test_of_a_configmap_the_document_in_it_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The manifests' own, as it is, and with a fault."""
    manifest = Path(__file__).parents[2] / "deploy" / "manifests" / "20-settings.yaml"
    assert main(["check", str(manifest)]) == 0
    assert capsys.readouterr().out == f"{manifest}: a usable settings file\n"
    wrong = tmp_path / "configmap.yaml"
    wrong.write_text(
        manifest.read_text(encoding="utf-8").replace("telemetry: prometheus", "telemetry: elsewhere"), encoding="utf-8"
    )
    assert main(["check", str(wrong)]) == 64
    assert "meshes.istio.telemetry names 'elsewhere', which is not under telemetry" in capsys.readouterr().out


@pytest.mark.parametrize("held", ["{}", "{verdictd.yaml: 3}", "{a.yaml: '', b.yaml: ''}"])
def test_a_configmap_that_holds_no_document_or_several_is_none_of_ours(
    held: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(f"{{kind: ConfigMap, data: {held}}}", encoding="utf-8")
    assert main(["check", str(tmp_path / "a.yaml")]) == 64
    assert "data: is not a known key" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.yaml")]) == 64
    assert "cannot be read: No such file or directory" in capsys.readouterr().out


def test_nothing_to_check_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 64
    assert "name files to check" in capsys.readouterr().err


def test_every_field_of_a_release_is_described() -> None:
    for name in ("Release", "ArmSpec"):
        fields = schema("release")["$defs"][name]["properties"]
        assert [key for key, field in fields.items() if not field.get("description")] == []


@pytest.mark.parametrize("kind", ["settings", "policy", "release"])
def test_what_it_gives_to_begin_with_it_takes_as_usable(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--example", kind]) == 0
    file = tmp_path / "example.yaml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: a usable {kind} file\n"


def test_the_figures_of_the_example_of_a_policy_are_the_defaults() -> None:
    assert policy_of(yaml.safe_load(checking.example("policy")), source="example") == Policy()
