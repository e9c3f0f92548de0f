"""What `make audit` asks about: every lock that an image is made of, and strictly."""

import re
import subprocess
from pathlib import Path

import pytest

AUDIT = Path("requirements/audit")
STAND_IN = """#!/bin/sh
echo "$*" >> "$(dirname "$0")/asked"
case "$*" in *{fails}*) exit 1;; esac
"""


def audit(venv: Path, *, fails: str = "nothing") -> tuple[int, list[str]]:
    """How it ends, and what pip-audit is asked: one that stands in for it, since the real one asks an address outside."""
    program = venv / "audit" / "bin" / "pip-audit"
    program.parent.mkdir(parents=True)
    program.write_text(STAND_IN.format(fails=fails))
    program.chmod(0o755)
    code = subprocess.run([AUDIT, venv, "--vulnerability-service", "osv"], check=False, timeout=60).returncode
    return code, (program.parent / "asked").read_text().splitlines()


def test_every_lock_of_an_image_is_asked_about_and_a_package_that_is_not_known_is_a_failure(tmp_path: Path) -> None:
    # What the image is built with is not in it.
    locks = set(re.findall(r"requirements/(\w+)\.lock", Path("Dockerfile").read_text())) - {"build"}
    code, asked = audit(tmp_path)
    assert code == 0
    assert locks == {found for line in asked for found in re.findall(r"--requirement requirements/(\w+)\.lock", line)}
    for line in asked:
        assert {"--strict", "--require-hashes", "--disable-pip"} <= set(line.split())
        assert line.endswith("--vulnerability-service osv")


@pytest.mark.parametrize("lock", ["runtime", "embedded"])
def test_what_is_known_against_one_of_them_fails_it(tmp_path: Path, lock: str) -> None:
    assert audit(tmp_path, fails=f"{lock}.lock")[0] != 0
