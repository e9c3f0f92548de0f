"""The chart, as Helm renders and installs it."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from tests.packaging.installation import ROOT
from tests.packaging.manifests import Json
from tests.servers.locate import require

CHART = ROOT / "deploy" / "chart"
RELEASE = "verdictd"
NAMESPACE = "verdictd"
VARIANTS = tuple(sorted(path.name for path in (CHART / "ci").glob("*.yaml")))
HELM_SECONDS = 120.0


def helm(*words: str | Path, kubeconfig: Path | None = None) -> str:
    """What Helm says; AssertionError with its complaint where it fails."""
    done = asked(*words, kubeconfig=kubeconfig)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def asked(*words: str | Path, kubeconfig: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Helm run to its end where the checkout is, whatever comes of it."""
    return subprocess.run(
        [require("helm"), *map(str, words)],
        cwd=ROOT,
        env=environment(kubeconfig),
        capture_output=True,
        text=True,
        timeout=HELM_SECONDS,
        check=False,
    )


def environment(kubeconfig: Path | None) -> dict[str, str]:
    """No cluster and no repositories but those that a test names."""
    nowhere = str(kubeconfig.parent if kubeconfig else CHART / "nowhere")
    kept = {f"HELM_{one}_HOME": nowhere for one in ("CACHE", "CONFIG", "DATA")}
    return {"PATH": os.environ["PATH"], "HOME": nowhere, "KUBECONFIG": str(kubeconfig or os.devnull), **kept}


def rendered(*words: str | Path) -> list[Json]:
    """Every object that would be installed, hooks and tests too."""
    return list(objects(helm("template", RELEASE, CHART, "--namespace", NAMESPACE, *words)))


def variant(name: str) -> list[Json]:
    """What comes of one of the chart's ci files."""
    return rendered("--values", CHART / "ci" / name)


def commands(beginning: str) -> list[list[str]]:
    """Those of docs/install.md that begin so, in order, in words."""
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(beginning)]


def objects(text: str) -> Iterator[Json]:
    """The documents of a stream; empty ones are none."""
    for document in yaml.safe_load_all(text):
        if document is not None:
            assert isinstance(document, dict)
            yield document


def one(found: list[Json], kind: str, name: str = "verdictd") -> Json:
    """The object of this kind and name."""
    (only,) = (each for each in found if each["kind"] == kind and each["metadata"]["name"] == name)
    return only


def pods(found: list[Json]) -> list[Json]:
    """The pods that would run: the daemon's, the check's and the test's."""
    return [each["spec"]["template"] for each in found if each["kind"] in {"Deployment", "Job"}] + [
        each for each in found if each["kind"] == "Pod"
    ]
