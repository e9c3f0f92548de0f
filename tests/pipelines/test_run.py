"""The scripts of the examples, run in a shell as their tool runs them: what they exit with, and what they leave behind.

The tools themselves, where they are installed, are in ``test_tools``.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from daemon.model import Outcome
from tests.hand.api import serving
from tests.pipelines.examples import FOLDER, Decided, documents, jenkins_commands, scripts

pytestmark = pytest.mark.timeout(120)
ENDS = [(Outcome.PROMOTE, 0), (Outcome.ROLLBACK, 1), (Outcome.INCONCLUSIVE, 2)]


async def run(script: str, *, outcome: Outcome, folder: Path, **environ: str) -> int:
    """The code that a script ends with, in a folder that has what the examples say is in the repository."""
    shutil.copytree(FOLDER, folder / "deploy", dirs_exist_ok=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    async with serving(Decided(outcome=outcome)) as api:
        about = {"PATH": path, "VERDICTD_SERVER": api.server.address.url, "HOME": str(folder), **environ}
        process = await asyncio.create_subprocess_exec("/bin/sh", "-euc", script, cwd=folder, env=about)
        async with asyncio.timeout(60):
            return await process.wait()


def one(name: str, word: str) -> str:
    """The script of an example in which the word stands."""
    [found] = [script for script in scripts(documents(name)) if word in script]
    return found


@pytest.mark.parametrize(("outcome", "code"), ENDS)
async def test_github_s_step(outcome: Outcome, code: int, tmp_path: Path) -> None:
    step = one("github-actions.yaml", "submit")
    files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    about = {**files, "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1"}
    assert await run(step, outcome=outcome, folder=tmp_path, **about) == code
    assert f"\n{outcome}\n" in (tmp_path / "GITHUB_OUTPUT").read_text()
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text().startswith(f"### verdictd: {outcome}")


@pytest.mark.parametrize(("outcome", "code"), ENDS)
async def test_gitlab_s_job_and_what_the_job_after_it_is_given(outcome: Outcome, code: int, tmp_path: Path) -> None:
    assert await run(one("gitlab-ci.yaml", "submit"), outcome=outcome, folder=tmp_path, CI_JOB_ID="7") == code
    given = dict(line.split("=", 1) for line in (tmp_path / "verdictd.env").read_text().splitlines())
    assert given["VERDICTD_OUTCOME"] == outcome
    after = one("gitlab-ci.yaml", "VERDICTD_MEANING")
    assert await run(f"{after}\necho goes on > promoted", outcome=outcome, folder=tmp_path, **given) == 0
    assert (tmp_path / "promoted").exists() == (outcome is Outcome.PROMOTE)


@pytest.mark.parametrize(("outcome", "code"), ENDS)
async def test_jenkins_commands_with_the_thin_client(outcome: Outcome, code: int, tmp_path: Path) -> None:
    script = "\n".join(line for line in jenkins_commands() if "verdictd.py" in line)
    assert await run(script, outcome=outcome, folder=tmp_path, BUILD_TAG="jenkins-web-7") == code


@pytest.mark.parametrize(("outcome", "code"), ENDS)
async def test_tekton_s_step_and_its_result(outcome: Outcome, code: int, tmp_path: Path) -> None:
    result = tmp_path / "code"
    about = {"RELEASE": (FOLDER / "release.json").read_text(), "KEY": "5f0e", "TIMEOUT": "20m", "RESULT": str(result)}
    # Tekton puts the script into a file and runs that, so that its first line says by what.
    script = tmp_path / "script"
    script.write_text(one("tekton-task.yaml", "submit"))
    script.chmod(0o755)
    assert await run(str(script), outcome=outcome, folder=tmp_path, **about) == code
    assert result.read_text() == str(code)
