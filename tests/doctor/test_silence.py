"""Why a source gives no data: each cause has its own code and its own mend."""

from collections.abc import Sequence

import pytest

from config.settings import EnvoyTelemetry, PrometheusTelemetry
from daemon.doctor import sources
from daemon.doctor.diagnosis import Code, Diagnosis
from tests.hand.clock import HandClock
from tests.hand.servers import Answer, app_of, hang_up, says, serving

LOGIN = "<html><title>Sign in</title></html>"
CAUSES: Sequence[tuple[str, Answer, Code, str, str]] = (
    ("429", says("too many", status=429), Code.TELEMETRY_THROTTLED, "answered 429", "tick_seconds"),
    ("500", says("out of memory", status=500), Code.TELEMETRY_FAILING, "answered 500: out of memory", "mend the server"),
    ("503", says(LOGIN, status=503), Code.TELEMETRY_FAILING, "answered 503", "a proxy that does not reach"),
    (
        "302",
        says(status=302, Location="https://login/"),
        Code.TELEMETRY_REDIRECTED,
        "sends us to 'https://login/'",
        "final address",
    ),
    ("login", says(LOGIN, Content_Type="text/html"), Code.TELEMETRY_NOT_DATA, "a web page (Sign in)", "where this is a login"),
    ("404", says("nothing here", status=404), Code.TELEMETRY_NOT_DATA, "answered 404", "what stands before /"),
    ("401", says(status=401), Code.TELEMETRY_FORBIDDEN, "answered 401", ""),
    ("403", says(status=403), Code.TELEMETRY_FORBIDDEN, "answered 403", ""),
    ("400", says("no such matcher", status=400), Code.TELEMETRY_REFUSED, "no such matcher", "takes such questions"),
    ("gone", hang_up(), Code.TELEMETRY_UNREACHABLE, "", "let this machine reach it"),
)


async def examined(entry: PrometheusTelemetry | EnvoyTelemetry) -> list[Diagnosis]:
    clock = HandClock(1_700_000_000.0)
    return await sources.examine(entry, name="mesh", kind=None, cases=[], seconds=1.0, clock=clock, progress=lambda _: None)


@pytest.mark.parametrize(("answer", "code", "found", "fix"), [row[1:] for row in CAUSES], ids=[row[0] for row in CAUSES])
@pytest.mark.parametrize("kind", ["prometheus", "envoy"])
async def test_a_source_that_gives_no_data_is_told_by_its_cause_with_what_mends_that(
    kind: str, answer: Answer, code: Code, found: str, fix: str
) -> None:
    async with serving(app_of(answer)) as port:
        url = f"http://127.0.0.1:{port}"
        entry = PrometheusTelemetry(url=url, dialect="envoy") if kind == "prometheus" else EnvoyTelemetry(endpoints=[url])
        [one] = await examined(entry)
    assert one.code is code
    assert one.severity == "fault"
    assert found in one.found
    assert fix in one.fix
    assert ("telemetry.mesh.endpoints" if kind == "envoy" else "telemetry.mesh.url") in one.fix or code in {
        Code.TELEMETRY_FORBIDDEN,
        Code.TELEMETRY_THROTTLED,
    }


async def test_a_prometheus_that_says_what_no_prometheus_says_is_not_one() -> None:
    async with serving(app_of(says("up 1\n"))) as port:
        [one] = await examined(PrometheusTelemetry(url=f"http://127.0.0.1:{port}", dialect="envoy"))
    assert one.code is Code.TELEMETRY_NOT_DATA
    assert "the answer cannot be read" in one.found
