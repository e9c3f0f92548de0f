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


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://thanos:9090?dedup=true", "'http://thanos:9090?...' has more after it, which would not be sent"),
        ("http://thanos:9090/#x", "leave out what begins with"),
        ("http://me:s3cret@thanos:9090#x", "'http://...@thanos:9090#...' has more after it"),
        ("ftp://me:s3cret@thanos:21", "'ftp://...@thanos:21' is not a base URL"),
    ],
)
async def test_an_address_that_says_too_much_is_refused_and_what_is_secret_in_it_not_told(url: str, words: str) -> None:
    settings = PrometheusTelemetry(url=url, dialect="istio")
    with pytest.raises(InvalidInput, match=r"telemetry\.near\.url") as caught:
        async with telemetry_from(settings, clock=HandClock(), name="near", schemas=schemas()):
            pass
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


async def test_a_name_and_a_password_in_the_address_are_sent_and_not_told() -> None:
    async with stub() as server:
        server.says("me:s3cret may not", status=401)
        settings = PrometheusTelemetry(url=server.url.replace("://", "://me:s3cret@"), dialect="envoy")
        async with telemetry_from(settings, clock=HandClock(), schemas=schemas()) as telemetry:
            gap = (await telemetry.read([watch()]))["web-1"].gap or ""
        assert server.headers[0]["Authorization"] == "Basic bWU6czNjcmV0"
        assert "answered 401: me:[redacted] may not" in gap
