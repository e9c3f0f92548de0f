"""How the channels stand is measured: from the first look on, with one series each, and an age that grows between two looks."""

from prometheus_client import CollectorRegistry

from daemon.errors import Unavailable
from daemon.http.metrics.notices import NoticeMetrics
from daemon.ports.notices import Backlog
from tests.hand.clock import HandClock


def test_a_channel_s_numbers_are_there_from_the_first_look_and_its_oldest_notice_ages_by_itself() -> None:
    registry, clock = CollectorRegistry(), HandClock()
    metrics = NoticeMetrics(registry, now=clock.now)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"verdictd_notices_{name}", {"sink": "ci", **labels})

    metrics.waits("ci", Backlog(waiting=0, oldest_at=None))
    assert [value(one) for one in ("sent_total", "given_up_total", "waiting", "oldest_age_seconds")] == [0.0] * 4
    metrics.failed("ci", Unavailable("away"))
    metrics.told("ci")
    metrics.gave_up("ci")
    metrics.waits("ci", Backlog(waiting=3, oldest_at=clock.time - 5.0))
    clock.time += 10.0
    assert value("oldest_age_seconds") == 15.0
    assert value("waiting") == 3.0
    assert value("failed_total", error="Unavailable") == value("sent_total") == value("given_up_total") == 1.0
