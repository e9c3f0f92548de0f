"""``verdictd plan``: what a watch of a service would find and how soon, simulated before there is a release."""

import argparse
import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from config import documents
from config.errors import ConfigError, Fault
from config.load import checked, load_policy
from config.policy import Policy
from daemon.cli import rendering
from daemon.cli.exits import Exit
from daemon.cli.rendering import ProgressLine
from daemon.offline.parallel import available_processes
from daemon.offline.plan.latency import Histogram
from daemon.offline.plan.regressions import Regression, fraction, parsed, usual
from daemon.offline.plan.scenarios import Plan, plan, scenarios_for
from daemon.offline.plan.seen import of_recording
from daemon.offline.plan.service import DEFAULT_WEIGHT, Service
from daemon.offline.plan.words import TABLE_WIDTH, lines
from daemon.recordings import torn_words

_SOURCE = "verdictd plan"


def run(options: argparse.Namespace) -> Exit:
    """The command."""
    policy = None if options.policy is None else load_policy(options.policy)
    regressions = [parsed(text) for text in options.regression]
    service, recorded = _observed(options)
    policy = policy or recorded or Policy()
    service = described(options, service)
    found = _planned(options, service, policy=policy, regressions=regressions or usual(service, policy))
    print(
        rendering.as_json(found)
        if options.json
        else "\n".join(lines(found, columns=shutil.get_terminal_size((TABLE_WIDTH, 24)).columns))
    )
    return Exit.OK


def _planned(options: argparse.Namespace, service: Service, *, policy: Policy, regressions: Sequence[Regression]) -> Plan:
    line = ProgressLine()

    def progress(done: int, of: int) -> None:
        if line.live:
            line.show(f"simulating: {100 * done // of} %", stage="plan")

    try:
        return plan(
            scenarios_for(service, policy=policy),
            policy=policy,
            regressions=regressions,
            releases=options.runs,
            seed=options.seed,
            processes=options.processes or available_processes(),
            progress=progress,
        )
    finally:
        line.end()


def _observed(options: argparse.Namespace) -> tuple[Service | None, Policy | None]:
    """What a recording or the service's own telemetry shows, with the policy it goes with; nulls: nothing was named."""
    if options.recording is not None:
        path = Path(options.recording)
        service, recording = of_recording(path)
        if recording.torn_line is not None:
            print(rendering.clean(f"verdictd: {torn_words(path, recording.torn_line)}"), file=sys.stderr)
        return service, recording.header.policy
    if options.release is not None:
        from daemon.cli.observing import observed

        return observed(options)
    if options.config is not None:
        raise _wrong("--release", "is missing", fix="--config observes a service: name the release whose baseline it is")
    return None, None


def described(options: argparse.Namespace, observed: Service | None) -> Service:
    """The service by the options' figures, laid over what was observed.

    Raises:
        ConfigError: a figure is missing or impossible.
    """
    given = _figures(options)
    if observed is None:
        for name, option in (("rps", "--rps"), ("median_ms", "--median-ms"), ("p99_ms", "--p99-ms")):
            if name not in given:
                fix = "give --rps, --median-ms and --p99-ms (or --histogram), or --from RECORDING"
                raise _wrong(option, "is missing", fix=fix)
    known = {} if observed is None else msgspec.structs.asdict(observed)
    if observed is not None and {"median_ms", "p99_ms"} & given.keys() and "histogram" not in given:
        known["histogram"] = None
    try:
        return Service(**{"weight": DEFAULT_WEIGHT, **known, **given})
    except ValueError as error:
        problems = (Fault(path="the service", message=one, fix="correct it") for one in str(error).splitlines())
        raise ConfigError(tuple(problems), source=_SOURCE) from error


def _figures(options: argparse.Namespace) -> dict[str, Any]:
    """The figures that were given, by the service's names for them."""
    plain = {"rps": options.rps, "weight": options.weight, "median_ms": options.median_ms, "p99_ms": options.p99_ms}
    given: dict[str, Any] = {name: value for name, value in (*plain.items(), ("tick_seconds", options.tick)) if value is not None}
    if options.burst is not None:
        given["burst"] = options.burst
    for name in ("errors", "denied", "jitter"):
        if getattr(options, name) is not None:
            given[name] = _share(f"--{name}", getattr(options, name))
    if options.histogram is not None:
        given |= _histogram(options.histogram)
    if options.bounds_ms is not None:
        given["bounds_ms"] = _bounds(options.bounds_ms)
    if options.unsplit:
        given["split"] = False
    return given


def _histogram(file: str) -> dict[str, Any]:
    """Latencies from a file; its buckets are those that telemetry reads, unless others are given."""
    histogram = checked(documents.read(Path(file)), Histogram, source=file)
    try:
        shape = histogram.shape
    except ValueError as error:
        problem = Fault(path="counts", message=str(error), fix="give one count more than bounds")
        raise ConfigError((problem,), source=file) from error
    return {
        "histogram": histogram,
        "bounds_ms": histogram.bounds_ms,
        "median_ms": shape.quantile_ms(0.5),
        "p99_ms": shape.quantile_ms(0.99),
    }


def _share(option: str, text: str) -> float:
    try:
        return fraction(text)
    except ValueError as error:
        raise _wrong(option, f"{text!r} is no share", fix="write a fraction or percent: 0.001 or 0.1%") from error


def _bounds(text: str) -> tuple[float, ...]:
    try:
        bounds = tuple(float(one) for one in text.split(","))
    except ValueError as error:
        raise _wrong("--bounds-ms", f"{text!r} is no list of numbers", fix="write 5,10,25,50,100") from error
    if any(not math.isfinite(one) for one in bounds):
        raise _wrong("--bounds-ms", f"{text!r} holds a bound that is not finite", fix="leave out +Inf")
    return bounds


def _wrong(option: str, message: str, *, fix: str) -> ConfigError:
    return ConfigError((Fault(path=option, message=message, fix=fix),), source=_SOURCE)
