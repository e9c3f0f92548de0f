"""``python -m tests.mesh.doctorpage``: what docs/doctor.md shows, made of a real world with one thing wrong at a time."""

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from daemon.cli.diagnosing import lines
from tests.mesh.doctor_faults import FAULTS, HEALTHY
from tests.mesh.doctor_world import Fault, World, examined, world

_COMMAND = "$ verdictd doctor --config verdictd.yaml --release web.yaml"
_AT_A_TIME = 4


async def shown(world: World, fault: Fault, folder: Path) -> str:
    """What the command says of it, with addresses as they would be in a cluster."""
    async with examined(world, fault, folder) as examination:
        findings = await examination.run()
    said = as_in_a_cluster("\n".join(lines(findings)))
    return said if fault is HEALTHY else said.partition("\n\nwhat is there")[0]


def as_in_a_cluster(text: str) -> str:
    """Without what is of the machine that made it."""
    text = re.sub(r"/\S*/(kubeconfig|dead|password)", r"/etc/verdictd/\1", text)
    text = re.sub(r"127\.0\.0\.1(:|', )9\b", r"10.9.9.9\g<1>9", text)
    return re.sub(r"127\.0\.0\.1:\d+", "prometheus:9090", text)


async def _main(only: str) -> int:
    chosen: Sequence[Fault] = [one for one in (HEALTHY, *FAULTS) if re.search(only, one.name)]
    places = asyncio.Semaphore(_AT_A_TIME)
    with tempfile.TemporaryDirectory() as name:
        async with world(Path(name) / "world") as running:

            async def one(number: int, fault: Fault) -> str:
                async with places:
                    return await shown(running, fault, Path(name) / str(number))

            said = await asyncio.gather(*(one(number, fault) for number, fault in enumerate(chosen)))
    for fault, text in zip(chosen, said, strict=True):
        sys.stdout.write(f"### {fault.name}\n\n```console\n{_COMMAND}\n{text}\n```\n\n")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.mesh.doctorpage", description="Print what docs/doctor.md shows.")
    parser.add_argument("--only", default="", metavar="REGEX", help="of the faults' names")
    sys.exit(asyncio.run(_main(parser.parse_args().only)))
