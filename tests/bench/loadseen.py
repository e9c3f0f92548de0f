"""What a daemon says of itself at a moment, and what an API server was asked until then; and what lies between two such moments."""

import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from tests.hand.daemons import DaemonApi
from tests.servers.kube_apiserver import KubeApiServer

_ASKED = re.compile(r'apiserver_request_total\{[^}]*resource="(\w+)"[^}]*verb="(LIST|GET|PATCH)"[^}]*\} (\S+)')
_ROUNDS = [f"verdictd_{part}_seconds_{of}" for part in ("sampling", "judging") for of in ("sum", "count")]
_LAG = [f"verdictd_event_loop_lag_seconds_{of}" for of in ("bucket", "count")]
_PROCESS = [f"{of}_{what}" for of in ("process", "verdictd_sampler") for what in ("cpu_seconds_total", "resident_memory_bytes")]
_PATH = "/metrics?" + "&".join(
    f"name[]={name}" for name in (*_PROCESS, *_ROUNDS, *_LAG, "verdictd_round_timestamp_seconds", "verdictd_releases")
)
"""No more than is looked at: of thousands of releases the whole page has millions of bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The daemon's metrics, each added up over its labels; releases by stage; questions to the API server by verb and kind."""

    at: float
    values: Mapping[str, float]
    stages: Mapping[str, float]
    asked: Counter[str]

    def since(self, before: "Seen", name: str) -> float:
        """By how much it has grown."""
        return self.values.get(name, 0.0) - before.values.get(name, 0.0)

    def cpu_since(self, before: "Seen") -> float:
        """Seconds of processor time, the sampler's among them."""
        return sum(self.since(before, f"{of}_cpu_seconds_total") for of in ("process", "verdictd_sampler"))

    @property
    def memory_bytes(self) -> float:
        """Of the daemon and its sampler."""
        return sum(self.values.get(f"{of}_resident_memory_bytes", 0.0) for of in ("process", "verdictd_sampler"))

    def asked_since(self, before: "Seen") -> tuple[int, str]:
        """How many listings, and all questions for a person."""
        asked = self.asked - before.asked
        lists = sum(count for what, count in asked.items() if what.startswith("LIST"))
        return lists, ", ".join(f"{what} {count}" for what, count in sorted(asked.items()))

    def lag_since(self, before: "Seen") -> str:
        """How often the loop turned how late."""
        name = "verdictd_event_loop_lag_seconds"
        total = max(1.0, self.since(before, f"{name}_count"))
        shares = [(bound, self.since(before, f"{name}_bucket<={bound}") / total) for bound in ("0.02", "0.1", "0.5")]
        return ", ".join(f"{100 * share:.1f} % <= {float(bound) * 1e3:.0f} ms" for bound, share in shares)


async def seen(daemon: DaemonApi, api: KubeApiServer | None = None) -> Seen:
    """Now; without an API server, what that was asked is left out."""
    text = (await daemon.until_answered(_PATH)).decode()
    values: Counter[str] = Counter()
    stages: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            bound = sample.labels.get("le")
            values[f"{sample.name}<={bound}" if bound else sample.name] += sample.value  # type: ignore[assignment]  # a float
            if sample.name == "verdictd_releases":
                stages[sample.labels["stage"]] = sample.value
    return Seen(at=time.monotonic(), values=values, stages=stages, asked=Counter() if api is None else await asked_of(api))


async def asked_of(api: KubeApiServer) -> Counter[str]:
    """All questions to it so far by verb and kind; its own to itself are among them, and few."""
    async with api.session() as session, session.get("/metrics") as answer:
        found: Counter[str] = Counter()
        for resource, verb, count in _ASKED.findall(await answer.text()):
            found[f"{verb} {resource}"] += int(float(count))
        return found
