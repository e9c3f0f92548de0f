"""The table of servers says of each what the build needs."""

import json

import pytest

from tests.servers.catalog import HERE, KUBERNETES, OURS, SERVERS, GoDefinitions, GoServer, NpmPackages, server

GO_SERVERS = [row for row in SERVERS if isinstance(row, GoServer)]


def test_no_two_servers_have_one_name() -> None:
    names = [row.name for row in SERVERS]
    assert sorted(set(names)) == sorted(names)


def test_a_server_that_is_not_in_the_table_is_refused_with_what_is() -> None:
    with pytest.raises(KeyError, match="no server is called 'consull'; there are etcd, kube-apiserver, istiod"):
        server("consull")


@pytest.mark.parametrize("row", GO_SERVERS, ids=lambda row: row.name)
def test_a_server_of_go_is_pinned_and_its_package_imported(row: GoServer) -> None:
    """Without the blank import, `go mod tidy` would take the module out of go.mod again."""
    if row.package.startswith(OURS):
        assert row.package == f"{OURS}{row.folder}"
        assert "package main" in (row.module_folder / "main.go").read_text()
    else:
        assert f'"{row.package}"' in (row.module_folder / "tools.go").read_text()
    assert (row.module_folder / "go.sum").stat().st_size > 0


def test_every_folder_of_pins_is_used() -> None:
    used = {row.module_folder for row in SERVERS if isinstance(row, GoServer | GoDefinitions)}
    assert {path.parent for path in HERE.glob("*/go.mod")} == used
    assert {path.parent for path in HERE.glob("*/package.json")} == {
        row.module_folder for row in SERVERS if isinstance(row, NpmPackages)
    }


def test_packages_of_npm_are_pinned_by_version_and_hash_and_say_no_registry() -> None:
    for row in SERVERS:
        if isinstance(row, NpmPackages):
            wanted, locked = (json.loads((row.module_folder / name).read_text()) for name in row.pins)
            assert all(version[0].isdigit() for version in wanted["dependencies"].values())
            installed = {name: one for name, one in locked["packages"].items() if name}
            assert {f"node_modules/{name}" for name in wanted["dependencies"]} <= installed.keys()
            assert all(one["integrity"].startswith("sha512-") and "resolved" not in one for one in installed.values())


def test_every_module_that_definitions_are_from_is_pinned_by_version_and_hash() -> None:
    for row in SERVERS:
        if isinstance(row, GoDefinitions):
            pinned = (row.module_folder / "go.mod").read_text()
            hashes = (row.module_folder / "go.sum").read_text()
            for crds in row.crds:
                assert f"\t{crds.module} v" in pinned
                assert f"{crds.module} v" in hashes


def test_kubernetes_is_pinned_to_the_version_that_it_will_say() -> None:
    row = server("kube-apiserver")
    assert isinstance(row, GoServer)
    assert f"k8s.io/kubernetes v{KUBERNETES}" in (row.module_folder / "go.mod").read_text()
    assert f"gitVersion=v{KUBERNETES}" in row.ldflags
