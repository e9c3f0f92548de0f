"""Proxies that are asked themselves, before there is a release: who answers, and of whom they have counters."""

import json

import pytest

from config.settings import EnvoyTelemetry
from daemon.doctor import sources
from daemon.doctor.diagnosis import Code, Diagnosis
from tests.hand.clock import HandClock
from tests.hand.servers import app_of, says, serving

PAGE = "".join(
    f'envoy_cluster_upstream_rq_xx{{envoy_response_code_class="{status}",envoy_cluster_name="{name}"}} {count}\n'
    for name, status, count in (("web-v1", 2, 90), ("web-v1", 5, 1), ("web-v2", 2, 9))
)
BINS = json.dumps({"stats": [{"name": f"cluster.web.v{n}.upstream_rq_2xx", "value": 9} for n in (1, 2)]})


async def examined(*urls: str, **settings: object) -> list[Diagnosis]:
    entry = EnvoyTelemetry(endpoints=list(urls), **settings)  # type: ignore[arg-type]  # what a test writes
    clock = HandClock(1_700_000_000.0)
    return await sources.examine(entry, name="edge", kind=None, cases=[], seconds=1.0, clock=clock, progress=lambda _: None)


async def test_what_the_proxies_count_is_told_without_a_release() -> None:
    async with serving(app_of(says(PAGE))) as one, serving(app_of(says(PAGE))) as other:
        [there] = await examined(f"http://127.0.0.1:{one}", f"http://127.0.0.1:{other}")
    assert (there.code, there.where) == (Code.SERIES, "telemetry.edge")
    assert there.found == "2 proxies answered: envoy_cluster_upstream_rq_xx has 2 values of envoy_cluster_name"
    assert there.more == ("web-v1: 2 series", "web-v2: 1 series")


async def test_raw_bins_are_asked_for_where_they_are_what_is_read() -> None:
    async with serving(app_of(says(BINS, Content_Type="application/json"))) as port:
        [there] = await examined(f"http://127.0.0.1:{port}", histograms="bins")
    assert there.more == ("web.v1: 1 series", "web.v2: 1 series")


async def test_a_proxy_that_has_counted_nothing_is_a_fault_that_says_so() -> None:
    async with serving(app_of(says("envoy_server_uptime 9\n"))) as port:
        [found] = await examined(f"http://127.0.0.1:{port}")
    assert found.code is Code.NO_SERIES
    assert found.found.startswith("1 proxy answered, and none shows envoy_cluster_upstream_rq_xx")
    assert found.fix.startswith("send requests through them")


async def test_one_proxy_of_several_that_does_not_answer_is_a_fault_and_the_others_are_told() -> None:
    async with serving(app_of(says(PAGE))) as port:
        found = await examined(f"http://127.0.0.1:{port}", "http://127.0.0.1:9")
    assert {one.code for one in found} == {Code.SERIES, Code.TELEMETRY_UNREACHABLE}


@pytest.mark.parametrize("histograms", ["text", "bins"])
async def test_a_page_that_is_no_proxys_is_told_as_that(histograms: str) -> None:
    async with serving(app_of(says("envoy_cluster_upstream_rq_xx{ many\n"))) as port:
        [found] = await examined(f"http://127.0.0.1:{port}", histograms=histograms)
    assert found.code is Code.TELEMETRY_NOT_DATA
    assert "telemetry.edge.endpoints" in found.fix
