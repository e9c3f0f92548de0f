"""``verdictd doctor``: what a daemon with these settings would meet, the worst first, each with what mends it.

It changes nothing, anywhere, and asks little: a dozen bounded queries, and then what the daemon itself asks of the releases named.
"""

import argparse
import asyncio
import logging
import os
from collections.abc import Iterator

from config.settings import Settings
from daemon.aio.clock import SystemClock
from daemon.cli import rendering
from daemon.cli.exits import Exit
from daemon.cli.releasefile import load_release, refused
from daemon.cli.rendering import ProgressLine
from daemon.cli.settingsfile import settings_file
from daemon.doctor.diagnosis import Diagnosis, Findings
from daemon.doctor.examination import Examination
from daemon.doctor.routes import Case, case_of
from daemon.errors import InvalidInput
from daemon.settings import load_settings


def run(options: argparse.Namespace) -> Exit:
    """The command: 0 nothing is wrong, 65 something is."""
    config = settings_file(options.config, environ=os.environ)
    settings = load_settings(config, environ=os.environ)
    # What the parts would log is among what they are asked for.
    logging.getLogger("daemon").addHandler(logging.NullHandler())
    cases = [_case(settings, file) for file in options.release]
    line = ProgressLine()

    def progress(said: str) -> None:
        if line.live:
            line.show(said, stage="watching")

    examination = Examination(settings=settings, cases=cases, seconds=options.observe, clock=SystemClock(), progress=progress)
    try:
        findings = asyncio.run(examination.run())
    finally:
        line.end()
    print(_document(findings) if options.json else "\n".join(lines(findings)))
    return code_of(findings, strict=options.strict)


def code_of(findings: Findings, *, strict: bool) -> Exit:
    """65 where there is a fault; ``strict``: a warning is one too."""
    wrong = findings.count("fault") + (findings.count("warning") if strict else 0)
    return Exit.DATA if wrong else Exit.OK


def lines(findings: Findings) -> Iterator[str]:
    """For a person: one line for each thing that is wrong, then what mends each, then what is there and well."""
    wrong = [one for one in findings.diagnoses if one.severity != "note"]
    notes = [one for one in findings.diagnoses if one.severity == "note"]
    counts = ", ".join(f"{_several(findings.count(one), one)}" for one in ("fault", "warning") if findings.count(one))
    yield f"{counts or 'nothing is wrong'} (examined in {findings.seconds:.0f} s)"
    yield from (rendering.clean(_headline(one)) for one in wrong)
    if wrong:
        yield ""
        yield "what mends it"
        yield from (line for one in wrong for line in _mend(one))
    if notes:
        yield ""
        yield "what is there"
        yield from (line for one in notes for line in _noted(one))


def _headline(one: Diagnosis) -> str:
    return f"{one.severity.upper():<8}{one.code:<22} {one.where}: {one.found}"


def _mend(one: Diagnosis) -> Iterator[str]:
    first, *further = one.fix.splitlines() or ["nothing is known to"]
    yield rendering.clean(f"  {one.code} ({one.where})")
    yield rendering.clean(f"    {first}")
    yield from (rendering.clean(f"      {line}") for line in (*further, *one.more))


def _noted(one: Diagnosis) -> Iterator[str]:
    yield rendering.clean(f"  {one.code:<15} {one.where}: {one.found}")
    yield from (rendering.clean(f"      {line}") for line in one.more)


def _several(count: int, what: str) -> str:
    return f"{count} {what}" + ("s" if count != 1 else "")


def _document(findings: Findings) -> str:
    """One line of JSON, with how bad each is."""
    return rendering.as_json(
        {
            "ok": not findings.count("fault"),
            "faults": findings.count("fault"),
            "warnings": findings.count("warning"),
            "seconds": findings.seconds,
            "findings": [
                {
                    "severity": one.severity,
                    "code": one.code,
                    "where": one.where,
                    "found": one.found,
                    "fix": one.fix,
                    "more": one.more,
                }
                for one in findings.diagnoses
            ],
        }
    )


def _case(settings: Settings, file: str) -> Case:
    """A release with its mesh and its policy. Raises ``ConfigError``."""
    try:
        return case_of(settings, load_release(file))
    except InvalidInput as error:
        raise refused(error, source=file) from error
