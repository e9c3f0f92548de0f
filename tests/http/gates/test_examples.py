"""The commands and templates of docs/gates.md do what the page says, against the server that they are for."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from yarl import URL

from config.settings import Gates
from daemon.http.gates.flagger import YES
from daemon.model import Outcome
from daemon.settings import settings_of
from tests.hand.api import Api, Engine, serving, verdict
from tests.http.gates.test_gates import WriteGate, gate

__all__ = ["gate"]

PAGE = Path(__file__).parents[3] / "docs" / "gates.md"
SECRET = "Letters0fTheExamples"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)


def documents() -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in blocks("yaml")]


def of_kind(kind: str) -> dict[str, Any]:
    [document] = [one for one in documents() if one.get("kind") == kind]
    return document


def filled(text: str, **values: str) -> str:
    """A template's text with the values of its names in double braces."""
    for name, value in values.items():
        text = re.sub(rf"{{{{ ?(?:args\.)?{name} ?}}}}", value, text)
    assert "{{" not in text
    return text


def here(api: Api, address: str) -> URL:
    """An address of the page, with the secret in it where one stands there, at this server."""
    url = URL(address.replace("SECRET", SECRET))
    return url.with_host("127.0.0.1").with_port(api.server.address.port)


async def end_first(engine: Engine, outcome: Outcome) -> None:
    """Decide the first release as soon as it is waited for."""
    await engine.waited_for.wait()
    [(release_id, _)] = engine.submitted
    engine.ends[release_id] = verdict(release_id, outcome)
    engine.changed.set()


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("command", blocks("sh"))
async def test_a_command_of_the_page_ends_as_the_verdict_is(command: str, outcome: Outcome, gate: WriteGate) -> None:
    async with serving(gates=Gates(http=gate(SECRET))) as api, asyncio.TaskGroup() as group:
        deciding = group.create_task(end_first(api.engine, outcome))
        about = {"VERDICTD": f"http://127.0.0.1:{api.server.address.port}", "GATE_SECRET": SECRET, "PATH": "/usr/bin:/bin"}
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-euc", command, env=about, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        deciding.cancel()  # where it was never waited for
    assert f'"outcome":"{outcome}"' in output.decode()
    assert (process.returncode == 0) == (outcome is Outcome.PROMOTE)


def test_the_settings_of_the_page_are_settings_and_there_are_commands_on_it() -> None:
    [document] = [one for one in documents() if "gates" in one]
    settings = settings_of(document, source=PAGE.name, environ={})
    assert len(settings.gates.flagger.secret_files) == 2
    assert len(blocks("sh")) == 2


async def test_argo_s_template_filled_in_is_answered_and_its_conditions_tell_every_word_apart(gate: WriteGate) -> None:
    [metric] = of_kind("AnalysisTemplate")["spec"]["metrics"]
    web = metric["provider"]["web"]
    body = yaml.safe_load(filled(yaml.safe_dump(web["jsonBody"]), service="web", namespace="shop", canary="7c9d5f"))
    headers = {one["key"]: filled(one["value"], secret=SECRET) for one in web["headers"]}
    async with serving(gates=Gates(argo=gate(SECRET))) as api:
        async with api.client.request(web["method"], here(api, web["url"]), json=body, headers=headers) as response:
            assert (response.status, (await response.json())["verdict"]) == (200, "pending")
        [(_, release)] = api.engine.submitted
    assert (release.service, release.namespace, release.canary.subset) == ("web", "shop", "canary")
    success, failure = (set(re.findall(r'result\.verdict == "(\w+)"', metric[f"{end}Condition"])) for end in ("success", "failure"))
    assert (success, failure) == ({"promote", "pending"}, {"rollback"})


async def test_flagger_s_webhooks_have_the_secret_in_their_address_and_the_answer_of_their_type(gate: WriteGate) -> None:
    [canary] = [one for one in documents() if "analysis" in one]
    async with serving(gates=Gates(flagger=gate(SECRET))) as api:
        for webhook in canary["analysis"]["webhooks"]:
            assert webhook["url"].endswith(f"/gates/flagger/{webhook['type']}")
            payload = {"name": "web", "namespace": "shop", "phase": "Progressing", "checksum": "85d5"}
            payload |= {"metadata": webhook["metadata"]} if "metadata" in webhook else {}
            async with api.client.post(here(api, webhook["url"]), json=payload) as response:
                assert (response.status == 200) == (webhook["type"] in {"confirm-rollout", "confirm-traffic-increase"})
                assert response.status in {200, 403}
        assert len(api.engine.releases) == 1
    assert {one["type"] for one in canary["analysis"]["webhooks"]} == {*YES} - {"rollout"}


async def test_flagger_s_metric_template_filled_in_has_its_sample(gate: WriteGate) -> None:
    spec = of_kind("MetricTemplate")["spec"]
    query = filled(spec["query"], namespace="shop", target="web", interval="15s")
    async with serving(gates=Gates(prometheus=gate(SECRET))) as api:
        url = here(api, spec["provider"]["address"]) / "api/v1/query"
        for asked in ("vector(1)", query):
            async with api.client.get(url.with_query(query=asked), headers={"Authorization": f"Bearer {SECRET}"}) as response:
                [series] = (await response.json())["data"]["result"]
                assert (response.status, series["value"][1]) == (200, "1")


async def test_argo_s_kayenta_provider_goes_its_way_from_config_to_score(gate: WriteGate) -> None:
    """Each question as the provider makes it of its settings."""
    [metric] = [one for one in documents() if "provider" in one]
    settings = metric["provider"]["kayenta"]
    accounts = {f"{name}AccountName": settings[f"{name}AccountName"] for name in ("metrics", "configuration", "storage")}
    scopes = yaml.safe_load(filled(yaml.safe_dump(settings["scopes"]), canary="7c9d5f"))
    assert metric["interval"], "it is asked for where the scopes say no time"
    body = {"scopes": {one.pop("name"): one for one in scopes}, "thresholds": settings["threshold"]}
    about = {"application": settings["application"]}
    async with serving(gates=Gates(kayenta=gate(SECRET))) as api:
        address = here(api, settings["address"])
        async with api.client.get((address / "canaryConfig").with_query(about)) as response:
            [config] = [one["id"] for one in await response.json() if one["name"] == settings["canaryConfigName"]]
        async with api.client.post((address / "canary" / config).with_query({**about, **accounts}), json=body) as response:
            assert response.status == 200, await response.text()
            execution = (await response.json())["canaryExecutionId"]
        [(release_id, release)] = api.engine.submitted
        api.engine.ends[release_id] = verdict(release_id)
        async with api.client.get(address / "canary" / execution) as response:
            told = await response.json()
    assert (told["complete"], told["result"]["judgeResult"]["score"]["score"]) == (True, 0)
    assert (release.service, release.namespace, release.baseline.subset, release.canary.subset) == (
        "web",
        "shop",
        "stable",
        "canary",
    )
