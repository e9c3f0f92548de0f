"""Each may ask so often and no more; nobody is held back for what others ask."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.settings import Caller, Http
from daemon.errors import Throttled
from daemon.http import ratelimits
from daemon.http.ratelimits import BURST_SECONDS, RateLimits
from tests.hand.api import TOKEN, serving


@given(
    per_second=st.floats(min_value=0.01, max_value=1000.0),
    waits=st.lists(st.floats(min_value=0.0, max_value=30.0), min_size=1, max_size=300),
)
@example(per_second=0.010000000000000002, waits=[0.0])
def test_in_any_stretch_of_time_no_more_pass_than_its_seconds_and_ten_allow(per_second: float, waits: list[float]) -> None:
    at = 1000.0
    limits = RateLimits(per_second, monotonic=lambda: at)
    passed = []
    for wait in waits:
        at += wait
        with suppress(Throttled):
            limits.check("one")
            passed.append(at)
    assert passed, "the first always passes"
    for first, began in enumerate(passed):
        for last in range(first, len(passed)):
            most = (passed[last] - began + max(BURST_SECONDS, 1.0 / per_second)) * per_second
            assert last - first + 1 <= most + 0.01


def test_whoever_waits_as_long_as_it_was_told_passes() -> None:
    at = 0.0
    limits = RateLimits(2.0, monotonic=lambda: at)
    for _ in range(20):
        limits.check("one")
    with pytest.raises(Throttled, match=r"one has asked more than 2 times a second \(http.requests_per_second\)") as raised:
        limits.check("one")
    limits.check("another")
    assert raised.value.retry_after_seconds == pytest.approx(0.5)
    at += raised.value.retry_after_seconds
    limits.check("one")


def test_no_more_are_remembered_than_may_be_and_those_who_come_new_share_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratelimits, "MOST_REMEMBERED", 3)
    at = 0.0
    limits = RateLimits(1.0, monotonic=lambda: at)
    for name in "abc":
        limits.check(name)
    for name in [*"defghijklm"]:
        limits.check(name)
    with pytest.raises(Throttled, match="others"):
        limits.check("n")
    limits.check("a")
    limits.check("ci", is_known=True)
    assert len(limits) == 5
    at += 100.0
    limits.check("n")
    assert len(limits) == 1


async def test_each_caller_has_its_own_and_probes_have_none(tmp_path: Path) -> None:
    (tmp_path / "all").write_text(TOKEN)
    (tmp_path / "ci").write_text(TOKEN[::-1])
    callers = {"ci": Caller(token_file=str(tmp_path / "ci"), scopes=["read"])}
    http = Http(listen="127.0.0.1:0", token_file=str(tmp_path / "all"), callers=callers, read="token", requests_per_second=0.1)
    of_ci, of_all = ({"Authorization": f"Bearer {token}"} for token in (TOKEN[::-1], TOKEN))
    async with serving(http=http) as api:
        assert (await api.call("GET", "/v1/releases", headers=of_ci))[0] == 200
        status, problem = await api.call("GET", "/v1/releases", headers=of_ci)
        assert status == 429
        assert problem["detail"] == "ci has asked more than 0.1 times a second (http.requests_per_second)"
        async with api.client.get("/v1/releases", headers=of_ci) as response:
            assert 1 <= int(response.headers["Retry-After"]) <= 10
        assert (await api.call("GET", "/v1/releases", headers=of_all))[0] == 200
        assert [(await api.call("GET", "/v1/releases"))[0] for _ in range(2)] == [401, 429]
        assert [(await api.call("GET", "/healthz"))[0] for _ in range(5)] == [200] * 5


async def test_where_reading_is_open_who_shows_a_token_is_its_caller_and_not_the_address_that_it_shares(tmp_path: Path) -> None:
    (tmp_path / "all").write_text(TOKEN)
    http = Http(listen="127.0.0.1:0", token_file=str(tmp_path / "all"), requests_per_second=0.1)
    async with serving(http=http) as api:
        assert [(await api.call("GET", "/v1/releases"))[0] for _ in range(2)] == [200, 429]
        own = {"Authorization": f"Bearer {TOKEN}"}
        assert [(await api.call("GET", "/v1/releases", headers=own))[0] for _ in range(2)] == [200, 429]
        wrong = {"Authorization": f"Bearer {TOKEN[::-1]}"}
        assert (await api.call("GET", "/v1/releases", headers=wrong))[0] == 429


async def test_without_the_setting_anybody_asks_as_often_as_it_likes() -> None:
    async with serving() as api:
        assert {(await api.call("GET", "/v1/releases"))[0] for _ in range(200)} == {200}
