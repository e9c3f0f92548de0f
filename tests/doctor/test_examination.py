"""What the doctor says of sources that only the daemon reads."""

import msgspec
import pytest

from config.settings import Settings
from daemon.aio.clock import SystemClock
from daemon.doctor.diagnosis import Code
from daemon.doctor.examination import Examination


@pytest.mark.parametrize(
    ("fallback", "said"), [(None, "nothing is watched in their place"), ("prom", "telemetry.prom is watched in their place")]
)
async def test_that_sidecars_were_not_looked_at_is_a_warning_that_names_what_was(fallback: str | None, said: str) -> None:
    settings = msgspec.convert(
        {
            "nats": {"url": "nats://127.0.0.1:9"},
            "telemetry": {
                "pods": {"kind": "sidecars", "dialect": "istio", "fallback": fallback},
                "prom": {"kind": "prometheus", "dialect": "istio", "url": "http://127.0.0.1:9"},
            },
        },
        Settings,
    )

    found = await Examination(settings=settings, cases=[], seconds=1.0, clock=SystemClock()).run()

    [unseen] = [one for one in found.diagnoses if one.code is Code.SIDECARS_UNSEEN]
    assert unseen.severity == "warning"
    assert unseen.found == f"sidecars are read by the daemon only: {said}"
