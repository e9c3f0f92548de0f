"""docs/metrics.md, made from the registry that is scraped: every metric with its type, labels and meaning."""

from collections.abc import Iterator

import msgspec
from prometheus_client.core import Metric

from analyzers.counts import Arm, Signal
from analyzers.legs.table import NAMES
from analyzers.ruling import LegNow, Ruling
from daemon.errors import TimedOut
from daemon.http.api import examples
from daemon.http.metrics.broker import Broker
from daemon.http.metrics.meter import Metrics
from daemon.http.metrics.samplers import Samplers
from daemon.http.metrics.shelf import Shelf
from daemon.measurements import Cadence, Reading, Watch
from daemon.model import Stage, TimedStep
from daemon.ports.notices import Backlog
from daemon.recordingshelf import Stock

PAGE = "docs/metrics.md"

_INTRODUCTION = """# Metrics

<!-- Made from the code by `python -m tests.docs --write`; do not edit. -->

`GET /metrics` has them, without a token, in Prometheus' text format or in OpenMetrics;
`GET /metrics?name[]=NAME` has those that are named; of a histogram by its name, or by that of a part (`..._count`).

- `verdictd_verdicts_total` is there at 0, for each way to end, from the first release of a service on, so that
  `increase(verdictd_verdicts_total{outcome="rollback"}[5m]) > 0` is true of its first rollback too.
  In OpenMetrics the newest release's id is its exemplar.
- What describes one release (`verdictd_release_...`, `verdictd_leg_...`) stays for five minutes after its verdict, of at most 500;
  `verdictd_release_verdict` tells these from the ones that go on.
- What describes a round of a telemetry source is 0 while no release is on it: an idle daemon is not late.
"""
_OUTSIDE = "process_"
"""Of prometheus-client, whose names everybody knows."""


def page() -> str:
    """The whole page."""
    rows = "\n".join(_row(family) for family in sorted(_families(), key=lambda one: one.name))
    head = "| metric | type | labels | meaning |\n|---|---|---|---|"
    rest = "\n`process_...` is what every Prometheus client says of its process: processor time, memory, open files.\n"
    return f"{_INTRODUCTION}\n{head}\n{rows}\n{rest}"


def names() -> frozenset[str]:
    """Of every series that is scraped."""
    return frozenset(sample.name for family in _families() for sample in family.samples)


def _families() -> Iterator[Metric]:
    metrics = _used()
    yield from (family for family in metrics.registry.collect() if not family.name.startswith(_OUTSIDE))


def _row(family: Metric) -> str:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    labels = ", ".join(f"`{label}`" for label in _labels(family))
    return f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


def _labels(family: Metric) -> tuple[str, ...]:
    """Those of its samples, in their order; ``le`` belongs to every histogram."""
    return tuple(label for label in dict.fromkeys(name for sample in family.samples for name in sample.labels) if label != "le")


def _used() -> Metrics:
    """Metrics of which each has a sample."""
    metrics, view = Metrics(), examples.VIEW
    metrics.watch_announcements(int)
    metrics.watch_verdicts(int)
    metrics.watch_nats(Broker(connected=bool, last_write_at=float, write_seconds=float, waiting=dict, lost=int, rejected=int))
    metrics.watch_recordings(Shelf(stock=Stock))
    metrics.watch_samplers(Samplers(running=dict))
    signal = Signal(kind="not_ready", about="canary", effect="holds", words="one is not ready")
    arm = Arm(requests=1)
    legs = {name: LegNow(e_value=1.0, effect=0.0) for name in NAMES}
    ruling = Ruling(outcome="continue", tick=1, t=1.0, evidence=1.0, boundary=100.0, legs=legs, leg=None, reason="")
    reading = Reading(seconds=1.0, baseline=arm, canary=arm, at=1.0, weight=10.0, signals=(signal,))
    metrics.ticked(Watch(release_id="running", release=view.release), reading, ruling)
    waiting = msgspec.structs.replace(ruling, good_since=1.0)
    metrics.ticked(Watch(release_id="waiting", release=view.release), reading, waiting)
    metrics.set_stages({"running": Stage.WATCHING})
    steps = ("watching", "decided", "patch_sent", "confirmed", "published")
    metrics.ended(view.release, examples.VERDICT, [TimedStep(step=step, at=1.0) for step in steps])
    metrics.notices.waits("alerts", Backlog(waiting=0, oldest_at=None))
    metrics.notices.failed("alerts", TimedOut())
    metrics.expect_telemetry(["prometheus"])
    metrics.set_components({"nats": True})
    metrics.round("prometheus", releases=1, sampling_seconds=0.1, judging_seconds=0.1)
    metrics.cadence("prometheus", Cadence(spacing_seconds=1.0, late_seconds=1.0, longest_seconds=1.0, ahead_seconds=0.0))
    metrics.telemetry_answered("prometheus")
    metrics.set_frozen(["shop"])
    metrics.failed("publish", TimedOut(""))
    metrics.answered("GET", "/healthz", 200, 0.1)
    return metrics
