"""Settings that cannot be honoured are refused before anything is asked."""

import pytest

from config.settings import EnvoyTelemetry, PrometheusTelemetry
from daemon.errors import InvalidInput
from daemon.meshes.registry import schemas
from daemon.telemetry.factory import telemetry_from
from tests.hand.clock import HandClock
from tests.hand.servers import stub
from tests.telemetry.support import watch

BAD = ["", "10.0.0.7:15090", "localhost", "ftp://proxy:21", "http://", "http://proxy:port", "http://[::1"]


@pytest.mark.parametrize("url", BAD)
async def test_what_is_no_base_url_is_refused_with_its_place_in_the_settings(url: str) -> None:
    for settings, path in (
        (EnvoyTelemetry(endpoints=["http://127.0.0.1:9901", url]), "telemetry.near.endpoints[1]"),
        (PrometheusTelemetry(url=url, dialect="istio"), "telemetry.near.url"),
    ):
        with pytest.raises(InvalidInput) as caught:
            async with telemetry_from(settings, clock=HandClock(), name="near", schemas=schemas()):
                pass
        assert caught.value.path == path
        assert "http://host:port" in caught.value.fix


@pytest.mark.parametrize("prefix", ["", "/", "/prometheus", "/prometheus/"])
async def test_prometheus_may_live_below_a_path(prefix: str) -> None:
    async with stub() as server:
        server.says('{"status":"success","data":{"resultType":"matrix","result":[]}}')
        settings = PrometheusTelemetry(url=server.url + prefix, dialect="envoy")
        async with telemetry_from(settings, clock=HandClock(), schemas=schemas()) as telemetry:
            assert (await telemetry.read([watch()]))["web-1"].gap == "baseline: no series yet"
        assert set(server.paths) == {prefix.rstrip("/") + "/api/v1/query"}
