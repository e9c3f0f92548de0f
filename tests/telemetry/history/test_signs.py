"""What stood beside the counts in the past: asked once for each release, and shown at the moment at which it stood."""

import msgspec
import pytest

from config.settings import PrometheusTelemetry
from daemon.errors import Forbidden, Unavailable
from daemon.meshes.istio.mesh import ISTIO
from daemon.model import ArmSpec, Release
from daemon.telemetry.history.watching import BesideCounts, History, Watched
from daemon.telemetry.prometheus.answer import Item
from daemon.telemetry.signs import KIND
from tests.telemetry.history.test_watching import BEGIN, END, RELEASE, Server, only

ISTIOS = BesideCounts(control_plane=ISTIO.control_plane, arm_signs=ISTIO.arm_signs)


class Signing(Server):
    """Knows of a control plane that was broken for a while.

    Attributes:
        questions: those that were asked of signs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.questions: list[str] = []
        self.refused: Exception | None = None

    async def steps(self, query: str, *, begin: float, end: float, step_seconds: float) -> list[Item]:
        if KIND not in query:
            return []
        self.questions.append(query)
        if self.refused is not None:
            raise self.refused
        moments = [begin + step_seconds * n for n in range(int((end - begin) / step_seconds) + 1)]
        stood = [at for at in moments if BEGIN + 60.0 <= at <= BEGIN + 120.0]
        return [_sign("past/alive", moments), _sign("past/config_rejected", stood)]


def _sign(kind: str, moments: list[float]) -> Item:
    return Item(metric=msgspec.Raw(msgspec.json.encode({KIND: kind})), numbers=[(at, "3") for at in moments])


async def watched(server: Server, release: Release = RELEASE, **settings: object) -> Watched:
    made = PrometheusTelemetry(url="http://nowhere:1", dialect="istio", **settings)  # type: ignore[arg-type]  # what a test writes
    history = History(server, settings=made, schema=ISTIO.telemetry, tick_seconds=None, beside_counts=ISTIOS)
    return await only(history.watched(release, begin=BEGIN, end=END))


async def test_a_control_plane_that_was_broken_then_excuses_then() -> None:
    server = Signing()
    found = await watched(server)
    told = {sample.t: [(one.kind, one.effect) for one in sample.signals] for sample in found.samples}
    assert {t for t, signals in told.items() if signals} == {60.0, 70.0, 80.0, 90.0, 100.0, 110.0, 120.0, 130.0}
    assert told[60.0] == [("config_rejected", "excuses")]
    [question] = server.questions
    assert not question.endswith("]")


async def test_what_the_settings_say_of_it_holds_of_the_past_too() -> None:
    server = Signing()
    assert {one.effect for sample in (await watched(server, control_plane="says")).samples for one in sample.signals} == {"says"}
    assert not any(sample.signals for sample in (await watched(server, control_plane="ignored")).samples)
    assert len(server.questions) == 1


async def test_what_stands_before_an_arm_is_asked_for_where_its_clusters_are_known() -> None:
    server = Signing()
    await watched(server, msgspec.structs.replace(RELEASE, canary=ArmSpec(workload="web-v2", subset="v2")))
    assert any("envoy_cluster_outlier_detection_ejections_active" in one for one in server.questions)


async def test_a_server_that_does_not_tell_leaves_it_unknown_and_one_that_fails_ends_the_reading() -> None:
    server = Signing()
    server.refused = Forbidden("no")
    assert not any(sample.signals for sample in (await watched(server)).samples)
    server.refused = Unavailable("away")
    with pytest.raises(Unavailable):
        await watched(server)
