"""Every command that the documents tell somebody to type is one that there is, with words that it takes and things that are there.

They are collected by ``shell``, judged by ``programs``, and run in ``test_commands_run``.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import kubernetes, programs, shell
from tests.docs.__main__ import ROOT, documents
from tests.docs.shell import Call, Script
from tests.packaging.chart import rendered
from tests.packaging.manifests import documents as manifests

GIVEN = {
    name: "http://127.0.0.1:8484" if name.startswith("VERDICTD") and not name.endswith("TOKEN") else "s3cret"
    for name in (
        "VERDICTD",
        "VERDICTD_SERVER",
        "VERDICTD_TOKEN",
        "TOKEN",
        "GATE_SECRET",
        "CI_SECRET",
        "FLUX_SECRET",
        "GITHUB_SECRET",
    )
} | {"BUILD_TAG": "build-7"}
"""What the pages take as said already."""


PAST = frozenset({"CHANGELOG.md"})
"""Says what commands were called in a version, and stays."""


def pages() -> dict[str, str]:
    found = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in documents(ROOT)}
    return {name: text for name, text in found.items() if name not in PAST}


def typed() -> Iterator[Script]:
    for name, text in pages().items():
        yield from shell.scripts(name, text)
        yield from shell.mentioned(name, text, programs=programs.PROGRAMS)


def read(scripts: list[Script], folder: Path) -> list[tuple[Script, shell.Called]]:
    """What bash would call of each, with the files there that it is to read."""
    (folder / "web.yaml").touch()
    return [*zip(scripts, shell.called(scripts, folder=folder, env=GIVEN), strict=True)]


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Script, shell.Called]]:
    return read([*typed()], tmp_path_factory.mktemp("typed"))


def test_no_block_of_a_document_hides_what_is_in_it() -> None:
    assert [f"{name}: {fault}" for name, text in pages().items() for fault in shell.faults(text)] == []


def test_every_command_is_of_a_known_kind_and_right(called: list[tuple[Script, shell.Called]]) -> None:
    wrong = [f"{script.place}: {found.wrong.strip()}" for script, found in called if found.wrong]
    wrong += [
        f"{script.place}: {fault}" for script, found in called for call in found.calls for fault in programs.faults(script, call)
    ]
    assert wrong == []


def test_the_documents_have_commands_of_every_program_that_there_is_a_row_for(called: list[tuple[Script, shell.Called]]) -> None:
    found = Counter(call.program for _, one in called for call in one.calls)
    assert found.keys() == programs.PROGRAMS | programs.PLUMBING
    assert found["verdictd"] > 100


@pytest.mark.mesh
def test_the_objects_that_kubectl_is_asked_for_are_those_that_are_installed(called: list[tuple[Script, shell.Called]]) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in [*rendered(), *manifests()]}
    asked = {
        (script.place, *one)
        for script, found in called
        for call in found.calls
        if call.program == "kubectl"
        for one in kubernetes.named(call.words)
    }
    assert {place.partition(":")[0] for place, _, _ in asked} >= {"docs/install.md", "docs/doctor.md", "deploy/README.md"}
    assert [(place, kind, name) for place, kind, name in sorted(asked) if (kind, name) not in there] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("verdictd wait x --fast", "verdictd wait x --fast: verdictd: unrecognized arguments: --fast"),
        ("verdictd wait", "verdictd wait: verdictd wait: the following arguments are required: ID"),
        ("verdictd submit x | jq .id", "nobody tests what jq does: give it a row in tests/docs/programs.py"),
        ("x=$(verdictd status --sevice y) || exit 1", "verdictd status --sevice y: verdictd: unrecognized arguments: --sevice"),
        (
            "kubectl -n verdictd exec deploy/verdictd -- verdictd sattus",
            "verdictd sattus: verdictd: argument COMMAND: invalid choice",
        ),
        ("kubectl -n shop scale deploy/web", "kubectl -n shop scale deploy/web: give it a row in tests/docs/kubernetes.py"),
        ("kubectl apply -f deploy/manifest/", "deploy/manifest/ is not there"),
        (
            "kubectl -n x create secret generic ours --from-literal=nokey=c",
            "nothing in deploy or daemon reads the key nokey of a Secret ours",
        ),
        ("kubectl create rolebinding a --clusterrole=verdictd-act", "deploy/manifests has no verdictd-act"),
        ("kubectl label namespace ci friend=true", "no NetworkPolicy asks for the label friend=true"),
        ("kubectl annotate virtualservice web verdictd.io/green=1", "nothing reads the annotation verdictd.io/green=1"),
        ("kubectl patch configmap a --patch-file deploy/pipelines/argocd-notifications.yaml", "the patch is of another object"),
        ("helm template x deploy/charts", "helm template is nothing that has to be done"),
        ("helm install x deploy/charts", "deploy/charts is not there"),
        ("curl -sS $VERDICTD/v1/release", "the API has no GET /v1/release"),
        ("curl -d '{}' $VERDICTD/v1/releases?dry=1 -H 'X-Token: 1'", "POST /v1/releases has no parameter dry"),
        ("curl $VERDICTD/healthz -H 'X-Token: 1'", "the API reads no header x-token"),
        ("make tset", "make has no target 'tset'"),
        ("make bench PART=judge", "the Makefile reads no PART"),
        ("python -m tests.gone", "there is no module tests.gone"),
        ("python -m tests.bench judges", "python -m tests.bench knows no judges"),
        ("python3 verdictd.py submit --wiat", "verdictd.py submit --wiat: verdictd.py"),
        ("python3 setup.py", "python setup.py: neither a module nor the thin client"),
        ("pytest tests/gone.py", "tests/gone.py is not there"),
        ("docker build --target tiny .", "the Dockerfile has no stage tiny"),
        ("docker build -t verdictd:0.0.1 .", "the image is not called verdictd:0.0.1"),
        ("pip install 'verdictd[mail]'", "pip install verdictd[mail]: that is none of our extras"),
        ("nats stream view VERDICT", "nats stream view VERDICT: neither a stream nor a file of ours is named"),
    ],
)
def test_what_is_wrong_with_a_command_is_found(text: str, expected: str, tmp_path: Path) -> None:
    script = Script("page.md", 1, text)
    [(_, found)] = read([script], tmp_path)
    assert any(fault.startswith(expected) for call in found.calls for fault in programs.faults(script, call))


def test_what_is_named_in_a_sentence_may_lack_its_last_words_and_no_others() -> None:
    def said(*words: str) -> list[str]:
        return [*programs.faults(Script("page.md", 1, "", inline=True), Call("verdictd", words))]

    assert said("wait", "--timeout", "5m") == said("explain", "--html") == []
    assert said("wait", "--fast") != []


def test_of_alternatives_in_a_sentence_each_is_a_command() -> None:
    page = "`verdictd freeze|thaw x`, `verdictd help [wait]`, `pip install verdictd[notify]`"
    found = shell.mentioned("p.md", page, programs=programs.PROGRAMS)
    assert [one.text for one in found] == [
        *("verdictd freeze x", "verdictd thaw x", "verdictd help", "verdictd help wait", "pip install verdictd[notify]"),
    ]


def test_commands_are_found_in_blocks_transcripts_and_sentences_with_their_lines() -> None:
    page = "a `make x` b `make`\n\n1. c\n\n   ```sh\n   verdictd wait \\\n     x\n   ```\n"
    page += "```console\n$ one\nsaid\n$ two \\\n  three\n```\n```text\nmake y\n```\n"
    found = [*shell.scripts("p.md", page), *shell.mentioned("p.md", page, programs=programs.PROGRAMS)]
    assert [(one.place, one.text) for one in found] == [
        ("p.md:6", "verdictd wait \\\n  x\n"),
        ("p.md:10", "one\n"),
        ("p.md:12", "two \\\n  three\n"),
        ("p.md:1", "make x"),
    ]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("```\nmake x\n```\n", "line 1: the block does not say what is in it: one of "),
        ("```bash\nmake x\n```\n", "line 1: the block does not say what is in it: one of "),
        ("```console\nmake x\n```\n", "line 1: a transcript begins with `$ ` and a command"),
        ("```text\nso:\n$ make x\n```\n", "line 1: what is typed after `$ ` stands in a block `console`"),
    ],
)
def test_a_block_in_which_a_command_would_be_overlooked_is_found(block: str, expected: str) -> None:
    assert [fault.startswith(expected) for fault in shell.faults(block)] == [True]


def test_what_bash_cannot_read_is_told(tmp_path: Path) -> None:
    [(_, found)] = read([Script("p.md", 1, "verdictd 'wait")], tmp_path)
    assert "unexpected EOF" in found.wrong
