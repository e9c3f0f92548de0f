"""``verdictd backtest``: past releases of a service, read from Prometheus' history, judged as they would have been."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from config.errors import ConfigError, Fault
from config.identity import policy_hash
from config.load import load_policy
from config.policy import Failures, Policy
from config.settings import PrometheusTelemetry, Settings
from daemon import recordings
from daemon.cli import rendering
from daemon.cli.exits import Exit
from daemon.cli.explaining import write_page
from daemon.cli.rendering import ProgressLine
from daemon.cli.reverting import arm_of
from daemon.errors import InvalidInput, NotFound
from daemon.meshes.registry import kinds, schemas
from daemon.offline.backtest import finding
from daemon.offline.backtest.moments import moment, shown
from daemon.offline.backtest.page import page
from daemon.offline.backtest.past import Past, arm_words, past_of, pasts_in, recording_name
from daemon.offline.backtest.results import Backtest, Named, Seen, judged
from daemon.offline.backtest.words import lines
from daemon.offline.parallel import available_processes
from daemon.settings import load_settings
from daemon.telemetry.history.presence import STEP_SECONDS, Versions
from daemon.telemetry.history.watching import USUAL, BesideCounts, History, Watched, history_from
from daemon.telemetry.outcomes import cannot_tell

_SOURCE = "verdictd backtest"
_TIMEOUT_SECONDS = 30.0
_ASK_WHERE_SECONDS = 7 * 86_400.0
"""Of a longer time it is asked first where it has anything in it."""


def run(options: argparse.Namespace) -> Exit:
    """The command. A release that cannot be had is said to be, and the others are judged."""
    settings = None if options.config is None else load_settings(options.config, environ=os.environ)
    telemetry = _telemetry(options, settings)
    policies = _policies(options, settings)
    folder = Path(options.recordings)
    seen = asyncio.run(_seen(options, telemetry, policies=policies, folder=folder))
    told = judged(seen, policies=policies, processes=options.processes or available_processes())
    if options.html is not None:
        write_page(Path(options.html), page(told), source=_SOURCE)
    _print(told, json=options.json)
    print(rendering.clean(f"verdictd: the recordings are in {folder}; they are not asked for again"), file=sys.stderr)
    return Exit.DATA if any(row.problem for row in told.rows) else Exit.OK


def _print(told: Backtest, *, json: bool) -> None:
    if json:
        print(rendering.as_json(told))
    else:
        print("\n".join(map(rendering.clean, lines(told))))


def _telemetry(options: argparse.Namespace, settings: Settings | None) -> PrometheusTelemetry:
    """Where the history is. A watch has a few seconds for a query; nobody waits so short a time for the past."""
    if options.prometheus is not None:
        return PrometheusTelemetry(url=options.prometheus, dialect=options.dialect, timeout_seconds=_TIMEOUT_SECONDS)
    if settings is None:
        raise _wrong("--prometheus", "is missing", fix="name the server (--prometheus URL), or settings that do (--config FILE)")
    found = {name: one for name, one in settings.telemetry.items() if isinstance(one, PrometheusTelemetry)}
    if options.telemetry is None and len(found) != 1:
        raise _wrong(
            "--telemetry", "is missing", fix=f"name one of those of kind prometheus: {', '.join(found) or 'there is none'}"
        )
    name = options.telemetry or next(iter(found))
    if name not in found:
        raise _wrong(
            "--telemetry", f"{name!r} is none of kind prometheus", fix=f"name one of: {', '.join(found) or 'there is none'}"
        )
    return msgspec.structs.replace(found[name], timeout_seconds=max(_TIMEOUT_SECONDS, found[name].timeout_seconds))


def _policies(options: argparse.Namespace, settings: Settings | None) -> list[Named]:
    short = len({Path(file).name for file in options.policy}) == len(options.policy)
    given: dict[str, Policy] = {Path(file).name if short else file: load_policy(file) for file in options.policy}
    if not given:
        given = {"default": Policy()} if settings is None else {"default": settings.policies.get("default", Policy())}
    return [Named(name=name, policy=policy, hash=policy_hash(policy)) for name, policy in given.items()]


async def _seen(
    options: argparse.Namespace, telemetry: PrometheusTelemetry, *, policies: Sequence[Named], folder: Path
) -> list[Seen]:
    """The releases with their recordings: those that are not there yet are asked for, one after the other."""
    known = schemas()
    if telemetry.dialect not in known:
        raise _wrong("--dialect", f"{telemetry.dialect!r} is none", fix=f"use one of: {', '.join(known)}")
    for one in policies:
        if untold := cannot_tell(known[telemetry.dialect], one.policy.failures):
            wrong, _, fix = untold[0].rpartition("; ")
            raise _wrong("--policy", f"{one.name} cannot be honoured: {wrong}", fix=fix)
    now = time.time()
    line = ProgressLine()
    try:
        async with history_from(
            telemetry,
            schema=known[telemetry.dialect],
            tick_seconds=options.tick,
            pause_seconds=options.pause,
            sleep=asyncio.sleep,
            entry=f"{options.config}: telemetry.{options.telemetry or '*'}" if options.prometheus is None else "--config",
            address=None if options.prometheus is None else "--prometheus",
            beside_counts=_beside(telemetry.dialect),
        ) as history:
            pasts = await _found(options, history, now=now, line=line) if _is_search(options) else _pasts(options, now=now)
            return [
                await _one(
                    past, history, options=options, policies=policies, folder=folder, now=now, line=line, of=(number, len(pasts))
                )
                for number, past in enumerate(pasts, start=1)
            ]
    finally:
        line.end()


def _beside(dialect: str) -> BesideCounts:
    """Of the first kind of mesh that has this telemetry."""
    mine = [kind for kind in kinds().values() if kind.telemetry.name == dialect]
    planes, signs = [one.control_plane for one in mine], [one.arm_signs for one in mine]
    return BesideCounts(control_plane=next(filter(None, planes), None), arm_signs=next(filter(None, signs), None))


def _pasts(options: argparse.Namespace, *, now: float) -> list[Past]:
    given: dict[str, Any] = {name: value for name in ("service", "namespace") if (value := getattr(options, name)) is not None}
    if options.releases is not None:
        return pasts_in(Path(options.releases), given=given, now=now)
    arms = {name: arm_of(getattr(options, name), f"--{name}", source=_SOURCE) for name in ("baseline", "canary")}
    times = {"from": options.begin, "to": options.end, "weight": options.weight, "label": options.label}
    return [past_of({**given, **arms, **{k: v for k, v in times.items() if v is not None}}, path="the release", now=now)]


def _is_search(options: argparse.Namespace) -> bool:
    """Whether releases are looked for: none is named, and no file lists them."""
    return options.releases is None and not options.canary and not options.baseline


async def _found(options: argparse.Namespace, history: History, *, now: float, line: ProgressLine) -> list[Past]:
    """The releases of a service between two moments."""
    for option, value in (("--service", options.service), ("--from", options.begin)):
        if value is None:
            raise _wrong(
                option, "is missing", fix="name the service and since when (--from 30d), a file (--releases), or one release"
            )
    namespace = options.namespace or "default"
    begin = moment(options.begin, now=now, path="--from")
    end = moment(options.end or "now", now=now, path="--to")
    versions = Versions(history.asking, schema=history.schema, service=options.service, namespace=namespace)

    def progress(done: float) -> None:
        line.show("looking for releases" + (f": {100 * done:.0f} %" if line.live else ""), stage="looking")

    if end - begin > _ASK_WHERE_SECONDS:
        line.show("looking for where the server's data begin", stage="looking for where")
        if (there := await versions.begin(begin, end)) is None:
            raise NotFound(finding.none_found(0, options.service, namespace))
        begin = max(begin, there)
        line.show(rendering.clean(f"nothing is there before {shown(begin)} (UTC)"), stage="found where")
    present = await versions.between(begin, end, progress=progress)
    pasts = finding.found(
        present,
        service=options.service,
        namespace=namespace,
        begin=begin,
        end=end,
        step_seconds=STEP_SECONDS,
        presume=options.presume,
    )
    if not pasts:
        raise NotFound(finding.none_found(len(present), options.service, namespace))
    return [msgspec.structs.replace(past, begin=await versions.came(past.release.canary, seen_at=past.begin)) for past in pasts]


async def _one(
    past: Past,
    history: History,
    *,
    options: argparse.Namespace,
    policies: Sequence[Named],
    folder: Path,
    now: float,
    line: ProgressLine,
    of: tuple[int, int],
) -> Seen:
    longest = max(one.policy.window_seconds for one in policies)
    end = min(past.end or past.begin + longest, now)
    # One recording for each thing that policies call a failure; the first policy that does stands in it.
    by_failures = {one.policy.failures: one.policy for one in reversed(policies)}
    names = {failures: _name(past, history, options, failures=failures, end=end) for failures in by_failures}
    paths = {failures: folder / name for failures, name in names.items()}
    seen = Seen(past=past, recordings=tuple(paths[one.policy.failures] for one in policies))
    if all(path.exists() for path in paths.values()):
        return seen
    words = f"{of[0]} of {of[1]}: {arm_words(past.release.canary)} of {shown(past.begin)}"

    def progress(done: float) -> None:
        line.show(rendering.clean(f"reading {words}" + (f": {100 * done:.0f} %" if line.live else "")), stage=words)

    try:
        watched = await history.watched(
            past.release, begin=past.begin, end=end, failures=list(paths), late_seconds=options.late, progress=progress
        )
    except NotFound as error:
        return Seen(past=past, problem=str(error))
    for (failures, path), one in zip(paths.items(), watched, strict=True):
        _keep(path, past, one, policy=by_failures[failures])
    return seen


def _name(past: Past, history: History, options: argparse.Namespace, *, failures: Failures, end: float) -> str:
    """Of the recording that is counted by what these call a failure."""
    source = f"{options.prometheus or options.config} {options.telemetry or ''} {history.schema.name}"
    if failures != USUAL:
        source += f" {msgspec.json.encode(failures).decode()}"
    return recording_name(past, end=end, tick_seconds=options.tick, late_seconds=options.late, source=source)


def _keep(path: Path, past: Past, watched: Watched, *, policy: Policy) -> None:
    """Write the recording, whole or not at all: what is there is not asked for again."""
    header = recordings.Header(
        release=msgspec.to_builtins(past.release),
        policy=policy,
        bounds_ms=watched.bounds_ms,
        split=watched.split,
        timed=watched.timed,
        tick_seconds=watched.tick_seconds,
    )
    body = b"\n".join([recordings.header_line(header), *map(recordings.line, watched.samples), b""])
    temporary = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(body)
        temporary.replace(path)
    except OSError as error:
        raise InvalidInput(
            f"cannot be written: {error.strerror}", path=str(path), fix="name another folder by --recordings"
        ) from error


def _wrong(option: str, message: str, *, fix: str) -> ConfigError:
    return ConfigError((Fault(path=option, message=message, fix=fix),), source=_SOURCE)
