"""The gate that is asked by POST once and by GET at the same address from then on, as Spinnaker's webhook stage does."""

import pytest

from config.settings import Gates
from daemon.model import Outcome
from tests.hand.api import Engine, serving
from tests.http.gates.test_gates import WriteGate, gate

__all__ = ["gate"]

ADDRESS = "/gates/stage?service=web&namespace=shop&attempt=01J8Z7Q0"
BODY = {"baseline": {"subset": "v1"}, "canary": {"subset": "v2"}, "policy": "default"}


@pytest.mark.parametrize(
    ("outcome", "word"), [(Outcome.PROMOTE, "promote"), (Outcome.ROLLBACK, "rollback"), (Outcome.INCONCLUSIVE, "hold")]
)
async def test_the_address_that_began_a_release_tells_how_it_stands(outcome: Outcome, word: str) -> None:
    async with serving() as api:
        status, told = await api.call("POST", ADDRESS, json=BODY)
        assert (status, told["verdict"]) == (200, "pending")
        [(release_id, release)] = api.engine.submitted
        assert (release.service, release.namespace, release.canary.subset) == ("web", "shop", "v2")
        assert (await api.call("POST", ADDRESS, json=BODY))[1]["release"] == release_id
        assert (await api.call("GET", ADDRESS))[1]["verdict"] == "pending"
        api.engine.end(release_id, outcome)
        status, told = await api.call("GET", ADDRESS)
        assert (status, told["verdict"], told["release"]) == (200, word, release_id)
        assert len(api.engine.submitted) == 1


async def test_it_is_the_release_of_the_same_attempt_at_the_other_gate() -> None:
    async with serving() as api:
        _, told = await api.call("POST", ADDRESS, json=BODY)
        question = {"attempt": "01J8Z7Q0", "verdictd": {**BODY, "service": "web", "namespace": "shop"}}
        assert (await api.call("POST", "/gates/http", json=question))[1]["release"] == told["release"]


async def test_what_is_not_known_is_asked_for_again_since_a_stage_ends_at_404() -> None:
    async with serving(Engine()) as api:
        status, problem = await api.call("GET", ADDRESS)
        assert (status, "was not begun, or is being read back" in problem["detail"]) == (503, True)
        assert api.engine.submitted == []


@pytest.mark.parametrize(
    ("address", "body", "path"),
    [
        ("/gates/stage?service=web", BODY, "?attempt"),
        ("/gates/stage?attempt=1", BODY, "?service"),
        (ADDRESS, {**BODY, "service": "other"}, "$"),
        (ADDRESS, {"canary": {"subset": "v2"}}, "$.baseline"),
        (ADDRESS, [], "$"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_its_place(address: str, body: object, path: str) -> None:
    async with serving() as api:
        status, problem = await api.call("POST", address, json=body)
        assert (status, problem["errors"][0]["path"]) == (400, path)
        assert api.engine.submitted == []


async def test_it_is_opened_by_the_secrets_of_the_gate_for_pipelines(gate: WriteGate) -> None:
    async with serving(gates=Gates(http=gate("0123456789abcdef"))) as api:
        assert (await api.call("POST", ADDRESS, json=BODY))[0] == 401
        assert (await api.call("GET", ADDRESS))[0] == 401
        shown = {"Authorization": "Bearer 0123456789abcdef"}
        assert (await api.call("POST", ADDRESS, json=BODY, headers=shown))[0] == 200
        assert (await api.call("GET", ADDRESS, headers=shown))[0] == 200
