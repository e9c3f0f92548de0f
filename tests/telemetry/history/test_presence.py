"""When each version of a service was there."""

import msgspec
import pytest

from daemon.errors import InvalidInput
from daemon.meshes.registry import schemas
from daemon.model import ArmSpec
from daemon.telemetry.history.asking import TooMuch
from daemon.telemetry.history.presence import STEP_SECONDS, Versions
from daemon.telemetry.prometheus.answer import Item
from tests.telemetry.history.test_watching import Server

DAY = 86_400.0


class Steps(Server):
    """Knows two versions; the second came at 90 000.5."""

    def __init__(self, *, most_steps: float = 11_000.0) -> None:
        super().__init__()
        self.most_steps = most_steps
        self.queries_asked: list[tuple[str, float, float]] = []

    async def steps(self, query: str, *, begin: float, end: float, step_seconds: float) -> list[Item]:
        if (end - begin) / step_seconds > self.most_steps:
            raise TooMuch("exceeded maximum resolution")
        self.queries_asked.append((query, begin, end))
        at = [begin + step_seconds * n for n in range(int((end - begin) / step_seconds) + 1)]
        found = []
        for version, since in (("v1", 0.0), ("v2", 90_000.5)):
            labels = {"destination_workload": "web", "destination_version": version}
            times = [(one, "1") for one in at if one >= since]
            found += [Item(metric=msgspec.Raw(msgspec.json.encode(labels)), numbers=times)] if times else []
        return [*found, Item(metric=msgspec.Raw(b"{}"), numbers=[(begin, "1")])]


def versions(server: Steps) -> Versions:
    return Versions(server, schema=schemas()["istio"], service='we"b', namespace="shop")


async def test_each_version_is_known_by_its_labels_and_the_query_names_the_service_literally() -> None:
    server = Steps()
    found = await versions(server).between(0.0, 2 * DAY)
    v1, v2 = (("version", "v1"), ("workload", "web")), (("version", "v2"), ("workload", "web"))
    assert set(found) == {v1, v2}
    assert len(found[v1]) == 2 * DAY / STEP_SECONDS + 1
    assert min(found[v2]) == 90_060.0
    (query, _, _), *_ = server.queries_asked
    assert query.startswith("count by (destination_workload,destination_version) (")
    assert r'destination_service_name="we\"b"' in query


@pytest.mark.parametrize("most_steps", [11_000, 500])
async def test_steps_are_met_once_each_however_little_is_given_at_once(most_steps: int) -> None:
    server = Steps(most_steps=most_steps)
    found = await versions(server).between(0.0, DAY)
    assert found[("version", "v1"), ("workload", "web")] == [STEP_SECONDS * n for n in range(1441)]
    assert max(end - begin for _, begin, end in server.queries_asked) <= 60.0 * most_steps


class Late(Steps):
    """Has nothing before a moment."""

    since = 12_345.6 * DAY

    async def steps(self, query: str, *, begin: float, end: float, step_seconds: float) -> list[Item]:
        await super().steps(query, begin=begin, end=end, step_seconds=step_seconds)
        assert query.startswith("count(count_over_time({")
        assert "[1d:5m]" in query
        at = [begin + step_seconds * n for n in range(int((end - begin) / step_seconds) + 1)]
        times = [(one, "1") for one in at if one >= self.since]
        return [Item(metric=msgspec.Raw(b"{}"), numbers=times)] if times else []


@pytest.mark.parametrize("most_steps", [11_000, 700])
async def test_where_data_begin_is_asked_in_few_questions_however_far_back(most_steps: int) -> None:
    server = Late(most_steps=most_steps)
    begin = await versions(server).begin(0.0, 20_000 * DAY)
    assert begin is not None
    assert Late.since - DAY <= begin <= Late.since
    assert len(server.queries_asked) <= (2 if most_steps == 11_000 else 20)


async def test_what_begins_before_the_time_asked_for_is_looked_for_from_there_and_nothing_is_nothing() -> None:
    assert await versions(Late()).begin(13_000.25 * DAY, 13_100 * DAY) == 13_000.25 * DAY
    assert await versions(Late()).begin(0.0, 12_000 * DAY) is None
    with pytest.raises(TooMuch):
        await versions(Late(most_steps=0.5)).begin(0.0, 12_000 * DAY)


async def test_a_server_that_does_not_give_an_hour_is_given_up() -> None:
    with pytest.raises(TooMuch):
        await versions(Steps(most_steps=5)).between(0.0, DAY)


async def test_when_a_version_came_is_looked_at_closely() -> None:
    came = await versions(Steps()).came(ArmSpec(workload="web", version="v2"), seen_at=90_060.0)
    assert came == 90_000.0


async def test_telemetry_that_names_no_service_is_refused_with_what_to_do_instead() -> None:
    with pytest.raises(InvalidInput, match="cannot be found by envoy telemetry"):
        Versions(Steps(), schema=schemas()["envoy"], service="web", namespace="shop")
