"""Servers are found where they may be, and what is missing is said with the way to get it."""

from pathlib import Path

import pytest

from tests.servers import cache, locate
from tests.servers.catalog import SERVERS, GoServer, WheelServer, server
from tests.servers.locate import Missing


def built(name: str) -> Path:
    row = server(name)
    assert isinstance(row, GoServer)
    binary = cache.binary(row)
    binary.parent.mkdir(parents=True)
    binary.touch()
    return binary


def test_what_was_built_is_found_in_the_cache(cache_root: Path) -> None:
    assert locate.find("etcd") == Missing("not built: `make servers`, or python -m tests.servers build etcd")
    binary = built("etcd")
    assert locate.find("etcd") == binary


def test_kubebuilder_assets_are_used_before_the_cache(cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = built("kube-apiserver")
    theirs = tmp_path / "assets" / "kube-apiserver"
    theirs.parent.mkdir()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(theirs.parent))
    assert locate.find("kube-apiserver") == mine
    theirs.touch()
    assert locate.find("kube-apiserver") == theirs


def test_kubebuilder_assets_are_not_asked_for_what_they_never_hold(
    cache_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An istiod of unknown version beside them is not ours."""
    (tmp_path / "pilot-discovery").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert isinstance(locate.find("istiod"), Missing)


def test_definitions_are_found_with_the_server_that_brings_them(cache_root: Path) -> None:
    assert isinstance(locate.find_crds("istio"), Missing)
    binary = built("istiod")
    kept = cache.crd_file(binary.parents[1], "istio")
    kept.parent.mkdir()
    kept.touch()
    assert locate.find_crds("istio") == kept
    with pytest.raises(KeyError, match="linkerd"):
        locate.find_crds("linkerd")


def test_a_server_of_debian_is_looked_for_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert locate.find("prometheus") == Missing("not on PATH; `make servers` as root installs prometheus")
    (tmp_path / "prometheus").touch(mode=0o755)
    assert locate.find("prometheus") == tmp_path / "prometheus"


@pytest.mark.parametrize("row", [row for row in SERVERS if isinstance(row, WheelServer)], ids=lambda row: row.name)
def test_a_server_of_a_wheel_is_in_this_environment(row: WheelServer) -> None:
    assert isinstance(locate.find(row.name), Path)


def test_a_missing_server_skips_a_test_on_a_developers_machine(cache_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="istiod: not built: `make servers`"):
        locate.require("istiod")


def test_a_missing_server_fails_a_test_in_ci(cache_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"istio CRDs: not built.*so this is not skipped"):
        locate.require_crds("istio")


def test_a_server_that_is_optional_skips_its_tests_in_ci_too_with_the_reason(
    cache_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception, match="kustomize-controller: not built: `make servers ALL=1`, or"):
        locate.require("kustomize-controller")
    with pytest.raises(pytest.skip.Exception, match="flux-kustomizations CRDs: not built: `make servers ALL=1`, or"):
        locate.require_crds("flux-kustomizations")
