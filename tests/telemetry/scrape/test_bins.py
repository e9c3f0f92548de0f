"""Envoy's raw bins on the grid: none torn apart, none shown as faster than it was."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import InvalidInput
from daemon.meshes.envoy.telemetry import SCHEMA as ENVOY
from daemon.meshes.istio.telemetry import SCHEMA as ISTIO
from daemon.telemetry.counters.collection import Collection
from daemon.telemetry.counters.histograms import MAX_BOUNDS
from daemon.telemetry.counters.series import SeriesIndex
from daemon.telemetry.schema import Ended
from daemon.telemetry.scrape.bins import GRID_MS, Bin, EnvoyBins, on_grid
from daemon.telemetry.scrape.targets import ScrapeStamp
from tests.telemetry.support import watch


def test_the_grid_is_fine_and_within_what_the_judge_takes() -> None:
    assert len(GRID_MS) == MAX_BOUNDS
    assert list(GRID_MS) == sorted(set(GRID_MS))
    assert (GRID_MS[0], GRID_MS[-1]) == (0.1, 600_000.0)
    inner = [bound for bound in GRID_MS if 10 <= bound <= 100_000]
    assert len(inner) == 4 * 12 + 1
    assert max(high / low for low, high in itertools.pairwise(inner)) < 1.26


def test_every_bound_is_an_edge_of_a_bin() -> None:
    """Two significant digits at most."""
    assert all(float(f"{bound:.1e}") == bound for bound in GRID_MS)


@given(st.integers(10, 99), st.integers(-1, 4), st.integers(1, 1000))
def test_a_bin_lies_wholly_in_one_bucket(digits: int, exponent: int, count: int) -> None:
    width = 10.0 ** (exponent - 1)
    low = digits * width
    histogram = on_grid([Bin(low, width, count)])
    index = next(n for n, value in enumerate(histogram.cumulative) if value)
    assert histogram.cumulative == (0,) * index + (count,) * (len(GRID_MS) + 1 - index)
    if index < len(GRID_MS):
        assert low + width <= GRID_MS[index] * (1 + 1e-9)
    if index:
        assert low >= GRID_MS[index - 1] * (1 - 1e-9)


def test_the_zero_bin_is_below_everything_and_giants_above() -> None:
    histogram = on_grid([Bin(0, 0, 4), Bin(3_600_000, 100_000, 1)])
    assert histogram.cumulative[0] == 4
    assert histogram.cumulative[-2:] == (4, 5)


PAGE = {
    "stats": [
        {"name": "cluster.web-v1.upstream_rq_2xx", "value": 204},
        {"name": "cluster.web-v1.upstream_rq_5xx", "value": 1},
        {"name": "cluster.web-v1.upstream_rq_200", "value": 205},
        {"name": "cluster.web-v1.external.upstream_rq_2xx", "value": 204},
        {"name": "cluster.web.v2.upstream_rq_2xx", "value": 7},
        {"name": "server.version", "value": "text"},
        {
            "histograms": {
                "supported_percentiles": [0, 50],
                "details": [
                    {
                        "name": "cluster.web-v1.upstream_rq_time",
                        "totals": [{"lower_bound": 1, "width": 0.1, "count": 1}, {"lower_bound": 40, "width": 1, "count": 9}],
                        "intervals": [],
                        "percentiles": [{"cumulative": 1, "interval": None}],
                    },
                    {"name": "http.admin.downstream_rq_time"},
                ],
            }
        },
    ]
}


def collect(page: EnvoyBins, body: bytes, into: Collection, *, target: str, size: int = 1_000_000) -> None:
    """Have one proxy's page read in pieces of this size."""
    reader = page.reader(into, ScrapeStamp(target=target, pod=target, at=5.0, spacing_seconds=1.0))
    for start in range(0, len(body), size):
        reader.feed(body[start : start + size])
    reader.close()


@pytest.mark.parametrize("size", [1, 10, 100, 1_000_000])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_envoys_json_gives_counters_and_histograms_under_its_own_names(size: int, separators: tuple[str, str]) -> None:
    index = SeriesIndex(ENVOY)
    index.watch([watch(baseline="web-v1", canary="web.v2")])
    collected = Collection()
    page = EnvoyBins(index, ENVOY)
    body = json.dumps(PAGE, separators=separators).encode()
    collect(page, body, collected, target="p", size=size)
    collect(page, body, collected, target="q", size=size)
    baseline, canary = (collected.snapshots(arm) for arm in index.arms["web-1"])
    assert set(baseline) == set(canary) == {"p", "q"}
    assert sorted(baseline["p"].counters.values()) == [(Ended.SERVED, 204), (Ended.FAILED, 1)]
    assert list(canary["p"].counters.values()) == [(Ended.SERVED, 7)]
    (histogram,) = baseline["p"].histograms.values()
    assert histogram.total == 10
    assert canary["p"].histograms == {}


TEXTS = st.text(alphabet='},{"name:[]\\é', max_size=20)


@given(
    stats=st.lists(st.tuples(TEXTS, st.one_of(st.integers(0, 9), TEXTS)), max_size=6),
    details=st.lists(TEXTS, max_size=4),
    size=st.sampled_from([1, 7, 64, 1_000_000]),
)
def test_whatever_names_hold_a_page_in_pieces_says_what_the_whole_says(
    stats: list[tuple[str, int | str]], details: list[str], size: int
) -> None:
    named = [{"name": name, "value": value} for name, value in [*stats, ("cluster.web-v1.upstream_rq_2xx", 7)]]
    totals = [{"lower_bound": 40, "width": 1, "count": 9}]
    histograms = {"details": [{"name": name, "totals": totals} for name in [*details, "cluster.web-v1.upstream_rq_time"]]}
    document = {"about": "name", "more": ["name"], "stats": [*named, {"histograms": histograms}]}
    index = SeriesIndex(ENVOY)
    index.watch([watch()])
    collected = Collection()
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    collect(EnvoyBins(index, ENVOY), body, collected, target="p", size=size)
    snapshot = collected.snapshots(index.arms["web-1"][0])["p"]
    assert list(snapshot.counters.values()) == [(Ended.SERVED, 7)]
    assert [histogram.total for histogram in snapshot.histograms.values()] == [9]
    assert collected.met == len(stats) + len(details) + 2


@pytest.mark.parametrize("body", [b"", b"{", b'{"stats":[{"name":1}]}', b"\xff", b"envoy_cluster 1", b'{"stats":' + b"[" * 100_000])
def test_what_is_not_envoys_json_is_refused(body: bytes) -> None:
    index = SeriesIndex(ENVOY)
    with pytest.raises(InvalidInput, match="not Envoy's statistics"):
        collect(EnvoyBins(index, ENVOY), body, Collection(), target="p")


@pytest.mark.parametrize(
    "totals", ['"count":-1', '"count":2000000000000000', '"count":1e30', '"lower_bound":-1', '"lower_bound":1e300', '"width":1e13']
)
def test_a_bin_that_cannot_be_is_refused_with_its_page(totals: str) -> None:
    sound = {"lower_bound": 1.0, "width": 0.1, "count": 1}
    name, value = totals.split(":")
    odd = json.dumps({**sound, name.strip('"'): "HERE"}).replace('"HERE"', value)
    body = f'{{"stats":[{{"histograms":{{"details":[{{"name":"cluster.web.upstream_rq_time","totals":[{odd}]}}]}}}}]}}'.encode()
    with pytest.raises(InvalidInput, match="not Envoy's statistics"):
        collect(EnvoyBins(SeriesIndex(ENVOY), ENVOY), body, Collection(), target="p")


def test_a_dialect_without_names_of_its_own_for_bins_is_refused() -> None:
    with pytest.raises(InvalidInput, match="histograms: text"):
        EnvoyBins(SeriesIndex(ISTIO), ISTIO)
