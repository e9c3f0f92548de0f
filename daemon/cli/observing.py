"""A running service observed for a while through its own telemetry, as the daemon reads it, to plan its next release.

Telemetry compares two arms and says nothing of one alone, so that a canary must be taking some traffic meanwhile.
"""

import argparse
import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack

from analyzers.counts import Sample
from config.errors import ConfigError, Fault
from config.policy import Failures, Policy
from config.settings import EnvoyTelemetry, Mesh, PrometheusTelemetry, Settings, SidecarTelemetry
from daemon.aio.clock import SystemClock
from daemon.armpods import PodsByArm
from daemon.cli.releasefile import load_release
from daemon.cli.rendering import ProgressLine
from daemon.cli.settingsfile import settings_file
from daemon.cli.steering import mesh_of
from daemon.clusters import KubeClients
from daemon.engine.dependencies import clusters_of
from daemon.errors import InvalidInput, VerdictdError
from daemon.measurements import Reading, Watch
from daemon.meshes.registry import need_kubernetes, schemas
from daemon.model import Release
from daemon.offline.plan.seen import Seen
from daemon.offline.plan.service import Service
from daemon.ports.telemetry import Telemetry
from daemon.settings import load_settings
from daemon.telemetry.factory import telemetry_from

_MERGED = 3
"""Proxies merge their histograms every few seconds: so many readings at least, or no latency is seen."""


def observed(options: argparse.Namespace) -> tuple[Service, Policy]:
    """The service behind ``options.release``, read through the telemetry of ``options.config`` for ``options.observe`` seconds.

    Raises:
        ConfigError: the settings or the release cannot be used.
        InvalidInput: nothing was seen, with the reason.
    """
    config = settings_file(options.config, environ=os.environ)
    if config is None:
        problem = Fault(path="--config", message="is missing", fix="name the settings that say where the telemetry is")
        raise ConfigError((problem,), source="verdictd plan")
    settings, release = load_settings(config, environ=os.environ), load_release(options.release)
    policy = settings.policies.get(release.policy, Policy())
    return asyncio.run(_observe(settings, release, failures=policy.failures, seconds=options.observe)), policy


async def _observe(settings: Settings, release: Release, *, failures: Failures, seconds: float) -> Service:
    mesh = mesh_of(settings.meshes, release, source="verdictd plan")
    source = _source(settings, mesh.telemetry)
    pods = await _pods(settings, mesh, release)
    async with telemetry_from(source, clock=SystemClock(), schemas=schemas()) as telemetry:
        if untold := telemetry.cannot_tell(failures):
            wrong, _, fix = untold[0].rpartition("; ")
            raise InvalidInput(f"policy {release.policy!r} cannot be honoured: {wrong}", path="--release", fix=fix)
        if not telemetry.timed(release):
            reason = "no latency is known of TCP, and what a watch would find is foretold from latencies too"
            raise InvalidInput(reason, path="--release", fix="watch it under a policy whose mode is observe")
        watch = Watch(release_id="plan", release=release, failures=failures, pods=pods)
        seen, last = await _watch(telemetry, watch, seconds=seconds)
        split, tick_seconds = telemetry.split, telemetry.tick_seconds
    if seen.baseline_requests == 0 or last.bounds_ms is None:
        reason = last.gap or "it served no request"
        fix = "observe while both versions take traffic, for longer (--observe), or give the recording of a release (--from)"
        raise InvalidInput(f"nothing was seen: {reason}", path="--release", fix=fix)
    return seen.service(
        source="--release",
        bounds_ms=last.bounds_ms,
        split=split,
        tick_seconds=tick_seconds,
        weight=release.weight,
    )


async def _pods(settings: Settings, mesh: Mesh, release: Release) -> PodsByArm | None:
    """Which pods the arms are, as the daemon would look; null where there is no cluster to ask, which is said."""
    if not need_kubernetes([mesh]):
        return None
    try:
        async with AsyncExitStack() as stack:
            clusters = KubeClients(settings, stack).open_mesh(mesh, name="NAME")
            home, *_ = clusters_of(clusters, release.strategy).values()
            return (await home.router.locate(release)).pods
    except VerdictdError as error:
        print(f"verdictd: the arms are taken for what the release says, since their pods are not known: {error}", file=sys.stderr)
        return None


def _source(settings: Settings, name: str) -> PrometheusTelemetry | EnvoyTelemetry:
    """What is read: in the place of pods, which the daemon watches, what stands in for them."""
    entry = settings.telemetry[name]
    if not isinstance(entry, SidecarTelemetry):
        return entry
    instead = None if entry.fallback is None else settings.telemetry[entry.fallback]
    if not isinstance(instead, PrometheusTelemetry):
        fix = "name a prometheus entry as its fallback, or give the recording of a release (--from)"
        raise InvalidInput("sidecars are read by the daemon only", path=f"telemetry.{name}", fix=fix)
    return instead


async def _watch(telemetry: Telemetry, watch: Watch, *, seconds: float) -> tuple[Seen, Reading]:
    """Add up what is read, tick by tick."""
    seen, began, line = Seen(), time.monotonic(), ProgressLine()
    reading = Reading(seconds=0.0)
    turns = max(_MERGED, round(seconds / telemetry.tick_seconds))
    try:
        for turn in range(turns + 1):
            await asyncio.sleep(max(0.0, began + turn * telemetry.tick_seconds - time.monotonic()))
            reading = (await telemetry.read([watch]))[watch.release_id]
            seen = seen.plus(
                Sample(t=0.0, seconds=reading.seconds, baseline=reading.baseline, canary=reading.canary, gap=reading.gap)
            )
            if line.live:
                said = f": {reading.gap}" if reading.gap else ""
                line.show(f"observing {watch.release.service}: {100 * turn // turns} %{said}", stage="observing")
    finally:
        line.end()
    return seen, reading
