"""What is in the images, as a list that scanners read: `make sbom`."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from daemon import __version__
from tests.packaging.installation import LOCKS, ROOT

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the lists."""
    folder = tmp_path_factory.mktemp("sbom")
    words = [str(LOCKS / "sbom"), sysconfig.get_path("scripts"), str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.mark.parametrize(("lock", "name"), [("runtime.lock", "verdictd"), ("embedded.lock", "verdictd-embedded")])
def test_every_package_that_an_image_is_built_from_is_listed_in_its_version_with_its_hashes(
    written: Path, lock: str, name: str
) -> None:
    listed = json.loads((written / f"{name}.cdx.json").read_text(encoding="utf-8"))
    assert (listed["bomFormat"], listed["specVersion"]) == ("CycloneDX", "1.6")
    own = listed["metadata"]["component"]
    assert (own["name"], own["version"], own["licenses"][0]["license"]["id"]) == ("verdictd", __version__, "Apache-2.0")
    text = (LOCKS / lock).read_text(encoding="utf-8")
    pins = {f"pkg:pypi/{package}@{version}" for package, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE)}
    assert {one["purl"] for one in listed["components"]} == pins
    hashes = {sum_["content"] for one in listed["components"] for sum_ in one["externalReferences"][0]["hashes"]}
    assert hashes == set(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
