"""How the releases of each service ended."""

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from daemon.http.metrics import verdicts
from daemon.http.metrics.verdicts import WAYS, Verdicts
from daemon.model import Action, Outcome
from tests.hand.api import release, verdict

LABELS = {"cluster": "eu", "namespace": "web", "service": "shop"}
EU = msgspec.structs.replace(release(), cluster="eu")


def scraped(counted: Verdicts) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(counted)
    return registry


def test_each_way_to_end_is_there_at_nothing_before_the_first_release_has_ended() -> None:
    """A series that appears at 1 has no increase: nobody would hear of the first rollback after a start."""
    counted = Verdicts()
    counted.expect(EU)
    value = scraped(counted).get_sample_value
    for outcome, action, by in WAYS:
        assert value("verdictd_verdicts_total", {**LABELS, "outcome": outcome, "action": action, "by": by}) == 0.0
    counted.count(EU, verdict("shop-1"))
    counted.expect(EU)
    assert value("verdictd_verdicts_total", {**LABELS, "outcome": "rollback", "action": "revert", "by": "judge"}) == 1.0


def test_a_way_that_nobody_expected_is_counted_as_well() -> None:
    counted, odd = Verdicts(), msgspec.structs.replace(verdict("shop-1", Outcome.PROMOTE), action=Action.FAILED)
    assert (odd.outcome.value, odd.action.value, odd.by) not in WAYS
    counted.count(EU, odd)
    assert (
        scraped(counted).get_sample_value(
            "verdictd_verdicts_total", {**LABELS, "outcome": "promote", "action": "failed", "by": odd.by}
        )
        == 1.0
    )


def test_the_newest_releases_id_is_beside_its_count_where_the_format_has_room_for_it() -> None:
    counted = Verdicts()
    counted.count(EU, verdict("shop-1"))
    counted.count(EU, verdict("shop-2"))
    encoder, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    [line] = [line for line in encoder(scraped(counted)).decode().splitlines() if " 2.0" in line]
    assert '# {release="shop-2"} 1.0' in line


def test_services_are_bounded_and_the_one_without_a_release_for_longest_goes() -> None:
    counted = Verdicts()
    for number in range(verdicts.MOST_SERVICES):
        counted.expect(msgspec.structs.replace(EU, service=f"shop-{number}"))
    counted.expect(msgspec.structs.replace(EU, service="shop-0"))
    counted.expect(msgspec.structs.replace(EU, service="one-more"))
    [family] = scraped(counted).collect()
    shown = {sample.labels["service"] for sample in family.samples}
    assert len(shown) == verdicts.MOST_SERVICES
    assert {"shop-0", "one-more"} < shown
    assert "shop-1" not in shown
