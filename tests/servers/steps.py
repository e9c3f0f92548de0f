"""Running the commands that builds consist of, and the patience that registries ask for."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PAUSES = (5.0, 20.0, 60.0)
"""Seconds between the tries of a download: a registry that answers wrongly usually does so for about a minute."""


class StepFailed(Exception):
    """A step of a build failed; the text is the reason, in the words of the tool that failed."""


def run(
    argv: Sequence[str | Path],
    *,
    seconds: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Runs one command and returns what it printed; its failure carries the end of what it complained about."""
    command = Path(argv[0]).name
    try:
        done = subprocess.run(
            [str(word) for word in argv], cwd=cwd, env=env, timeout=seconds, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        raise StepFailed(f"{command} took more than {seconds:.0f} s") from None
    except OSError as error:
        raise StepFailed(f"{command} cannot be run: {error}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-12:]
        raise StepFailed(f"{command} ended with {done.returncode}: " + "\n".join(said))
    return done.stdout


def download(
    argv: Sequence[str | Path],
    *,
    seconds: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    pauses: Sequence[float] = PAUSES,
) -> str:
    """`run` for what asks a registry: tried again after each of the pauses before it is given up."""
    for pause in pauses:
        try:
            return run(argv, seconds=seconds, cwd=cwd, env=env)
        except StepFailed as failure:
            print(f"  failed, next try in {pause:.0f} s: {failure}", flush=True)
            time.sleep(pause)
    return run(argv, seconds=seconds, cwd=cwd, env=env)
