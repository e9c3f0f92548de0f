"""Where builds are kept: by all that decides what comes out, one build at a time, and none for ever."""

import dataclasses
import fcntl
from pathlib import Path

import pytest

from tests.servers import cache
from tests.servers.catalog import GoServer, server


def go_server(name: str = "etcd") -> GoServer:
    row = server(name)
    assert isinstance(row, GoServer)
    return row


def test_the_folder_is_the_users_and_outside_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VERDICTD_SERVERS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.root() == tmp_path / "verdictd" / "servers"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.root() == tmp_path / ".cache" / "verdictd" / "servers"


def test_the_folder_can_be_chosen(cache_root: Path) -> None:
    assert cache.root() == cache_root


def test_another_pin_linker_setting_or_package_is_another_entry(
    cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = go_server()
    monkeypatch.setattr("tests.servers.catalog.HERE", tmp_path)
    pins = tmp_path / row.folder
    pins.mkdir()
    (pins / "go.mod").write_text("module x")
    (pins / "go.sum").write_text("")
    first = cache.entry(row)
    assert first == cache.entry(row)
    others = [dataclasses.replace(row, package="example.org/x"), dataclasses.replace(row, stamps=("a.b=c",))]
    (pins / "go.sum").write_text("example.org/x v1.0.0 h1:...")
    assert len({first, cache.entry(row), *map(cache.entry, others)}) == 4
    assert {path.parent for path in (first, cache.entry(row))} == {cache_root}


def test_a_server_is_there_when_its_binary_is(cache_root: Path) -> None:
    row = go_server()
    assert not cache.is_complete(row)
    cache.binary(row).parent.mkdir(parents=True)
    assert not cache.is_complete(row)
    cache.binary(row).touch()
    assert cache.is_complete(row)


def test_only_one_build_at_a_time(cache_root: Path) -> None:
    """A second process waits; whoever does not want to wait is refused."""
    with cache.locked(), (cache_root / ".lock").open("w") as second, pytest.raises(BlockingIOError):
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (cache_root / ".lock").open("w") as second:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_other_builds_of_the_same_server_go_and_nothing_else(cache_root: Path) -> None:
    row = go_server()
    current = cache.entry(row)
    old = cache_root / f"{row.name}-3.5.0-0123456789ab"
    kept = [
        current,
        cache_root / "etcd-proxy-3.5.0-0123456789ab",
        cache_root / "istiod-1.24.2-0123456789ab",
        cache_root / f"{row.name}-3.5.0",
        cache_root / "go-1.26.6",
    ]
    for folder in [old, *kept]:
        (folder / "bin").mkdir(parents=True)
    assert cache.remove_others(row) == [old]
    assert sorted(cache_root.iterdir()) == sorted(kept)
