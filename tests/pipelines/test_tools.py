"""GitHub's and GitLab's jobs run by programs that run them on this machine, against a daemon on a real broker.

Each is skipped with the reason where it is not there: ``python -m tests.servers build act actionlint`` builds act and actionlint,
the other one is had by ``npm install -g gitlab-ci-local@4.61.1`` (and Debian's rsync).
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.hand.broker import Broker, nats_server
from tests.live.test_hooks import daemon
from tests.pipelines.examples import FOLDER, documents
from tests.servers import locate
from tests.servers.run import free_ports

__all__ = ["nats_server"]

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

WORDS = {"promote": 0, "rollback": 4, "cancel": 2}
"""What a person says, and the code: this daemon's routes are not there to be taken back, so that the canary keeps its traffic."""
STATUSES = {"promote": "PASS", "rollback": "FAIL", "cancel": "WARN"}
RELEASE = {"service": "web", "namespace": "shop", "baseline": {"service": "web-primary"}, "canary": {"service": "web-canary"}}
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def repository(folder: Path) -> Path:
    """A repository that has what the examples say is in it."""
    folder.mkdir()
    (folder / "deploy").mkdir()
    (folder / "deploy" / "release.json").write_text(json.dumps(RELEASE))
    for name in ("deploy-canary.sh", "promote.sh"):
        (folder / name).write_text(f"#!/bin/sh\necho {name} was run\n")
        (folder / name).chmod(0o755)
    for words in (["init", "-q", "-b", "main"], ["remote", "add", "origin", "https://example.com/shop/web.git"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, "commit", "-qm", "first"], cwd=folder, check=True)
    return folder


async def ended(url: str, word: str) -> None:
    """Say a person's word of the first release as soon as there is one."""
    async with aiohttp.ClientSession(url) as client, asyncio.timeout(120):
        found: list[Any] = []
        while not found:
            await asyncio.sleep(0.1)
            async with client.get("/v1/releases") as response:
                found = (await response.json())["releases"]
        async with client.post(f"/v1/releases/{found[0]['id']}/{word}", json={}) as response:
            assert response.status == 202


async def output_of(argv: list[str], folder: Path, **environ: str) -> tuple[int, str]:
    """The code and all that is printed."""
    about = {"PATH": PATH, "HOME": str(folder.parent), "XDG_CACHE_HOME": str(folder.parent / "cache"), **environ}
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        env=about,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(200):
        out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


def test_the_workflow_has_nothing_that_its_linter_finds() -> None:
    lint = locate.require("actionlint")
    done = subprocess.run([lint, FOLDER / "github-actions.yaml"], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("word", WORDS)
async def test_act_runs_github_s_workflow_to_the_end_that_the_verdict_says(word: str, nats_server: Broker, tmp_path: Path) -> None:
    act = locate.require("act")
    [workflow] = documents("github-actions.yaml")
    workflow["on"] = workflow.pop(True)  # as PyYAML reads it
    folder = repository(tmp_path / "repository")
    # actions/checkout is not to be had here: what it would fetch is copied.
    steps = workflow["jobs"]["canary"]["steps"]
    workflow["jobs"]["canary"]["steps"] = [{"run": f"cp -R '{folder}/.' ."} if "uses" in step else step for step in steps]
    (folder / "workflow.yaml").write_text(yaml.safe_dump(workflow))
    [port] = free_ports(1)
    async with daemon(nats_server, tmp_path, port) as api, asyncio.TaskGroup() as group:
        saying = group.create_task(ended(api.url, word))
        argv = [str(act), "push", "-W", "workflow.yaml", "-P", "self-hosted=-self-hosted", "--env", f"PATH={PATH}"]
        code, out = await output_of([*argv, "--var", f"VERDICTD_SERVER={api.url}"], folder)
        saying.cancel()  # where it came to no release
    assert (code == 0) == (word == "promote"), out
    assert ("promote.sh was run" in out) == (word == "promote"), out
    assert ("ask a person, or verdictd promote web-" in out) == (word == "cancel"), out
    assert (f"exit status {WORDS[word]}" in out) or word == "promote"


@pytest.mark.parametrize("word", WORDS)
async def test_gitlab_ci_local_runs_gitlab_s_pipeline_to_the_end_that_the_verdict_says(
    word: str, nats_server: Broker, tmp_path: Path
) -> None:
    """The job is green, red, or yellow. The next one looks at the verdict by itself: this program goes on after a red job that
    could have been yellow.
    """
    program = shutil.which("gitlab-ci-local")
    if program is None or shutil.which("rsync") is None:
        pytest.skip("gitlab-ci-local (npm install -g gitlab-ci-local@4.61.1) or rsync is not installed")
    folder = repository(tmp_path / "repository")
    shutil.copy(FOLDER / "gitlab-ci.yaml", folder / ".gitlab-ci.yml")
    [port] = free_ports(1)
    async with daemon(nats_server, tmp_path, port) as api, asyncio.TaskGroup() as group:
        saying = group.create_task(ended(api.url, word))
        argv = [program, "--force-shell-executor", "--variable", f"VERDICTD_SERVER={api.url}"]
        code, out = await output_of(argv, folder)
        saying.cancel()
    assert code == 0, out  # the job's own status tells
    assert f" {STATUSES[word]}  canary " in out, out
    assert ("promote.sh was run" in out) == (word == "promote"), out
    assert ("ask a person about web-" in out) == (word != "promote"), out
