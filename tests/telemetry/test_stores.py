"""What becomes of series on their way into a store: relabelled, dropped, named in part, scraped by several, of the same name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.telemetry.fleet import Fleet, Pod, Scraper, watched
from tests.telemetry.support import workloads
from tests.telemetry.test_field import fleet, scrapes_counted

Labels = dict[str, str]


@dataclass
class Relabelled(Fleet):
    """A store that keeps series under other labels, or not at all."""

    edit: Callable[[Labels], Labels | None] = lambda labels: labels

    def _series(self, query: str, since: float, now: float) -> Iterator[tuple[dict[str, str], list[tuple[float, float]]]]:
        for labels, samples in super()._series(query, since, now):
            if (edited := self.edit(dict(labels))) is not None:
                yield edited, samples


def bounds(to: Mapping[str, str | None], *, workload: str = "web-v2", absent: bool = False) -> Callable[[Labels], Labels | None]:
    """Bounds of one workload's buckets written otherwise; null: these buckets are dropped, or lack their bound."""

    def edit(labels: Labels) -> Labels | None:
        if labels.get("destination_workload") != workload or labels.get("le") not in to:
            return labels
        if (bound := to[labels["le"]]) is not None:
            return {**labels, "le": bound}
        return {name: value for name, value in labels.items() if name != "le"} if absent else None

    return edit


@dataclass
class Warned(Fleet):
    """A Thanos behind which a store is dead for a while, or for ever; it answers with what the others have."""

    dead: tuple[float, float] = (0.0, 1e9)

    def answer(self, query: str, *, now: float) -> bytes:
        found = super().answer(query, now=now)
        since, until = self.dead
        return found[:-1] + b', "warnings": ["no answer from store-2"]}' if since <= now < until else found


async def test_while_answers_are_never_whole_nothing_is_counted_and_every_reading_says_why() -> None:
    made = await watched(Warned(fleet(every=5.0).pods), 120.0)
    assert made.requests == [0, 0]
    assert len(made.gaps) >= 8, "it is asked again and again"
    assert all("the answer is not whole: no answer from store-2" in gap for gap in made.gaps)


async def test_what_was_served_while_answers_were_not_whole_is_counted_once_they_are() -> None:
    it = Warned(fleet(every=5.0).pods, dead=(40.0, 70.0))
    made = await watched(it, 120.0)
    assert any("is not whole" in gap for gap in made.gaps)
    assert scrapes_counted(made, rate=10.0, seconds=110.0) >= 0.9, made.gaps
    assert made.requests[1] <= it.served("web-v2", -5.0, 120.0)[0]


BROKEN_HISTOGRAMS = {
    "no +Inf bucket": bounds({"+Inf": None}),
    "nothing but the +Inf bucket": bounds({"10": None, "100": None}),
    "no bound in common": bounds({"10": "7", "100": "70"}),
    "a bound that is no number": bounds({"10": "ten"}),
    "a bound that is NaN": bounds({"10": "NaN"}),
    "a bucket without a bound": bounds({"10": None}, absent=True),
    "two of them": bounds({"10": "ten", "100": "hundred"}),
}


@pytest.mark.parametrize("broken", BROKEN_HISTOGRAMS)
async def test_a_histogram_that_cannot_be_used_costs_one_tick_and_errors_are_judged_without_it(
    broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    it = Relabelled(fleet(every=5.0).pods, edit=BROKEN_HISTOGRAMS[broken])
    made = await watched(it, 100.0)
    assert scrapes_counted(made, rate=10.0, seconds=90.0) >= 0.95, made.gaps
    assert made.requests[1] <= it.served("web-v2", -5.0, 100.0)[0]
    assert made.errors[1] == pytest.approx(0.1 * made.requests[1], abs=2)
    assert made.latencies == [0, 0]
    assert sum("le)" in gap or "bound" in gap or "bucket" in gap for gap in made.gaps) == 1, "said, and not at every tick"
    assert [record.message for record in caplog.records].count("latencies cannot be used; errors are judged without them") == 1


async def test_a_histogram_that_is_mended_counts_from_then_on_and_its_history_does_not() -> None:
    it = Relabelled(fleet(every=5.0).pods)
    drop = bounds({"+Inf": None})
    for pod in it.pods:
        pod.history = (1000, 0)

    def mended(labels: Labels) -> Labels | None:
        return labels if len(it.asked) > 60 else drop(labels)

    it.edit = mended
    made = await watched(it, 200.0)
    assert 0 < made.latencies[1] < made.requests[1]


async def test_a_broken_series_of_one_release_silences_no_other() -> None:
    it = fleet(every=5.0)
    theirs = [Pod(workload=f"api-v{v}", name=f"api-v{v}", scrapers=(Scraper(every=5.0, phase=1.0 + v),)) for v in (1, 2)]
    broken = Relabelled([*it.pods, *theirs], edit=bounds({"10": "ten"}, workload="api-v2"))
    made = await watched(broken, 100.0, beside=[workloads("api-1", baseline="api-v1", canary="api-v2")])
    assert scrapes_counted(made, rate=10.0, seconds=90.0) >= 0.95, made.gaps
    assert made.latencies[1] > 0


def half_named(*, shift: float, without: str) -> Fleet:
    """Each pod is scraped by two jobs, of which the second lacks labels of the first."""
    it = fleet(every=15.0)
    for number, pod in enumerate(it.pods):
        (one,) = pod.scrapers
        page = ("instance", f"10.0.0.{number}:15090")
        named = (("job", "monitor"), ("namespace", "default"))
        other = Scraper(every=15.0, phase=(one.phase + shift) % 15.0, labels=(("job", "old"), page, ("namespace", "default")))
        pod.scrapers = (Scraper(every=15.0, phase=one.phase, labels=named), other)

    def edit(labels: Labels) -> Labels | None:
        dropped = {"pod", "namespace"} if without == "pod" else {without}
        return {name: value for name, value in labels.items() if labels["job"] != "old" or name not in dropped}

    return Relabelled(it.pods, edit=edit)


@pytest.mark.parametrize("shift", [0.0, 2.0])
@pytest.mark.parametrize("without", ["pod", "namespace"])
async def test_a_pod_that_only_one_of_its_scrapers_names_in_full_is_counted_once(shift: float, without: str) -> None:
    it = half_named(shift=shift, without=without)
    made = await watched(it, 300.0)
    for arm, workload in enumerate(("web-v1", "web-v2")):
        assert made.requests[arm] <= it.served(workload, -15.0, 300.0)[0]
        assert made.latencies[arm] <= made.requests[arm] + 300
    assert scrapes_counted(made, rate=10.0, seconds=270.0) >= 0.95, made.gaps


@pytest.mark.parametrize("without", ["pod", "namespace"])
async def test_a_scraper_that_goes_leaves_its_pods_to_the_other_one_without_their_history(without: str) -> None:
    it = half_named(shift=2.0, without=without)
    assert isinstance(it, Relabelled)
    both = it.edit
    it.edit = lambda labels: None if labels["job"] == "monitor" and len(it.asked) > 60 else both(labels)
    for pod in it.pods:
        pod.history = (10_000, 500)
    made = await watched(it, 600.0)
    assert 3000 < made.requests[1] <= it.served("web-v2", -15.0, 600.0)[0]
    assert made.errors[1] == pytest.approx(0.1 * made.requests[1], abs=2)


async def test_pods_of_the_same_name_in_two_namespaces_are_two() -> None:
    """One of the canary's is scraped from the middle of the watch on; its namesake has been answering all the time."""
    ours, theirs = (
        [
            Pod(
                workload=f"web-v{v}",
                name=f"web-v{v}-{n}",
                scrapers=(Scraper(every=5.0, phase=v + n / 2, labels=(("namespace", ns),)),),
            )
            for v in (1, 2)
            for n in range(2)
        ]
        for ns in ("default", "staging")
    )
    late = (Scraper(every=5.0, phase=3.0, labels=(("namespace", "default"),), since=60.0),)
    ours[-1].history, ours[-1].scrapers = (10_000, 800), late

    def edit(labels: Labels) -> Labels | None:
        return {**labels, **({"destination_workload_namespace": labels["namespace"]} if "reporter" in labels else {})}

    it = Relabelled([*ours, *theirs], edit=edit)
    made = await watched(it, 200.0, beside=[workloads("staging-1", namespace="staging")])
    assert made.errors == [0, 0]
    assert 3000 <= made.requests[1] <= 2 * 10.0 * 200.0
