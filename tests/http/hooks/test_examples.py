"""The commands and documents of docs/hooks.md do what the page says; those of others are sent by their own packages."""

import asyncio
import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from standardwebhooks.webhooks import Webhook

from config.settings import Hook
from daemon.http.hooks import template
from daemon.http.hooks.understanding import Received
from daemon.settings import settings_of
from tests.hand.api import RELEASE, serving
from tests.http.hooks.test_hooks import SIGNING, WriteHook, hook, webhook

__all__ = ["hook"]

PAGE = Path(__file__).parents[3] / "docs" / "hooks.md"
SECRET = "of the tools that run the examples"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)


def settings_hooks() -> dict[str, Hook]:
    """Those of the page, as a person would write them."""
    [document] = [yaml.safe_load(block) for block in blocks("yaml") if block.startswith("hooks:")]
    return dict(settings_of(document, source=PAGE.name, environ={}).hooks)


@pytest.mark.parametrize("command", blocks("sh"))
async def test_a_command_of_the_page_is_answered_well(command: str, hook: WriteHook) -> None:
    written = {name: hook(one.sender, SECRET) for name, one in settings_hooks().items()}
    async with serving(hooks=written) as api:
        url = f"http://127.0.0.1:{api.server.address.port}"
        about = {"VERDICTD": url, "CI_SECRET": SECRET, "GITHUB_SECRET": SECRET, "PATH": "/usr/bin:/bin"}
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-euc", command, env=about, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output
        if "OPTIONS" in command:
            assert b"WebHook-Allowed-Origin: *" in output
        else:
            assert json.loads(output)["outcome"] == "taken"
            assert len(api.engine.events) == 1


def test_there_are_commands_on_the_page() -> None:
    assert len(blocks("sh")) == 5


def test_argo_s_template_filled_in_is_a_release() -> None:
    [document] = [yaml.safe_load(block) for block in blocks("yaml") if block.startswith("service.webhook")]
    body = yaml.safe_load(document["template.verdictd"])["webhook"]["verdictd"]["body"]
    annotation = json.dumps(json.dumps(RELEASE))
    filled = re.sub(r"{{toJson .*?}}", lambda _: annotation, body)
    for name, value in (("metadata.uid", "9ab0"), ("status.operationState.startedAt", "2026-11-26T09:00:00Z")):
        filled = filled.replace(f"{{{{.app.{name}}}}}", value)
    assert "{{" not in filled
    understood = template.read(Received(hook="argocd", headers={}, body=filled.encode()))
    assert (understood.release.service, understood.origin) == (
        "shop",
        'event\n["/hooks/argocd","9ab0/2026-11-26T09:00:00Z//web/shop"]',
    )


def foreign_event(event_id: str) -> CloudEvent:
    attributes = {
        "id": event_id,
        "source": "/argo/events",
        "type": "io.verdictd.release.v1",
        "specversion": "1.0",
        "time": datetime(2026, 11, 26, tzinfo=UTC),
        "subject": "wéb/shop",
        "datacontenttype": "application/json",
    }
    return CloudEvent(attributes, RELEASE)


async def test_what_the_sdk_of_cloudevents_sends_is_understood_in_both_modes_and_is_one_event(hook: WriteHook) -> None:
    async with serving(hooks={"ci": hook("cloudevents", SECRET)}) as api:
        outcomes: list[Any] = []
        for message in (to_binary_event(foreign_event("a/7 é")), to_structured_event(foreign_event("a/7 é"))):
            headers = {**message.headers, "Authorization": f"Bearer {SECRET}"}
            outcomes.append(await api.call("POST", "/hooks/ci", data=message.body, headers=headers))
        [(first, taken), (second, known)] = outcomes
    assert (first, taken["outcome"], second, known["outcome"]) == (202, "taken", 200, "known")
    assert taken["release"] == known["release"]


async def test_a_batch_of_what_the_sdk_writes_is_each_of_its_events_as_if_it_came_alone(hook: WriteHook) -> None:
    other = CloudEvent({"id": "1", "source": "/tekton", "type": "dev.tekton.event.taskrun.started.v1"}, {"taskRun": {}})
    as_bytes = CloudEvent({**foreign_event("c").get_attributes(), "traceparent": "00-1"}, json.dumps(RELEASE).encode())
    written = [to_structured_event(one).body for one in (foreign_event("a"), other, foreign_event("b"), as_bytes)]
    assert b"data_base64" in written[3]
    headers = {"Content-Type": "application/cloudevents-batch+json; charset=utf-8", "Authorization": f"Bearer {SECRET}"}
    async with serving(hooks={"ci": hook("cloudevents", SECRET)}) as api:
        single = to_binary_event(foreign_event("b"))
        status, alone = await api.call("POST", "/hooks/ci", data=single.body, headers={**headers, **single.headers})
        assert status == 202
        status, heard = await api.call("POST", "/hooks/ci", data=b"[" + b",".join(written) + b"]", headers=headers)
        assert (status, [one["outcome"] for one in heard]) == (202, ["taken", "passed", "known", "taken"])
        assert heard[2]["release"] == alone["release"]
        kept = [event.release for event in api.engine.events.values()]
        assert (len(kept), api.engine.letters) == (3, [])
        assert kept[0] == kept[1] == kept[2]


@pytest.mark.parametrize("size", [24, 31, 32, 64])
async def test_a_secret_is_what_it_is_to_the_package_of_standard_webhooks_with_its_padding_and_without(
    size: int, hook: WriteHook
) -> None:
    secret = f"whsec_{base64.b64encode(bytes(range(size))).decode()}"
    at = datetime.fromtimestamp(1_800_000_000, UTC)
    body = json.dumps({"status": "success", "verdictd": RELEASE})
    for ours, theirs in ((secret.rstrip("="), secret), (secret, secret.rstrip("="))):
        signature = Webhook(theirs).sign(msg_id="f0f5", timestamp=at, data=body)
        headers = {"webhook-id": "f0f5", "webhook-timestamp": f"{at.timestamp():.0f}", "webhook-signature": signature}
        async with serving(hooks={"gitlab": hook("gitlab", ours)}) as api:
            assert (await api.call("POST", "/hooks/gitlab", data=body.encode(), headers=headers))[0] == 202


async def test_what_the_package_of_standard_webhooks_signs_is_right_and_what_we_sign_it_takes(hook: WriteHook) -> None:
    body = json.dumps({"status": "success", "verdictd": RELEASE})
    now = datetime.now(UTC)
    assert Webhook(SIGNING).verify(body, webhook(body.encode(), at=now.timestamp())) == json.loads(body)
    async with serving(hooks={"gitlab": hook("gitlab", SIGNING)}) as api:
        at = datetime.fromtimestamp(1_800_000_000, UTC)
        signature = Webhook(SIGNING).sign(msg_id="f0f5", timestamp=at, data=body)
        headers = {"webhook-id": "f0f5", "webhook-timestamp": f"{at.timestamp():.0f}", "webhook-signature": signature}
        assert (await api.call("POST", "/hooks/gitlab", data=body.encode(), headers=headers))[0] == 202
        assert (await api.call("POST", "/hooks/gitlab", data=body.encode() + b" ", headers=headers))[0] == 401
