"""What processes that read telemetry take, asked of the system at each scrape: the daemon's own figures hold nothing of it."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_LABELS: Final = ("telemetry",)
_USER, _SYSTEM, _RESIDENT = 11, 12, 21
"""Fields of /proc/PID/stat after the name: ticks of the processor, and pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samplers(Collector):
    """``running``: by telemetry, the process id, null while there is none, and how many were started."""

    running: Callable[[], Mapping[str, tuple[int | None, int]]]

    def collect(self) -> Iterator[Metric]:
        """A sample for each that runs."""
        cpu = CounterMetricFamily("verdictd_sampler_cpu_seconds", "Processor time of a telemetry's sampler.", labels=_LABELS)
        memory = GaugeMetricFamily("verdictd_sampler_resident_memory_bytes", "Memory of a telemetry's sampler.", labels=_LABELS)
        starts = CounterMetricFamily(
            "verdictd_sampler_starts", "Samplers that were started; more than one: it ended, or did not answer.", labels=_LABELS
        )
        for name, (pid, started) in self.running().items():
            starts.add_metric((name,), started)
            if pid is not None and (fields := _stat(pid)) is not None:
                cpu.add_metric((name,), (int(fields[_USER]) + int(fields[_SYSTEM])) / os.sysconf("SC_CLK_TCK"))
                memory.add_metric((name,), int(fields[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE"))
        yield from (cpu, memory, starts)


def _stat(pid: int) -> list[str] | None:
    """Null where it has ended, or the system has no such files."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
