"""A cache of the test's own, and a Go toolchain that builds in no time and fails when it is told to."""

import dataclasses
import os
import sys
from pathlib import Path

import pytest

FAKE_GO = """\
import json, os, pathlib, sys
here, words = pathlib.Path(__file__).parent, sys.argv[1:]
with (here / "asked").open("a") as log:
    print(json.dumps(words), file=log)
for refusal in (here / "refusals").read_text().splitlines():
    if refusal in " ".join(words):
        sys.exit(f"refused: {refusal}")
match words:
    case ["env", "GOVERSION"]:
        print((here / "version").read_text())
    case ["build", *flags]:
        output = pathlib.Path(flags[flags.index("-o") + 1])
        output.write_text("a server")
        output.chmod(0o755)
    case ["mod", "download", "-json", module]:
        print(json.dumps({"Dir": str(here / "modules" / module)}))
    case ["list", "-deps", package]:
        print(package)
"""


@dataclasses.dataclass(frozen=True, slots=True)
class FakeGo:
    folder: Path

    def says_version(self, version: str) -> None:
        (self.folder / "version").write_text(version)

    def refuses(self, words: str) -> None:
        """Every command that has these words in it fails from now on."""
        with (self.folder / "refusals").open("a") as file:
            print(words, file=file)

    def asked(self) -> str:
        """All commands so far, a line each."""
        log = self.folder / "asked"
        return log.read_text() if log.exists() else ""

    def add_module(self, module: str, files: dict[str, str]) -> None:
        """Something for `go mod download` to find."""
        for name, text in files.items():
            path = self.folder / "modules" / module / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


@pytest.fixture
def cache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "cache"
    monkeypatch.setenv("VERDICTD_SERVERS", str(root))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return root


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_root: Path) -> FakeGo:
    """The only `go` on PATH; new enough for anything, and knows the modules that definitions are kept from."""
    folder = tmp_path / "fake-go"
    folder.mkdir()
    (folder / "fake.py").write_text(FAKE_GO)
    (folder / "refusals").touch()
    command = folder / "go"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{folder}/fake.py" "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.defpath}")
    fake = FakeGo(folder)
    fake.says_version("go1.99.0")
    fake.add_module("istio.io/api", {"kubernetes/customresourcedefinitions.gen.yaml": "kind: VirtualService"})
    crd = "config/crd/standard"
    fake.add_module(
        "sigs.k8s.io/gateway-api", {f"{crd}/b.yaml": "kind: B", f"{crd}/a.yaml": "kind: A", f"{crd}/kustomization.yaml": "no"}
    )
    chart = "charts/linkerd-crds/templates"
    templates = {f"{chart}/policy/httproute.yaml": "kind: Route\n  {{ .Release }}\n", f"{chart}/serviceprofile.yaml": "kind: P"}
    fake.add_module("github.com/linkerd/linkerd2", templates)
    fake.add_module("github.com/openservicemesh/osm", {"cmd/osm-bootstrap/crds/smi_traffic_split.yaml": "kind: Split"})
    fake.add_module("github.com/argoproj/argo-rollouts", {"test/e2e/crds/split.yaml": "kind: Split"})
    return fake
