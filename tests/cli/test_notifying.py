"""``verdictd notify --test NAME``: what a channel takes here, it takes of the daemon; what it does not take has its reason."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from daemon.cli import main
from tests.hand.servers import Stub, says, stub


def settings(folder: Path, **sinks: object) -> str:
    file = folder / "settings.json"
    file.write_text(json.dumps({"sinks": sinks}))
    return str(file)


async def told(*arguments: str) -> int:
    """The command, beside the event loop in which its target runs."""
    import asyncio

    return int(await asyncio.to_thread(main, ["notify", *arguments]))


def app(folder: Path) -> dict[str, object]:
    key = folder / "key.pem"
    made = rsa.generate_private_key(65537, 2048)
    key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return {"id": "12345", "installation": 7, "private_key_file": str(key)}


async def run(folder: Path, target: Stub, *arguments: str) -> int:
    file = settings(
        folder,
        hook={"kind": "webhook", "url": target.url},
        jenkins={"kind": "callback", "hosts": ["127.0.0.1"]},
        hub={"kind": "github-deployment", "url": target.url, "repositories": ["acme/*"]},
        lab={"kind": "gitlab-status", "url": target.url, "projects": ["acme/*"]},
        gate={"kind": "github-protection-rule", "url": target.url, "repositories": ["acme/*"], "app": app(folder)},
    )
    return await told("--config", file, *arguments)


async def test_a_made_up_verdict_is_told_once_and_says_that_it_is_a_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stub(says(status=202)) as target:
        assert await run(tmp_path, target, "--test", "hook") == 0
        [(method, _, event)] = target.requests
    assert method == "POST"
    assert event["data"]["release_id"].startswith("test-")
    assert event["data"]["reason"].startswith("This is a test by verdictd notify")
    assert capsys.readouterr().out == "hook: taken\n"


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["--test", "jenkins", "--callback", "{url}/x"], "/x"),
        (["--test", "hub", "--github", "acme/shop/42"], "/repos/acme/shop/deployments/42/statuses"),
        (["--test", "lab", "--gitlab", f"acme/shop/{'a' * 40}"], f"/api/v4/projects/acme%2Fshop/statuses/{'a' * 40}"),
    ],
)
async def test_what_a_channel_needs_of_a_release_is_given_as_an_option(tmp_path: Path, arguments: list[str], path: str) -> None:
    async with stub(says(status=201)) as target:
        assert await run(tmp_path, target, *(one.format(url=target.url) for one in arguments)) == 0
        assert [one for _, one, _ in target.requests] == [path]


async def test_an_app_s_whole_way_is_tried_and_a_job_that_waits_goes_on_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = says({"token": "ghs_1", "expires_at": "2100-01-01T00:00:00Z"}, status=201)
    async with stub(given, says(status=204)) as target:
        assert await run(tmp_path, target, "--test", "gate", "--github-rule", "acme/shop/77/prod/eu") == 0
        (_, exchanged, _), (_, path, report) = target.requests
        assert target.headers[1]["Authorization"] == "Bearer ghs_1"
    assert exchanged == "/app/installations/7/access_tokens"
    assert path == "/repos/acme/shop/actions/runs/77/deployment_protection_rule"
    assert report.keys() == {"environment_name", "comment"}
    assert report["environment_name"] == "prod/eu"
    assert "This is a test by verdictd notify" in report["comment"]
    assert capsys.readouterr().out == "gate: taken\n"


@pytest.mark.parametrize(("status", "code"), [(500, 69), (400, 69), (403, 77)])
async def test_what_is_not_taken_is_told_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int, code: int
) -> None:
    async with stub(says({"message": "no"}, status=status)) as target:
        assert await run(tmp_path, target, "--test", "hook", "--json") == code
    said = json.loads(capsys.readouterr().out)
    assert (said["sink"], said["taken"]) == ("hook", False)
    assert said["error"].startswith(f"127.0.0.1:{target.port} answered {status}: no")


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--test", "other"], 64, "is no channel of these settings; write one of gate, hook, hub, jenkins, lab"),
        (["--test", "jenkins"], 65, "release.callback"),
        (["--test", "jenkins", "--callback", "http://evil.example/"], 65, "the host evil.example is not allowed"),
        (["--test", "hub", "--github", "acme"], 64, "--github: "),
        (["--test", "gate", "--github-rule", "acme/shop/run/production"], 64, "--github-rule: "),
        (["--test", "gate", "--github-rule", "acme/shop"], 64, "--github-rule: "),
    ],
)
async def test_what_can_never_be_told_is_refused_before_anybody_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, reason: str
) -> None:
    async with stub(says()) as target:
        assert await run(tmp_path, target, *arguments) == code
        assert target.requests == []
    captured = capsys.readouterr()
    assert reason in captured.out + captured.err
