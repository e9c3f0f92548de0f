"""Notices over real sockets: to servers that take, refuse, hang and lead elsewhere; to a real Alertmanager; by Apprise."""

import importlib.util
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from daemon.aio.clock import SystemClock
from daemon.errors import (
    Failing,
    Forbidden,
    InvalidInput,
    NotFound,
    Redirected,
    Refused,
    Throttled,
    TimedOut,
    Unavailable,
    VerdictdError,
)
from daemon.model import Action, GitLabCommit
from daemon.ports.notices import Notice, PersonWanted, Sequel
from daemon.sinks.alertmanager import ALERTMANAGER, AlertmanagerSettings
from daemon.sinks.apprise import AppriseSettings, AppriseTeller
from daemon.sinks.channel import ChannelKind
from daemon.sinks.flux import FLUX, FluxSettings
from daemon.sinks.gitlab import STATUS, StatusSettings
from daemon.sinks.httptelling import HttpTeller
from daemon.sinks.webhook import CALLBACK, WEBHOOK, CallbackSettings, WebhookSettings
from tests.hand.samples import RELEASE, verdict
from tests.hand.servers import says, silence, stub
from tests.servers.alertmanager import alertmanager

# What Apprise imports for mail looks for a module that Python is to lose.
imports_apprise = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOTICE = Notice(release=RELEASE, verdict=verdict())


@asynccontextmanager
async def teller(kind: ChannelKind, settings: Any) -> AsyncIterator[HttpTeller]:
    async with HttpTeller(kind, name="ci", settings=settings, public_url="", clock=SystemClock()) as made:
        yield made


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_2xx_is_an_acknowledgement_whatever_is_said_with_it(status: int) -> None:
    async with stub(says(b"<html>ok</html>" if status != 204 else b"", status=status)) as target:
        async with teller(WEBHOOK, WebhookSettings(url=f"{target.url}/x?token=1")) as to:
            await to.tell(NOTICE)
        assert target.requests[0][:2] == ("POST", "/x?token=1")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, Redirected),
        (400, Refused),
        (401, Forbidden),
        (403, Forbidden),
        (404, NotFound),
        (422, Refused),
        (429, Throttled),
        (500, Failing),
        (503, Failing),
    ],
)
async def test_anything_else_is_an_error_of_its_kind_and_a_redirect_leads_nowhere(status: int, error: type[VerdictdError]) -> None:
    async with stub(says()) as elsewhere, stub(says(status=status, Location=elsewhere.url)) as target:
        async with teller(WEBHOOK, WebhookSettings(url=target.url)) as to:
            with pytest.raises(VerdictdError) as caught:
                await to.tell(NOTICE)
        assert type(caught.value) is error
        assert elsewhere.requests == []


async def test_one_that_hangs_is_left_in_time() -> None:
    async with stub(silence()) as target, teller(WEBHOOK, WebhookSettings(url=target.url, timeout_seconds=0.05)) as to:
        with pytest.raises(TimedOut, match="did not answer within"):
            await to.tell(NOTICE)


async def test_a_secret_is_read_anew_for_each_request_and_told_to_nobody_in_an_error(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    async with stub(says({"message": "no such token: second"}, status=401)) as target:
        async with teller(WEBHOOK, WebhookSettings(url=target.url, secret_file=str(file))) as to:
            with pytest.raises(Unavailable, match="secret"):
                await to.tell(NOTICE)
            assert target.requests == []
            file.write_text("Bearer first\n")
            with pytest.raises(Forbidden):
                await to.tell(NOTICE)
            file.write_text("Bearer second\n")
            with pytest.raises(Forbidden) as caught:
                await to.tell(NOTICE)
        assert [one["Authorization"] for one in target.headers] == ["Bearer first", "Bearer second"]
        assert "second" not in str(caught.value)
        assert "[redacted]" in str(caught.value)


@pytest.mark.parametrize("text", ["", "two\nlines", "\u00e4"])
async def test_what_is_no_secret_of_one_line_of_ascii_letters_is_not_sent(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secret"
    file.write_text(text, encoding="utf-8")
    async with stub(says()) as target:
        async with teller(WEBHOOK, WebhookSettings(url=target.url, secret_file=str(file))) as to:
            with pytest.raises(Unavailable, match="holds no secret"):
                await to.tell(NOTICE)
        assert target.requests == []


async def test_a_callback_whose_name_means_this_machine_is_not_sent() -> None:
    """``localhost`` is allowed as a name; what it means is not, unless the address is written down itself."""
    async with stub(says()) as target:
        release = msgspec.structs.replace(RELEASE, callback=f"http://localhost:{target.port}/")
        one = Notice(release=release, verdict=verdict())
        async with teller(CALLBACK, CallbackSettings(hosts=["localhost"])) as to:
            with pytest.raises(Refused, match="nothing is sent there"):
                await to.tell(one)
        assert target.requests == []
        async with teller(CALLBACK, CallbackSettings(hosts=["localhost", "127.0.0.1", "::1"])) as to:
            await to.tell(one)
        assert len(target.requests) == 1


async def test_a_commit_that_has_its_status_already_is_told_and_its_project_is_one_part_of_the_path() -> None:
    refusal = {"message": 'Cannot transition status via :run from :running (Reason(s): Status cannot transition via "run")'}
    release = msgspec.structs.replace(RELEASE, gitlab=GitLabCommit(project="acme/shop", commit="a" * 40))
    async with stub(says(refusal, status=400)) as target:
        async with teller(STATUS, StatusSettings(url=target.url, projects=["acme/shop"])) as to:
            await to.tell(Notice(release=release, verdict=verdict()))
            target.says({"message": "name is missing"}, status=400)
            with pytest.raises(Refused, match="name is missing"):
                await to.tell(Notice(release=release, verdict=verdict()))
        assert target.requests[0][1] == f"/api/v4/projects/acme%2Fshop/statuses/{'a' * 40}"


@pytest.mark.live
async def test_a_real_alertmanager_has_one_alert_of_a_release_however_often_it_is_told(tmp_path: Path) -> None:
    nasty = verdict(reason="<b>{{ .Labels }}</b> @here\n\x00 50 %")
    async with alertmanager(tmp_path) as url, teller(ALERTMANAGER, AlertmanagerSettings(url=url)) as to:
        for one in (nasty, nasty, verdict("api-2", service="api")):
            await to.tell(Notice(release=RELEASE, verdict=one))
        async with aiohttp.ClientSession() as client, client.get(f"{url}/api/v2/alerts") as response:
            alerts = {alert["labels"]["release"]: alert for alert in await response.json()}
    assert sorted(alerts) == ["api-2", "web-1"]
    told = alerts["web-1"]
    assert told["labels"] == {
        "alertname": "VerdictdVerdict",
        "severity": "warning",
        "outcome": "rollback",
        "action": "revert",
        "release": "web-1",
        "service": "web",
        "namespace": "shop",
        "cluster": "prod",
    }
    assert told["annotations"]["description"].startswith("‹b›❴❴ .Labels ❵❵‹/b› ＠here 50 %")
    assert told["annotations"]["command"] == "verdictd explain web-1"


@pytest.mark.live
async def test_a_real_alertmanager_ends_the_alert_that_a_canary_still_gets_traffic_when_it_does_not(tmp_path: Path) -> None:
    failed = verdict(action=Action.FAILED, decided_at=time.time() - 60.0)
    late = Sequel(release=RELEASE, of=failed, kind="reverted_late", at=time.time() - 1.0, detail="canary 10 -> 0")
    async with (
        alertmanager(tmp_path) as url,
        teller(ALERTMANAGER, AlertmanagerSettings(url=url)) as to,
        aiohttp.ClientSession() as client,
    ):

        async def firing() -> list[tuple[str, str]]:
            async with client.get(f"{url}/api/v2/alerts") as response:
                return [(one["labels"]["severity"], one["annotations"]["summary"]) for one in await response.json()]

        await to.tell(Notice(release=RELEASE, verdict=failed))
        assert await firing() == [("critical", "verdictd: rollback: web in shop (prod)")]
        for _ in range(2):
            await to.tell(late)
        assert await firing() == [("warning", "verdictd: taken back at last: web in shop (prod)")]


def addressed(folder: Path, *lines: str) -> AppriseSettings:
    file = folder / "urls"
    file.write_text("\n".join(["# chat", *lines]), encoding="utf-8")
    return AppriseSettings(urls_file=str(file))


@imports_apprise
async def test_apprise_tells_what_it_knows_in_neutral_letters(tmp_path: Path) -> None:
    async with stub(says()) as target:
        settings = addressed(tmp_path, f"json://127.0.0.1:{target.port}/a", f"json://127.0.0.1:{target.port}/b?method=post")
        async with AppriseTeller(name="chat", settings=settings, public_url="https://verdictd.example") as to:
            await to.tell(Notice(release=RELEASE, verdict=verdict(reason="<!channel> [x](http://evil)")))
        # Told side by side.
        assert sorted(path for _, path, _ in target.requests) == ["/a", "/b"]
        body = target.requests[0][2]
        assert body["title"] == "verdictd: rollback: web in shop (prod)"
        assert body["type"] == "warning"
        assert body["message"].splitlines() == [
            "‹ǃchannel› ⟦x⟧(http //evil)",
            "The canary's traffic was taken back to the baseline.",
            "https://verdictd.example/v1/releases/web-1",
            "Run: verdictd explain web-1",
        ]


@imports_apprise
async def test_apprise_tells_that_a_person_is_waited_for_and_one_that_cannot_refuses_it(tmp_path: Path) -> None:
    wanted = PersonWanted(release=RELEASE, release_id="web-1", cluster="prod", until=2e9, reason="found good")
    async with stub(says()) as target:
        settings = addressed(tmp_path, f"json://127.0.0.1:{target.port}/")
        async with AppriseTeller(name="chat", settings=settings, public_url="") as to:
            await to.tell(wanted)
        [(_, _, body)] = target.requests
        assert (body["type"], body["title"]) == ("info", "verdictd: waits for a person: web in shop (prod)")
    async with teller(WEBHOOK, WebhookSettings(url="http://127.0.0.1:9/")) as other:
        with pytest.raises(InvalidInput, match="does not tell that a person is waited for"):
            await other.tell(wanted)


@imports_apprise
async def test_apprise_tells_what_came_after_and_one_that_cannot_refuses_it(tmp_path: Path) -> None:
    late = Sequel(release=RELEASE, of=verdict(), kind="reverted_late", at=2e9, detail="canary 10 -> 0")
    async with stub(says()) as target:
        settings = addressed(tmp_path, f"json://127.0.0.1:{target.port}/")
        async with AppriseTeller(name="chat", settings=settings, public_url="") as to:
            for one in (late, msgspec.structs.replace(late, kind="revert_given_up")):
                await to.tell(one)
        assert [(body["type"], body["title"]) for _, _, body in target.requests] == [
            ("warning", "verdictd: taken back at last: web in shop (prod)"),
            ("failure", "verdictd: not taken back, given up: web in shop (prod)"),
        ]
    async with teller(FLUX, FluxSettings(url="http://127.0.0.1:9/")) as other:
        with pytest.raises(InvalidInput, match="does not tell what came after a verdict"):
            await other.tell(late)


async def test_a_webhook_is_sent_what_came_after() -> None:
    left = Sequel(release=RELEASE, of=verdict(), kind="traffic_left", at=2e9)
    async with stub(says()) as target:
        async with teller(WEBHOOK, WebhookSettings(url=target.url)) as to:
            await to.tell(left)
        assert target.requests[0][2]["id"] == "web-1.traffic_left"


@imports_apprise
async def test_what_apprise_does_not_reach_is_tried_again_and_no_address_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with stub(says(status=500)) as target:
        settings = addressed(tmp_path, f"json://user:pa55word@127.0.0.1:{target.port}/")
        async with AppriseTeller(name="chat", settings=settings, public_url="") as to:
            with pytest.raises(Unavailable, match="did not reach all") as caught:
                await to.tell(NOTICE)
        assert len(target.requests) == 1
    assert "pa55word" not in str(caught.value) + caplog.text


@imports_apprise
@pytest.mark.parametrize(
    ("lines", "reason"), [([], "names 0 addresses"), (["nothing://x"], "address 1 in"), (["json://x"] * 33, "names 33 addresses")]
)
async def test_a_file_without_addresses_that_apprise_knows_is_told_without_them(
    tmp_path: Path, lines: list[str], reason: str
) -> None:
    async with AppriseTeller(name="chat", settings=addressed(tmp_path, *lines), public_url="") as to:
        with pytest.raises(Unavailable, match=reason):
            await to.tell(NOTICE)
        (tmp_path / "urls").unlink()
        with pytest.raises(Unavailable, match="urls"):
            await to.tell(NOTICE)


async def test_without_apprise_a_channel_of_it_is_refused_with_how_to_mend_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InvalidInput, match=r"sinks\.chat: .*pip install verdictd\[notify\]"):
        AppriseTeller(name="chat", settings=addressed(tmp_path, "json://x"), public_url="")
