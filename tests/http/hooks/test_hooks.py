"""The hooks over HTTP: who may send, what is kept before the answer, what is passed, what is refused with place and mend."""

import asyncio
import base64
import hmac
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from config.settings import Hook, Http
from daemon.errors import Unavailable
from daemon.events.announcing import read_release
from daemon.http import secrets
from daemon.http.bounds import Bound
from daemon.http.hooks.configured import AT_A_TIME, read_secrets
from daemon.http.secrets import Secrets
from tests.hand.api import NOW, RELEASE, TOKEN, Api, Engine, serving

SECRET = "It's a Secret to Everybody"
OLD = "the secret before that one"
SIGNING = "whsec_" + base64.b64encode(bytes(range(32))).decode()
EVENT = {"specversion": "1.0", "id": "7", "source": "/ci", "type": "io.verdictd.release.v1", "data": RELEASE}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
BEARER = {"Authorization": f"Bearer {SECRET}"}

WriteHook = Callable[..., Hook]


@pytest.fixture
def hook(tmp_path: Path) -> WriteHook:
    """Makes a hook whose secrets are in files."""

    def write(sender: Any, *values: str) -> Hook:
        files = []
        for number, value in enumerate(values):
            file = tmp_path / f"{sender}-{number}"
            file.write_text(f"{value}\n")
            files.append(str(file))
        return Hook(sender=sender, secret_files=files)

    return write


async def send(api: Api, name: str, document: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return await api.call("POST", f"/hooks/{name}", data=body, headers={"Content-Type": "application/json"} | (headers or {}))


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}"}


def github_body(number: int = 7, **ours: Any) -> bytes:
    deployment = {"id": number, "sha": "f95f852b", "payload": {"verdictd": {**RELEASE, **ours}}}
    return json.dumps({"deployment": deployment, "repository": {"html_url": "https://github.com/octo/web"}}).encode()


async def test_an_event_is_kept_before_it_is_answered_and_is_one_event_however_often_and_in_whichever_mode_it_comes(
    hook: WriteHook,
) -> None:
    binary = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/ci", "ce-type": "io.verdictd.release.v1"}
    async with serving(hooks={"ci": hook("cloudevents", SECRET)}) as api:
        status, answer = await send(api, "ci", EVENT, {**STRUCTURED, **BEARER})
        assert (status, answer["outcome"]) == (202, "taken")
        [kept] = api.engine.events.values()
        assert read_release(kept.headers, kept.body).release == kept.release
        assert (kept.release.service, kept.release.namespace) == ("shop", "web")
        for headers, document in ((STRUCTURED, EVENT), (binary, RELEASE)):
            again = await send(api, "ci", document, {**headers, **BEARER})
            assert again == (200, {"outcome": "known", "release": answer["release"]})
        assert len(api.engine.events) == 1
        assert api.engine.submitted == []


async def test_where_the_release_is_found_is_told_in_the_answer(hook: WriteHook) -> None:
    async with serving(hooks={"ci": hook("cloudevents", SECRET)}) as api:
        async with api.client.post("/hooks/ci", json=EVENT, headers={**STRUCTURED, **BEARER}) as response:
            answer = await response.json()
        assert response.headers["Location"] == f"/v1/releases/{answer['release']}"


async def test_a_bare_release_is_known_again_by_its_key_and_body_and_is_another_without(hook: WriteHook) -> None:
    async with serving(hooks={"ci": hook("cloudevents", SECRET)}) as api:
        for key, document, status in (
            ({"Idempotency-Key": "build-7"}, RELEASE, 202),
            ({"Idempotency-Key": "build-7"}, RELEASE, 200),
            ({"Idempotency-Key": "build-7"}, {**RELEASE, "weight": 20}, 202),
            ({}, RELEASE, 202),
            ({}, RELEASE, 202),
            ({"Idempotency-Key": "x" * 256}, RELEASE, 400),
        ):
            assert (await send(api, "ci", document, {**BEARER, **key}))[0] == status


@pytest.mark.parametrize(
    "document",
    [
        {**EVENT, "type": "dev.tekton.event.pipelinerun.successful.v1", "data": {"pipelineRun": {}}},
        {
            "context": {"version": "0.4.1", "id": "1", "source": "/e", "type": "dev.cdevents.service.deployed.0.2.0"},
            "subject": {
                "id": "mySubject",
                "type": "service",
                "content": {"environment": {"id": "prod"}, "artifactId": "pkg:oci/a"},
            },
        },
    ],
)
async def test_what_is_right_and_not_ours_is_answered_well_with_the_reason_and_is_no_dead_letter(
    hook: WriteHook, document: dict[str, Any]
) -> None:
    async with serving(hooks={"ci": hook("cloudevents", SECRET)}) as api:
        status, answer = await send(api, "ci", document, BEARER)
        assert (status, answer["outcome"]) == (200, "passed")
        assert answer["reason"].count("; ") == 1
        assert (api.engine.events, api.engine.letters) == ({}, [])


async def test_what_cannot_be_used_is_refused_with_every_place_and_kept_without_what_was_shown(hook: WriteHook) -> None:
    wrong = {**EVENT, "data": {**RELEASE, "weight": "10%", "canary": {}}}
    async with serving(hooks={"ci": hook("cloudevents", SECRET)}) as api:
        status, problem = await send(api, "ci", wrong, {**STRUCTURED, **BEARER, "X-Trace": "1"})
        assert status == 400
        assert [fault["path"] for fault in problem["errors"]] == ["$.data.weight", "$.data.canary"]
        assert all(fault["fix"] for fault in problem["errors"])
        assert (await send(api, "ci", b"\xff{", BEARER))[0] == 400
        [letter, garbage] = api.engine.letters
    assert (letter.body, letter.sent_to) == (json.dumps(wrong).encode(), "POST /hooks/ci")
    assert "$.data.weight" in letter.reason
    assert letter.headers["x-trace"] == "1"
    assert SECRET not in str(letter.headers)
    assert garbage.key != letter.key


async def test_one_bad_event_of_a_batch_loses_none_of_the_others(hook: WriteHook) -> None:
    batch = [EVENT, {**EVENT, "id": ""}, {**EVENT, "id": "8"}, {**EVENT, "id": "9", "type": "theirs"}]
    async with serving(hooks={"ci": hook("cloudevents", SECRET)}) as api:
        status, heard = await send(api, "ci", batch, {**BATCH, **BEARER})
        assert (status, [one["outcome"] for one in heard]) == (202, ["taken", "refused", "taken", "passed"])
        assert "$.id" in heard[1]["reason"]
        assert (len(api.engine.events), len(api.engine.letters)) == (2, 1)
        status, heard = await send(api, "ci", batch, {**BATCH, **BEARER})
        assert (status, [one["outcome"] for one in heard]) == (200, ["known", "refused", "known", "passed"])
        assert (await send(api, "ci", batch[1:2], {**BATCH, **BEARER}))[0] == 400
        assert await send(api, "ci", [], {**BATCH, **BEARER}) == (200, [])
        assert (await send(api, "ci", EVENT, {**BATCH, **BEARER}))[1]["path"] == "$"
        assert (await send(api, "ci", [EVENT] * 101, {**BATCH, **BEARER}))[1]["fix"] == "send at most 100 at a time"


async def test_the_handshake_of_cloudevents_is_answered_to_those_who_may_ask(hook: WriteHook) -> None:
    async with serving(hooks={"ci": hook("cloudevents", SECRET), "gh": hook("github", SECRET)}) as api:
        asked = {"WebHook-Request-Origin": "events.example.com", "WebHook-Request-Rate": "120"}
        async with api.client.options("/hooks/ci", headers=asked) as response:
            assert response.status == 204
            said = (response.headers["WebHook-Allowed-Origin"], int(response.headers["WebHook-Allowed-Rate"]))
            assert (said, response.headers["Allow"]) == (("*", 10_000), "POST, OPTIONS")
        assert (await api.call("OPTIONS", "/hooks/ci"))[0] == 400
        assert (await api.call("OPTIONS", "/hooks/gh", headers=asked))[0] == 405
        assert (await api.call("OPTIONS", "/hooks/nobody", headers=asked))[0] == 404


async def test_a_hook_takes_its_own_secret_and_not_the_daemon_s_token(hook: WriteHook, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    http = Http(listen="127.0.0.1:0", token_file=str(tmp_path / "token"))
    hooks = {"ci": hook("cloudevents", SECRET), "own": Hook(sender="cloudevents")}
    async with serving(http=http, hooks=hooks) as api:
        for name, shown, status in (
            ("ci", SECRET, 202),
            ("ci", TOKEN, 401),
            ("own", TOKEN, 200),
            ("own", SECRET, 401),
            ("nobody", SECRET, 401),
            ("nobody", TOKEN, 404),
        ):
            assert (await send(api, name, EVENT, {"Authorization": f"bearer {shown}"}))[0] == status
        for wrong in ({}, {"Authorization": f"Basic  {SECRET}"}, {"Authorization": SECRET}, {"Authorization": "Bearer "}):
            assert (await send(api, "ci", EVENT, wrong))[0] == 401
        assert (await api.call("POST", "/v1/releases", json=RELEASE, headers=BEARER))[0] == 401


async def test_github_s_documented_example_of_a_signature_is_right() -> None:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation"""
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signed(b"Hello, World!")["X-Hub-Signature-256"] == f"sha256={digest}"


async def test_only_what_github_has_signed_with_one_of_the_secrets_is_read(hook: WriteHook) -> None:
    event = {"X-GitHub-Event": "deployment", "X-GitHub-Delivery": "72d3162e"}
    body = github_body()
    async with serving(hooks={"gh": hook("github", OLD, SECRET)}) as api:
        for headers, status in (
            ({}, 401),
            (signed(body, "another secret of somebody"), 401),
            (signed(body + b" "), 401),
            ({"X-Hub-Signature-256": signed(body)["X-Hub-Signature-256"].removeprefix("sha256=")}, 401),
            (BEARER, 401),
            (signed(body), 202),
            (signed(body, OLD), 200),
        ):
            assert (await send(api, "gh", body, {**event, **headers}))[0] == status
        # Signed wrongly, what it holds is not even looked at.
        assert (await send(api, "gh", b"{", {**event, **signed(b"}")}))[0] == 401
        assert api.engine.letters == []
        form = {**event, **signed(b"payload=%7B%7D"), "Content-Type": "application/x-www-form-urlencoded"}
        status, problem = await send(api, "gh", b"payload=%7B%7D", form)
        assert (status, "choose application/json" in problem["detail"]) == (415, True)
        assert (await send(api, "gh", body, {**event, **signed(body), "Content-Encoding": "gzip"}))[0] == 415
        large = b" " * 2_000_000
        assert (await api.call("POST", "/hooks/gh", data=io.BytesIO(large), headers={**event, **signed(large)}))[0] == 413
        ping = b'{"zen":"Design for failure.","hook_id":1}'
        assert (await send(api, "gh", ping, {"X-GitHub-Event": "ping", **signed(ping)}))[1]["outcome"] == "passed"


def webhook(body: bytes, *, at: float = NOW, secret: str = SIGNING, event_id: str = "f0f5") -> dict[str, str]:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = base64.b64encode(hmac.digest(key, f"{event_id}.{at:.0f}.".encode() + body, "sha256")).decode()
    return {"webhook-id": event_id, "webhook-timestamp": f"{at:.0f}", "webhook-signature": f"v1a,x v1,AAAA v1,{signature}"}


async def test_gitlab_signs_or_shows_its_token_and_what_is_old_or_another_s_is_refused(hook: WriteHook) -> None:
    body = json.dumps({"object_kind": "deployment", "status": "running", "verdictd": RELEASE}).encode()
    right = webhook(body)
    async with serving(hooks={"signs": hook("gitlab", SIGNING), "both": hook("gitlab", SIGNING, SECRET)}) as api:
        for name, headers, status in (
            ("signs", right, 202),
            ("signs", webhook(body, at=NOW - 299), 200),
            ("signs", webhook(body, at=NOW - 301), 401),
            ("signs", webhook(body, at=NOW + 301), 401),
            ("signs", webhook(body, secret="whsec_" + base64.b64encode(b"x" * 32).decode()), 401),
            ("signs", {**right, "webhook-id": "f0f6"}, 401),
            ("signs", {**right, "webhook-timestamp": "soon"}, 401),
            ("signs", {**right, "webhook-signature": "v1,"}, 401),
            ("signs", {**right, "webhook-signature": f"v2,{right['webhook-signature'].rpartition(',')[2]}"}, 401),
            ("signs", {key: value for key, value in right.items() if key != "webhook-id"}, 401),
            ("signs", {"X-Gitlab-Token": SIGNING}, 401),
            ("both", {"X-Gitlab-Token": SECRET, "webhook-id": "a"}, 202),
            ("both", {"X-Gitlab-Token": SIGNING, "webhook-id": "b"}, 401),
            ("both", {"X-Gitlab-Token": SECRET, "webhook-id": "c", "webhook-signature": "v1,AAAA"}, 401),
            ("both", right, 200),
        ):
            assert (await send(api, name, body, headers))[0] == status, (name, headers)


async def test_flux_signs_or_shows_a_token(hook: WriteHook) -> None:
    metadata = {"revision": "main@sha1:1", "verdictd": json.dumps(RELEASE)}
    document = {
        "involvedObject": {"kind": "Kustomization", "name": "web"},
        "reason": "ReconciliationSucceeded",
        "metadata": metadata,
    }
    body = json.dumps(document).encode()
    signature = f"sha256={hmac.digest(SECRET.encode(), body, 'sha256').hex()}"
    async with serving(hooks={"flux": hook("flux", SECRET)}) as api:
        for headers, status in (
            ({"X-Signature": signature}, 202),
            (BEARER, 200),
            ({"X-Signature": f"sha256={'0' * 64}", **BEARER}, 401),
            ({}, 401),
        ):
            assert (await send(api, "flux", body, headers))[0] == status


async def test_what_cannot_be_kept_now_is_to_be_sent_again(hook: WriteHook) -> None:
    async with serving(Engine(broken=Unavailable("no connection to NATS")), hooks={"ci": hook("cloudevents", SECRET)}) as api:
        async with api.client.post("/hooks/ci", json=EVENT, headers={**STRUCTURED, **BEARER}) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert api.engine.letters == []


async def test_who_is_one_too_many_waits_for_a_place_and_is_then_told_to_come_again() -> None:
    bound = Bound(2, what="requests", patience_seconds=0.01)
    async with bound.place():
        async with bound.place():
            with pytest.raises(Unavailable, match="2 requests are being read already"):
                async with bound.place():
                    pytest.fail("there was no place")
        async with bound.place():
            pass


async def test_senders_that_never_end_their_bodies_hold_up_their_own_hook_and_no_other(hook: WriteHook) -> None:
    hooks = {"gh": hook("github", SECRET), "ci": hook("cloudevents", SECRET)}
    body = github_body()
    begun = (
        b"POST /hooks/gh HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\nX-Hub-Signature-256: sha256="
        + b"0" * 64
        + b"\r\n\r\n"
    )
    async with serving(hooks=hooks) as api:
        writers = []
        for _ in range(AT_A_TIME):
            _, writer = await asyncio.open_connection("127.0.0.1", api.server.address.port)
            writer.write(begun)
            await writer.drain()
            writers.append(writer)
        status, problem = await send(api, "gh", body, {"X-GitHub-Event": "deployment", **signed(body)})
        assert (status, "send it again" in problem["detail"]) == (503, True)
        assert (await send(api, "ci", EVENT, {**STRUCTURED, **BEARER}))[0] == 202
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(30):
            while (await send(api, "gh", body, {"X-GitHub-Event": "deployment", **signed(body)}))[0] != 202:
                pass


async def test_a_secret_that_is_changed_is_taken_up_while_the_daemon_runs(tmp_path: Path) -> None:
    file, seconds = tmp_path / "secret", 0.0
    file.write_text(SECRET)
    known = Secrets({"hooks.ci.secret_files[0]": str(file)}, setting="hooks.ci.secret_files", now=lambda: seconds)
    assert (await known.now()).values == (SECRET.encode(),)
    file.write_text(OLD)
    assert (await known.now()).values == (SECRET.encode(),)
    seconds = secrets.REFRESH_SECONDS
    assert (await known.now()).values == (OLD.encode(),)
    file.unlink()
    seconds *= 2
    with pytest.raises(Unavailable, match=r"hooks\.ci\.secret_files"):
        await known.now()


async def test_while_one_of_two_secrets_cannot_be_read_nobody_is_told_that_his_is_wrong(hook: WriteHook, tmp_path: Path) -> None:
    hooks = {"ci": hook("cloudevents", SECRET, OLD)}
    (tmp_path / "cloudevents-1").unlink()
    async with serving(hooks=hooks) as api:
        assert (await send(api, "ci", EVENT, BEARER))[0] == 202
        assert (await send(api, "ci", EVENT, {"Authorization": f"Bearer {OLD}"}))[0] == 503


def test_secrets_that_are_missing_short_or_not_the_sender_s_are_told_at_the_start_all_at_once(hook: WriteHook) -> None:
    hooks = {
        "a": hook("github", "short"),
        "b": Hook(sender="flux", secret_files=["/nowhere"]),
        "c": hook("gitlab", "whsec_%%%%%%%%%%%"),
    }
    with pytest.raises(ConfigError) as caught:
        read_secrets(hooks)
    paths = [fault.path for fault in caught.value.faults]
    assert paths == ["hooks.a.secret_files[0]", "hooks.b.secret_files[0]", "hooks.c.secret_files[0]"]
    read_secrets({"d": hook("github", SECRET), "e": hook("gitlab", SIGNING), "f": Hook(sender="template")})
