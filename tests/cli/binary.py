"""The real binary in a shell, as pipelines run it: with its streams closed, full, or read by somebody who leaves."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from shlex import join

import pytest

VERDICTD = str(Path(sys.executable).with_name("verdictd"))

needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@dataclass(frozen=True)
class Done:
    """How it ended. ``code`` is verdictd's own, whatever came after it in a pipe."""

    code: int
    out: str
    err: str


async def verdictd(*argv: str, then: str = "", environ: dict[str, str] | None = None, stdin: bytes = b"") -> Done:
    """Run it in bash; ``then`` follows the command: redirections, or a pipe."""
    script = f"{join([VERDICTD, *argv])} {then}\nexit ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=os.environ | (environ or {}),
    )  # fmt: skip
    async with asyncio.timeout(100):
        out, err = await process.communicate(stdin)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


def python_path(*folders: Path) -> dict[str, str]:
    """An environment in which these folders are looked into first."""
    return {"PYTHONPATH": os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])])}
