"""Two schemas that verdictd does not come with, written as data only, and servers that show series in their form."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from daemon.telemetry.schema import (
    ArmLabels,
    Begins,
    DenialCounter,
    Ended,
    EnvoyStats,
    Is,
    Rule,
    Schema,
    SelfReport,
    StartedAt,
    TextPage,
    View,
)

LINKED = Schema(
    name="linked",
    outcome=(
        Rule(when=(Is("status_code", ("403",)),), ended=Ended.FORBIDDEN),
        Rule(when=(Is("classification", ("failure",)),), ended=Ended.FAILED),
        # Its latencies have no classification.
        Rule(when=(Begins("status_code", ("5",)),), ended=Ended.FAILED),
    ),
    split=True,
    views=(
        View(
            requests="response_total",
            latency="response_latency_ms",
            always=(("direction", "inbound"),),
            server_side=True,
            arms=ArmLabels(whose=(("workload", ("deployment", "statefulset")),), namespace="namespace"),
        ),
        View(
            requests="response_total",
            latency="response_latency_ms",
            always=(("direction", "outbound"),),
            arms=ArmLabels(whose=(("service", ("dst_service",)),), namespace="dst_namespace"),
        ),
    ),
    about=SelfReport(denials=(DenialCounter(names="inbound_http_authz_deny_total"),), age=StartedAt("process_start_time_seconds")),
    scrape=TextPage(path="/metrics", port=4191),
)
"""Like Linkerd's: an outcome of its own, two directions, ages as dates, a page in Prometheus' format."""

SUBSETS = Schema(
    name="subsets",
    outcome=(Rule(when=(Begins("envoy_response_code_class", ("5",)),), ended=Ended.FAILED),),
    split=False,
    views=(
        View(
            requests="envoy_cluster_upstream_rq_xx",
            latency="envoy_cluster_upstream_rq_time",
            arms=ArmLabels(
                whose=(("service", ("consul_destination_service",)),),
                also={"subset": "consul_destination_service_subset"},
                service="consul_destination_service",
                namespace="consul_destination_namespace",
            ),
        ),
    ),
    scrape=EnvoyStats(filter=r"^cluster\.(.*\.)?({arms})\..*upstream_rq_(\dxx|time)$"),
)
"""Like that of Consul's Envoys: a subset beside the service, its names taken apart into labels."""

SCHEMAS = {schema.name: schema for schema in (LINKED, SUBSETS)}

TARGETS = {"127.0.0.1": "a", "127.0.0.2": "b"}
"""What stands in the label ``instance`` of the series of these targets."""

_MATCHER = re.compile(r'(\w+)(=~|!~|=)"((?:[^"\\]|\\.)*)"')


@dataclass
class Exporter:
    """Series as one target, or a Prometheus that has scraped it, would show them.

    Attributes:
        now: time of the last scrape.
        values: current values, by name and labels.
        asked: the queries that came.
    """

    now: float
    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)
    asked: list[Mapping[str, str]] = field(default_factory=list)

    def shows(self, name: str, value: float, **labels: str) -> None:
        """Set a series' value."""
        self.values[name, tuple(sorted(labels.items()))] = value

    def shows_latency(self, name: str, total: int, *, le: tuple[str, ...], **labels: str) -> None:
        """A histogram of which all is in the first bucket."""
        for bound in (*le, "+Inf"):
            self.shows(f"{name}_bucket", total, le=bound, **labels)
        self.shows(f"{name}_sum", total * float(le[0]), **labels)

    async def as_prometheus(self, request: web.Request) -> web.Response:
        """Answer a query: the series that its matchers let through, as of the last scrape."""
        query = str((await request.post())["query"])
        self.asked.append({"query": query})
        matchers = [(label, how, value.replace("\\\\", "\\")) for label, how, value in _MATCHER.findall(query)]
        result = [
            {"metric": {"__name__": name, **dict(labels)}, "values": [[self.now, str(value)]]}
            for (name, labels), value in self.values.items()
            if all(_lets_through(matcher, {"__name__": name, **dict(labels)}) for matcher in matchers)
        ]
        return web.Response(body=json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}))

    async def as_text(self, request: web.Request) -> web.Response:
        """The page of the target whose address was asked, in Prometheus' text format. It does not say its instance."""
        self.asked.append({"path": request.path, **request.query})
        target = TARGETS[request.host.partition(":")[0]]
        lines = []
        for (name, labels), value in self.values.items():
            own = dict(labels)
            if own.pop("instance") == target:
                lines.append(name + "{" + ",".join(f'{label}="{text}"' for label, text in own.items()) + f"}} {value}")
        return web.Response(body="\n".join(lines) + "\n")


def _lets_through(matcher: tuple[str, str, str], labels: Mapping[str, str]) -> bool:
    label, how, wanted = matcher
    value = labels.get(label, "")
    if how == "=":
        return value == wanted
    return (re.fullmatch(wanted, value) is not None) == (how == "=~")
