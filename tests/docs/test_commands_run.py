"""The commands of the documents are run: ours by their own code beside one whole daemon, with the exit code compared, and those
that are another program's to send (curl, the thin client) by a shell, against the same daemon.

What ``shell`` finds is what is run: bash's own words, and instead of what stands for something (an id, an address, a file's name)
what it stands for here.
"""

import asyncio
import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from daemon.cli import main
from daemon.cli.exits import Exit
from tests.docs import programs, shell
from tests.docs.shell import Call, Script
from tests.docs.test_commands import GIVEN, typed
from tests.docs.world import TOKEN, World, world
from tests.hand.broker import broker
from tests.hand.unhurried import unhurried_reverts

__all__ = ["unhurried_reverts"]

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("typed"),
]

AS_IT_IS: Final[Mapping[str, str]] = {
    "demo": "a world of its own for 40 s: tests/demo and tests/mesh/test_demo.py run it",
    "run": "the daemon that the others are run against is one",
    "status --watch": "looks on until it is told to end: tests/cli/test_following.py",
    "revert --dry-run": "names the option: docs/revert.md has it with a release",
    "revert --json": "names the option: tests/cli/test_reverting.py",
}
"""Commands that are read and not run, by how they begin, with the reason."""
ENDS: Final[Mapping[str, int]] = {
    "backtest": Exit.DATA,  # this Prometheus has no past: tests/live/test_demopast.py has the page's
    "check narrow broken.jsonl": Exit.USAGE,
    "replay recordings/errors": Exit.ROLLBACK,
    "replay broken.jsonl": Exit.DATA,
    "replay a/web": Exit.INCONCLUSIVE,  # its watch was cancelled
    "replay PART": Exit.INCONCLUSIVE,
    "doctor": Exit.DATA,  # this Prometheus has no series: tests/mesh/test_doctor.py has the page's
    "wait": Exit.INCONCLUSIVE,  # it was cancelled
    "revert ID --dry-run": Exit.OK,
    "revert ID": Exit.USAGE,  # it asks before it writes, and nobody is there to be asked
    "restore ID": Exit.USAGE,
    # These settings have no channel of GitHub's; tests/sinks/test_githubapp.py tries one.
    "notify --test hub": Exit.USAGE,
}
"""What the commands exit with that do not exit with 0, by how they begin."""
FILES: Final = {"check": "verdictd.yaml", "hook": "deployment.json", "doctor": "web.yaml", "explain": "page.html"}
"""What FILE is."""
BRIEF: Final = {"plan": ("--runs", "2", "--tick", "15", "--processes", "1"), "doctor": ("--observe", "1")}
"""What keeps short what takes as long as somebody wants."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("typed")
    async with broker(tmp_path_factory.mktemp("nats")) as nats, world(nats, folder) as made:
        yield made


def here(words: tuple[str, ...], there: World) -> list[str]:
    """The words with what they stand for in this world."""
    command = words[0]
    stands = {
        "ID": there.own.get(command, there.ended),
        "FILE": FILES.get(command, "FILE"),
        "NAME": "alerts",
        "PART...": f"a/{there.ended}.jsonl",
        "WHOLE": "whole.jsonl",
        "/etc/verdictd/verdictd.yaml": "verdictd.yaml",
        "http://prometheus:9090": there.prometheus,
    }
    said = [re.sub(r"web-784165bacfb9311c|web-8c1f7e", there.ended, stands.get(word, word)) for word in words]
    return [*said, *BRIEF.get(command, ())]


def read(scripts: list[Script], there: World) -> list[tuple[Script, tuple[Call, ...]]]:
    """What bash would call, among copies of the files: it writes where it is told to."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(there.folder, copy, dirs_exist_ok=True)
        found = shell.called(scripts, folder=Path(copy), env=GIVEN)
    return [(script, one.calls) for script, one in zip(scripts, found, strict=True)]


def ours(there: World) -> Iterator[tuple[Script, tuple[str, ...]]]:
    """Each of our commands once, in the order of the pages; those too that kubectl runs in the pod. Mere names are left out."""
    seen = set()
    for script, calls in read([*typed()], there):
        for call in calls:
            words = call.words[call.words.index("--") + 2 :] if call.program == "kubectl" and "--" in call.words else call.words
            named = script.inline and len(words) < 2
            if call.program in {"verdictd", "kubectl"} and not named and words not in seen and whole(words):
                seen.add(words)
                yield script, words


def whole(words: tuple[str, ...]) -> bool:
    """Whether it is a command of ours to its end, and not the name of one of its options."""
    begins = (reason for begins, reason in AS_IT_IS.items() if [*words[: len(begins.split())]] == begins.split())
    return next(begins, None) is None and not [*programs.verdictd_faults(words, whole=True)]


async def test_our_commands_end_as_the_pages_have_them(running: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(running.folder)
    for name, value in {"VERDICTD_SERVER": running.url, "VERDICTD_TOKEN": TOKEN, "KUBECONFIG": str(running.kubeconfig)}.items():
        monkeypatch.setenv(name, value)
    wrong, commands = [], [*ours(running)]
    for script, words in commands:
        code, said = await asyncio.to_thread(ended, here(words, running), stdin=running.folder / "web.yaml")
        line = " ".join(words)
        if code != (ends := next((ends for begins, ends in ENDS.items() if line.startswith(begins)), Exit.OK)):
            wrong.append(f"{script.place}: verdictd {line} ends with {code}, not with {ends}: {said}")
    assert not wrong, "\n\n".join(wrong)
    assert len(commands) > 40


def ended(argv: list[str], *, stdin: Path) -> tuple[int, str]:
    """The exit code of a command of ours, and the end of what it said."""
    said, before = io.StringIO(), sys.stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.read_bytes()))
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return main(argv), said.getvalue()[-400:]
    finally:
        sys.stdin = before


REFUSED: Final[Mapping[str, int]] = {"docs/watching.md": 22}
"""This daemon watches no routes, and says so; with routes: tests/discovery/test_announced.py, tests/mesh/test_watched_real.py."""


def sent(there: World) -> Iterator[Script]:
    """The scripts in which another program asks the daemon, each once. ``...`` stands for what is said elsewhere."""
    seen = set()
    for script, calls in read([*typed()], there):
        asks = any(call.program in {"curl", "python3"} and "..." not in call.words for call in calls)
        if asks and script.text not in seen:
            seen.add(script.text)
            yield script


async def test_what_is_sent_without_our_command_is_answered_well(running: World) -> None:
    env = {name: running.url if value.startswith("http:") else TOKEN for name, value in GIVEN.items()} | {"BUILD_TAG": "build-7"}
    found = [*sent(running)]
    # One after the other: each announces, and a newer release of a service ends the one before.
    results = [await run(script, running.folder, env) for script in found]
    told = [
        f"{script.place}: ends with {code}: {said}"
        for script, (code, said) in zip(found, results, strict=True)
        if code != REFUSED.get(script.page, 0)
    ]
    assert not told, "\n\n".join(told)
    assert len(found) > 9


async def run(script: Script, folder: Path, env: Mapping[str, str]) -> tuple[int | None, str]:
    """How a shell ends with it, and what was said."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    process = await asyncio.create_subprocess_exec(
        shell.BASH, "-euc", script.text, cwd=folder, env={**env, "PATH": path},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    return process.returncode, said.decode()
