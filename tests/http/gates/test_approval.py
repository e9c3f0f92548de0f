"""What waits for a person is undecided to every asker, in the asker's own way, and says for whom it waits."""

from collections.abc import Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from daemon.http.gates.asking import goes_on
from daemon.model import Outcome, Stage
from tests.hand.api import Api, serving, verdict, view
from tests.http.gates.test_gates import HOOK, QUESTION, ask

WHY = "a person's word until 2026-11-27 10:00:00 UTC (verdictd promote shop-1 --reason TEXT, or rollback): found good after 300 s"
EXECUTION: Mapping[str, Any] = {
    "scopes": {
        "default": {
            "controlScope": {"scope": "subset=v1", "region": "web", "step": 60, "start": "", "end": ""},
            "experimentScope": {"scope": "subset=v2,attempt=7", "region": "web", "step": 60, "start": "", "end": ""},
        }
    },
    "thresholds": {"pass": 95, "marginal": 75},
}


def wait(api: Api) -> str:
    """The release that was asked about waits for a person from now on."""
    [(release_id, _)] = api.engine.submitted
    api.engine.releases[release_id] = replace(
        api.engine.releases[release_id], stage=Stage.WATCHING, waiting_for=WHY, on_promote="wait", waits_until=1_795_773_600.0
    )
    return release_id


@pytest.mark.parametrize(("path", "status"), [("/gates/http", 200), ("/gates/http?answer=status", 202), ("/gates/argo", 200)])
async def test_json_says_pending_why_and_until_when_and_then_the_word(path: str, status: int) -> None:
    async with serving() as api:
        await ask(api, path, QUESTION)
        release_id = wait(api)
        code, told = await ask(api, path, QUESTION)
        assert (code, told["verdict"], told["reason"], told["waits_until"]) == (status, "pending", WHY, 1_795_773_600.0)
        api.engine.ends[release_id] = verdict(release_id, Outcome.PROMOTE)
        code, told = await ask(api, path, QUESTION)
    assert (code, told["verdict"]) == (200, "promote")
    assert "waits_until" not in told


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("rollout", 200),
        ("confirm-traffic-increase", 200),
        ("confirm-promotion", 403),
        ("rollback", 403),
        ("confirm-rollout", 200),
    ],
)
async def test_flagger_is_told_to_go_on_but_for_the_promotion_and_reads_why(kind: str, status: int) -> None:
    async with serving() as api:
        await ask(api, "/gates/flagger/rollout", HOOK)
        wait(api)
        code, told = await ask(api, f"/gates/flagger/{kind}", HOOK)
    assert code == status
    assert kind == "confirm-rollout" or told.startswith(f"pending: {WHY}")


async def test_kayenta_s_clients_are_told_that_it_is_running() -> None:
    async with serving() as api:
        _, started = await ask(api, "/gates/kayenta/canary/default?application=shop", EXECUTION)
        wait(api)
        code, told = await api.call("GET", f"/gates/kayenta/canary/{started['canaryExecutionId']}")
    assert (code, told["complete"], told["status"]) == (200, False, "running")


def test_a_return_is_no_yes_at_once_where_a_person_is_to_say_it() -> None:
    returning = replace(view("shop-1"), returns="a return")
    assert goes_on(returning)
    assert not goes_on(replace(returning, on_promote="wait"))
