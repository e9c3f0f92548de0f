"""GitHub's example payloads as others have collected them, signed and sent by others' code: ``@octokit/webhooks-examples`` and
``@octokit/webhooks-methods``, by Node.js.
"""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from config.settings import MappingRow
from daemon.events.hearing import Hearing
from daemon.model import ArmSpec, GitHubDeployment, Outline, Release
from tests.hand.api import RELEASE, Api, serving
from tests.http.hooks.test_hooks import SECRET, WriteHook, hook
from tests.servers import locate, node
from tests.servers.catalog import HERE

__all__ = ["hook"]

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

DEPLOYMENTS = {
    "api.github.com": ("f95f852bd8fca8fcc58a9a2d6c842781e32a215e", 145988746),
    "ghes-31": ("78a96099c3f442d7f6e8d1a7d07090091993e65a", 2),
    "ghes-35": ("78a96099c3f442d7f6e8d1a7d07090091993e65a", 2),
}
"""The commit and the id of each form's deployment: GitHub's own, and those of the oldest and newest server on premises."""
FINDING = Hearing(cluster="prod", finds_arms=True, mapping=(MappingRow(environment="production", namespace="shop"),))
REPOSITORY = "Codertocat/Hello-World"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An example, and how it was answered."""

    name: str
    environment: str | None
    status: int
    answer: dict[str, Any]

    @property
    def is_deployment(self) -> bool:
        return self.name in {"deployment", "deployment_status"}


async def delivered(api: Api, form: str, *, secret: str = SECRET, payload: Any = None) -> list[Delivery]:
    """All examples of one of GitHub's forms, sent by Node.js."""
    words = [f"http://127.0.0.1:{api.server.address.port}/hooks/github", secret, form]
    argv = node.argv(HERE / "octokit" / "deliver.mjs", *words, *([] if payload is None else [json.dumps(payload)]))
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=locate.require("octokit"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return [Delivery(**json.loads(line)) for line in output.splitlines()]


@pytest.mark.parametrize("form", DEPLOYMENTS)
async def test_every_example_is_answered_well_and_its_deployments_to_us_are_one_release(form: str, hook: WriteHook) -> None:
    async with serving(hooks={"github": hook("github", SECRET)}, hearing=FINDING) as api:
        deliveries = await delivered(api, form)
        [kept] = api.engine.events.values()
        assert api.engine.letters == []
    assert {"ping", "push", "check_run", "deployment", "deployment_status"} < {one.name for one in deliveries}
    ours = [one for one in deliveries if one.is_deployment and one.environment == "production"]
    assert Counter((one.status, one.answer["outcome"]) for one in ours) == {(202, "taken"): 1, (200, "known"): len(ours) - 1}
    others = [one for one in deliveries if one not in ours]
    assert {(one.status, one.answer["outcome"]) for one in others} == {(200, "passed")}
    assert all("; " in one.answer["reason"] for one in others)
    commit, number = DEPLOYMENTS[form]
    told = GitHubDeployment(repository=REPOSITORY, deployment=number)
    assert kept.release == Outline(
        service="Hello-World", namespace="shop", cluster="prod", revision=commit, initiated_by="Codertocat", github=told
    )


async def test_what_a_deployment_s_maker_put_into_its_payload_is_the_release(hook: WriteHook) -> None:
    async with serving(hooks={"github": hook("github", SECRET)}) as api:
        deliveries = await delivered(api, "api.github.com", payload={"verdictd": RELEASE})
        [kept] = api.engine.events.values()
    commit, number = DEPLOYMENTS["api.github.com"]
    told = GitHubDeployment(repository=REPOSITORY, deployment=number)
    assert kept.release == Release(
        service="shop",
        namespace="web",
        baseline=ArmSpec(subset="v1"),
        canary=ArmSpec(subset="v2"),
        weight=10,
        artifact=commit,
        revision=commit,
        initiated_by="Codertocat",
        github=told,
    )
    [release_id] = {one.answer.get("release") for one in deliveries if one.is_deployment}
    assert str(release_id).startswith("shop-")


async def test_what_is_signed_with_another_secret_is_refused_whatever_it_is(hook: WriteHook) -> None:
    async with serving(hooks={"github": hook("github", SECRET)}) as api:
        deliveries = await delivered(api, "ghes-35", secret="of somebody else")
        assert (api.engine.events, api.engine.letters) == ({}, [])
    assert {one.status for one in deliveries} == {401}
