"""A release of the past watched by the daemon's own counters: what is asked, what is shown at each moment, what is a fault."""

import re
from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest
from yarl import URL

from config.policy import Failures
from config.settings import PrometheusTelemetry
from daemon.aio.httpclient import HttpClient
from daemon.errors import Forbidden, NotFound, Refused
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec, Release
from daemon.telemetry.history.asking import Asking, TooMuch
from daemon.telemetry.history.watching import USUAL, History, Watched
from daemon.telemetry.prometheus.answer import Item

BEGIN, END = 100_000.0, 100_300.0
RELEASE = Release(service="web", namespace="shop", baseline=ArmSpec(workload="web-v1"), canary=ArmSpec(workload="web-v2"))


class Server(Asking):
    """A server by hand: each pod serves ten requests in ten seconds, and is scraped every ``spacing`` seconds.

    Attributes:
        asked: begin and end of what each query of requests spanned.
    """

    def __init__(self, *, spacing: float = 10.0, most_seconds: float = 1000.0, canary_from: float = BEGIN + 30.0) -> None:
        super().__init__(
            HttpClient(setting="url", connections=1, timeout_seconds=1.0, max_answer_bytes=1),
            url=URL("http://nowhere:1"),
            pause_seconds=0.0,
            sleep=_no_sleep,
        )
        self.spacing = spacing
        self.most_seconds = most_seconds
        self.canary_from = canary_from
        self.fault: Callable[[float], None] = lambda _: None
        self.asked: list[tuple[float, float]] = []

    async def raw(self, query: str, *, at: float) -> list[Item]:
        self.fault(at)
        found = re.search(r"\[(\d+)ms\]$", query)
        assert found is not None
        begin = at - int(found[1]) / 1000.0
        if at - begin > self.most_seconds:
            raise TooMuch("too many samples")
        if "istio_requests_total" not in query:
            return []
        self.asked.append((begin, at))
        return [*self._of("web-v1", 0.0, begin, at), *self._of("web-v2", self.canary_from, begin, at)]

    async def steps(self, query: str, *, begin: float, end: float, step_seconds: float) -> list[Item]:
        return []

    def _of(self, workload: str, since: float, begin: float, end: float) -> Iterator[Item]:
        """Both ends of the stretch are in the answer, as some servers have it."""
        first, last = int(max(begin, since) // self.spacing), int(end // self.spacing)
        times = [self.spacing * n for n in range(first, last + 1) if max(begin, since) <= self.spacing * n <= end]
        if times:
            labels = {
                "__name__": "istio_requests_total",
                "reporter": "destination",
                "destination_workload": workload,
                "destination_workload_namespace": "shop",
                "response_code": "200",
                "pod": f"{workload}-0",
                "instance": "10.0.0.1:15090",
            }
            yield Item(metric=msgspec.Raw(msgspec.json.encode(labels)), numbers=[(at, f"{at - since:.0f}") for at in times])


async def _no_sleep(_: float) -> None:
    return None


def history(server: Server, *, tick_seconds: float | None = None) -> History:
    settings = PrometheusTelemetry(url="http://nowhere:1", dialect="istio")
    return History(server, settings=settings, schema=schemas()["istio"], tick_seconds=tick_seconds)


async def only(watched: Awaitable[tuple[Watched, ...]]) -> Watched:
    """What was seen where one thing is called a failure."""
    [one] = await watched
    return one


async def test_each_request_is_counted_once_however_wide_the_pieces_are() -> None:
    wide, narrow = Server(), Server(most_seconds=80.0)
    one = await only(history(wide).watched(RELEASE, begin=BEGIN, end=END))
    other = await only(history(narrow).watched(RELEASE, begin=BEGIN, end=END))
    assert one == other
    assert one.timed
    assert len(wide.asked) < len(narrow.asked)
    baseline, canary = ([getattr(sample, arm) for sample in one.samples] for arm in ("baseline", "canary"))
    assert sum(arm.requests for arm in canary if arm is not None) == END - BEGIN - 30.0
    assert sum(arm.requests for arm in baseline if arm is not None) == END - BEGIN - 30.0


async def test_what_several_policies_call_a_failure_is_counted_in_one_reading() -> None:
    alone, together = Server(), Server()
    teapots = Failures(status=(200,))
    [usual] = await history(alone).watched(RELEASE, begin=BEGIN, end=END)
    [same, other] = await history(together).watched(RELEASE, begin=BEGIN, end=END, failures=[USUAL, teapots])
    assert same == usual
    assert together.asked == alone.asked, "no question more"
    failed = [sample.canary.errors for sample in other.samples if sample.canary is not None]
    assert sum(failed) == END - BEGIN - 30.0


async def test_the_pieces_join_and_none_is_asked_for_twice() -> None:
    server = Server(most_seconds=150.0)
    await only(history(server).watched(RELEASE, begin=BEGIN, end=END))
    assert server.asked[0][0] == BEGIN - 300.0
    assert server.asked[-1][1] == END
    assert all(one[1] == other[0] for one, other in zip(server.asked, server.asked[1:], strict=False))


async def test_the_tick_follows_the_samples_unless_one_is_asked_for() -> None:
    assert (await only(history(Server(spacing=15.0)).watched(RELEASE, begin=BEGIN, end=END))).tick_seconds == 15.0
    assert (await only(history(Server(spacing=60.0)).watched(RELEASE, begin=BEGIN, end=END + 600.0))).counted >= 12
    assert (await only(history(Server(spacing=1.0)).watched(RELEASE, begin=BEGIN, end=END))).tick_seconds == 5.0
    assert (await only(history(Server(), tick_seconds=20.0).watched(RELEASE, begin=BEGIN, end=END))).tick_seconds == 20.0


async def test_nothing_is_known_of_the_canary_before_it_came() -> None:
    watched = await only(history(Server()).watched(RELEASE, begin=BEGIN, end=END))
    gaps = {sample.t: sample.gap for sample in watched.samples if sample.gap is not None}
    assert gaps == {
        0.0: "first reading: counting starts here",
        10.0: "canary: no series yet",
        20.0: "canary: no series yet",
        30.0: "canary: first sight of its series",
    }


async def test_progress_is_told() -> None:
    told: list[float] = []
    await only(history(Server()).watched(RELEASE, begin=BEGIN, end=END, progress=told.append))
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)


async def test_a_query_that_fails_ends_the_reading_and_is_no_gap() -> None:
    server = Server(most_seconds=100.0)

    def fault(at: float) -> None:
        if at > BEGIN + 100.0:
            raise Forbidden("401")

    server.fault = fault
    with pytest.raises(Forbidden):
        await only(history(server).watched(RELEASE, begin=BEGIN, end=END))


async def test_a_server_that_gives_nothing_at_all_is_told_what_to_raise() -> None:
    with pytest.raises(Refused, match="even 15 s at once are too much"):
        await only(history(Server(most_seconds=1.0)).watched(RELEASE, begin=BEGIN, end=END))


async def test_a_release_of_which_nothing_can_be_counted_is_not_judged() -> None:
    with pytest.raises(NotFound, match="canary: no series yet; is it older than what is kept there"):
        await only(history(Server(canary_from=END + 1.0)).watched(RELEASE, begin=BEGIN, end=END))


async def test_arms_that_these_series_cannot_tell_apart_are_refused_before_anything_is_asked() -> None:
    server = Server()
    alike = msgspec.structs.replace(RELEASE, canary=RELEASE.baseline)
    with pytest.raises(NotFound, match="cannot tell the arms apart"):
        await only(history(server).watched(alike, begin=BEGIN, end=END))
    assert server.asked == []


async def test_of_a_release_that_begins_now_nothing_is_past() -> None:
    with pytest.raises(NotFound, match="nothing of it is past"):
        await only(history(Server()).watched(RELEASE, begin=END, end=END))


async def test_the_mark_that_a_series_has_ended_is_no_sample_also_where_it_has_begun_anew() -> None:
    class Marking(Server):
        def _of(self, workload: str, since: float, begin: float, end: float) -> Iterator[Item]:
            for item in super()._of(workload, since, begin, end):
                yield msgspec.structs.replace(
                    item, numbers=[(at, "NaN" if at in {BEGIN + 100.0, END} else text) for at, text in item.values]
                )

    found = await only(history(Marking()).watched(RELEASE, begin=BEGIN, end=END))
    assert not any("count" in (sample.gap or "") and "NaN" in (sample.gap or "") for sample in found.samples), found
    assert sum(one.canary.requests for one in found.samples if one.canary is not None) == END - BEGIN - 40.0
