"""What may be typed on a page, program by program, and what must be there for it. A program that no row knows is a fault.

Each row's check says what is wrong with the words it is given; what is run is run in ``test_commands_run``, and nothing of what
``NOT_RUN`` names is.
"""

import argparse
import contextlib
import functools
import importlib.util
import io
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import daemon
from config.settings import Http
from daemon import thinclient
from daemon.bus import subjects
from daemon.cli.parser import build
from daemon.demo.command import _parser as demo_parser
from daemon.http.openapi import DOCUMENT
from daemon.http.server import create_app
from tests.docs import kubernetes
from tests.docs.__main__ import ROOT
from tests.docs.shell import Call, Script
from tests.hand.api import Engine, ports_of
from tests.servers.catalog import SERVERS

Check = Callable[[Sequence[str]], Iterator[str]]

NOT_RUN: Final[Mapping[str, str]] = {
    "docker": "there is none where this is tested: tests/packaging/test_image.py runs what the Dockerfile's steps run",
    "pip": "asks an index; tests/packaging/test_wheel.py installs the wheel with its extras from the locks",
    "nats": "another project's client: the stream that it is told to look at is one of ours",
    "go": "asks the proxy of Go modules, once for each server that is added",
    "gh": "GitHub's client speaks to GitHub only",
    "npm": "asks npm's registry, when axe is brought up to date",
}
"""Why none of these is run."""
PLUMBING: Final = frozenset({"base64", "cut", "openssl", "sed"})
"""What every system has; it is run with the commands beside it."""

_MENTIONS: Final = ((), ("x",), ("x", "x"), ("bash",), ("settings",), ("istio",), ("--test", "x"))
"""With what a command that is only named in a sentence may be whole."""
_HEADERS: Final = frozenset(
    {"authorization", "content-type", "idempotency-key", "webhook-request-origin", "x-github-event", "x-hub-signature-256"}
)


def faults(script: Script, call: Call) -> Iterator[str]:
    """What is wrong with a command."""
    if call.program == "verdictd":
        yield from verdictd_faults(call.words, whole=not script.inline)
    elif call.program == "kubectl" and script.inline and len(call.words) == 1:
        yield from kubernetes.verb_faults(call.words[0])
    elif call.program == "kubectl":
        yield from kubernetes.kubectl_faults(call.words, inner=lambda program, words: faults(script, Call(program, tuple(words))))
    elif call.program in CHECKS:
        yield from CHECKS[call.program](call.words)
    elif call.program not in PLUMBING | NOT_RUN.keys():
        yield f"nobody tests what {call.program} does: give it a row in tests/docs/programs.py"


def verdictd_faults(words: Sequence[str], *, whole: bool) -> Iterator[str]:
    """What our own parser refuses. What is not ``whole`` may lack the last words of the command that it names."""
    refused = [_refusal(_parser_of(words), [*_options(words), *more]) for more in (((),) if whole else _MENTIONS)]
    if all(refused):
        yield f"verdictd {' '.join(words)}: {refused[0]}"


def _parser_of(words: Sequence[str]) -> argparse.ArgumentParser:
    return _demo_parser() if tuple(words[:1]) == ("demo",) else _our_parser()


_our_parser, _demo_parser, _client_parser = (functools.cache(made) for made in (build, demo_parser, thinclient.build))


def _options(words: Sequence[str]) -> Sequence[str]:
    match tuple(words):
        case ("demo", *rest):
            return rest
        case ("help", *_):
            return ["--help"]
        case ("version",):
            return ["--version"]
        case _:
            return words


def _refusal(parser: argparse.ArgumentParser, words: Sequence[str]) -> str:
    """What a parser says against these words; empty where it takes them."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            parser.parse_args([*words])
        except SystemExit as end:
            return said.getvalue().strip().rpartition("\n")[2] if end.code else ""
    return ""


def _make(words: Sequence[str]) -> Iterator[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    for word in words:
        name, given, _ = word.partition("=")
        if given and not re.search(rf"\$\((if \$\()?{name}\b|^{name} +\?=", makefile, re.MULTILINE):
            yield f"the Makefile reads no {name}"
        elif not given and word not in targets:
            yield f"make has no target {word!r}"


def _python(words: Sequence[str]) -> Iterator[str]:
    match [*words]:
        case ["verdictd.py", *rest]:
            if rest[-1:] != ["..."] and (refused := _refusal(_client_parser(), rest)):
                yield f"verdictd.py {' '.join(rest)}: {refused}"
        case ["-m", module, *rest]:
            if importlib.util.find_spec(module) is None:
                yield f"there is no module {module}"
            yield from (f"python -m {module} knows no {word}" for word in rest if not _known(module, word))
        case _:
            yield f"python {' '.join(words)}: neither a module nor the thin client"


def _known(module: str, word: str) -> bool:
    match module:
        case "tests.bench":
            return importlib.util.find_spec(f"tests.bench.{word}") is not None
        case "tests.servers":
            return word in {"status", "build", *(row.name for row in SERVERS)}
        case _:
            return True


def _pytest(words: Sequence[str]) -> Iterator[str]:
    yield from (f"{word} is not there" for word in words if "/" in word and not (ROOT / word).exists())


def _docker(words: Sequence[str]) -> Iterator[str]:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    if words[0] != "build":
        yield f"docker {words[0]} is nothing that has to be done"
    for option, value in pairwise(words):
        if option == "--target" and value not in stages:
            yield f"the Dockerfile has no stage {value}"
        if option == "-t" and value.removesuffix("-embedded") != f"verdictd:{daemon.__version__}":
            yield f"the image is not called {value}: the version is {daemon.__version__}"


def _pip(words: Sequence[str]) -> Iterator[str]:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for word in words[1:]:
        found = re.fullmatch(r"(?:\.|verdictd)\[([\w,]+)\]", word)
        if found is None or not {*found[1].split(",")} <= extras.keys():
            yield f"pip install {word}: that is none of our extras"


def _nats(words: Sequence[str]) -> Iterator[str]:
    streams = {value for name, value in vars(subjects).items() if name.isupper() and value.isupper()}
    if not {*words} & (streams | {file.name for file in Path("deploy/nats").iterdir()}):
        yield f"nats {' '.join(words)}: neither a stream nor a file of ours is named"


def _curl(words: Sequence[str]) -> Iterator[str]:
    described = _api()
    method, headers, addresses = "GET", [], []
    for option, value in pairwise([*words, ""]):
        if option in {"-X", "--request"}:
            method = value
        elif option in {"-d", "--data"} and method == "GET":
            method = "POST"
        elif option in {"-H", "--header"}:
            headers.append(value.partition(":")[0].lower())
        elif option.startswith("http://"):
            addresses.append(option)
    if len(addresses) != 1:
        yield f"curl is given {len(addresses)} addresses"
    for address in addresses:
        parts = urlsplit(address)
        fits = [path for path in described if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), parts.path)]
        operations = [operation for path in fits for name, operation in described[path].items() if name == method.lower()]
        if not operations:
            yield f"the API has no {method} {parts.path}"
        known = {one["name"] for operation in operations for one in operation["parameters"] if one["in"] == "query"}
        yield from (f"{method} {parts.path} has no parameter {key}" for key, _ in parse_qsl(parts.query) if key not in known)
    yield from (f"the API reads no header {one}" for one in headers if one not in _HEADERS and not one.startswith("ce-"))


@functools.cache
def _api() -> Mapping[str, Mapping[str, Any]]:
    paths: Mapping[str, Mapping[str, Any]] = create_app(ports_of(Engine(), Http()))[DOCUMENT]["paths"]
    return paths


CHECKS: Final[Mapping[str, Check]] = {
    "make": _make,
    "python": _python,
    "python3": _python,
    "pytest": _pytest,
    "curl": _curl,
    "helm": kubernetes.helm_faults,
    "docker": _docker,
    "pip": _pip,
    "nats": _nats,
}
PROGRAMS: Final = frozenset({"verdictd", "kubectl"} | CHECKS.keys() | NOT_RUN.keys())
"""With which of these a word in a sentence is a command."""
