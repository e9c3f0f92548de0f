"""Where the demo finds the programs that no wheel brings, and what it says of those that are not there."""

import os
from pathlib import Path

import pytest

from daemon import demo
from daemon.demo import programs
from daemon.demo.children import DemoError
from tests.servers import cache
from tests.servers.catalog import GoServer, server

NAMES = ("etcd", "kube-apiserver", "istiod", "consul")


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing was built; gives the folder where it would be."""
    monkeypatch.setenv("VERDICTD_SERVERS", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "cache"


def built(file: Path, *, at: float = 1.0) -> Path:
    """A program there, of that time."""
    file.parent.mkdir(parents=True)
    file.touch(mode=0o700)
    os.utime(file, (at, at))
    return file


@pytest.mark.parametrize("name", NAMES)
def test_a_program_is_found_where_make_servers_puts_it(nothing: Path, name: str) -> None:
    row = server(name)
    assert isinstance(row, GoServer)
    assert programs.cache() == cache.root() == nothing
    there = built(cache.binary(row))
    assert programs.program(name) == there


def test_without_a_chosen_folder_it_is_the_same_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VERDICTD_SERVERS", raising=False)
    assert programs.cache() == cache.root()
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert programs.cache() == cache.root()


def test_of_several_builds_the_newest_is_taken_and_none_of_another_name(nothing: Path) -> None:
    built(nothing / "etcd-9.9.9-0" / "bin" / "etcd", at=1.0)
    newest = built(nothing / "etcd-3.6.8-0" / "bin" / "etcd", at=2.0)
    built(nothing / "etcd-tools-1" / "bin" / "etcd", at=3.0)
    assert programs.program("etcd") == newest


def test_one_on_path_will_do(nothing: Path, tmp_path: Path) -> None:
    there = built(tmp_path / "bin" / "consul")
    assert programs.program("consul") == there
    built_too = built(nothing / "consul-1.14.11-0" / "bin" / "consul")
    assert programs.program("consul") == built_too


def test_all_that_is_missing_is_told_at_once_with_how_to_get_it(nothing: Path) -> None:
    built(nothing / "etcd-3.6.8-0" / "bin" / "etcd")
    with pytest.raises(
        DemoError, match=r"not on this machine: kube-apiserver, istiod .*(?s:.*)run `make servers` in the repository"
    ):
        programs.require(["etcd", "kube-apiserver", "istiod"])


def test_istiod_without_its_definitions_is_not_enough(nothing: Path) -> None:
    built(nothing / "istiod-1.24.2-0" / "bin" / "pilot-discovery")
    with pytest.raises(DemoError, match="definitions of Istio's objects"):
        programs.istio_definitions()


@pytest.mark.usefixtures("nothing")
@pytest.mark.parametrize(
    ("mesh", "said", "how"),
    [
        ("istio", "etcd, kube-apiserver, istiod", "`make servers`"),
        ("consul", "consul", "`python -m tests.servers build consul`"),
    ],
)
def test_a_demo_whose_programs_are_missing_ends_before_it_begins(
    mesh: str, said: str, how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo.main(["--mesh", mesh, "--out", str(tmp_path / "out")]) == 69
    written = capsys.readouterr()
    assert f"The demo failed: not on this machine: {said} (" in written.err
    assert f"What to do: run {how} in the repository" in written.err
    assert written.out == ""
    assert not (tmp_path / "out").exists()
