"""The checks of the documents find what they are for."""

from pathlib import Path

import pytest

from daemon.meshes.registry import BUILT_IN
from tests.docs import api, lines, links, modules, paths, reference
from tests.docs.__main__ import documents, faults, made


def test_files_that_are_not_there_are_found(tmp_path: Path) -> None:
    (tmp_path / "daemon").mkdir()
    (tmp_path / "daemon" / "there.py").touch()
    text = "`daemon/there.py` `daemon/` `daemon/moved.py` daemon/prose.py `daemon/moved.py`\n```\n`daemon/shown.py`\n```\n"
    assert list(paths.faults(text, root=tmp_path)) == ["daemon/moved.py is not there"]


def test_tests_that_are_not_there_are_found(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text("async def test_it_holds() -> None:\n    ...\n")
    text = "`tests/test_a.py::test_it_holds`, `tests/test_a.py::test_it_hold`, `tests/test_b.py::test_it_holds`"
    assert list(paths.faults(text, root=tmp_path)) == [
        "tests/test_a.py::test_it_hold is not there",
        "tests/test_b.py::test_it_holds is not there",
    ]


def test_a_kind_of_death_that_no_test_shows_is_found(tmp_path: Path) -> None:
    page = tmp_path / "ARCHITECTURE.md"
    rows = "| in a tick | all is well | `tests/test_a.py::test_it_holds` |\n| in bed | as in a tick | |\n"
    page.write_text(f"Before.\n\n| killed | then | shown by |\n|---|---|---|\n{rows}\nAfter.\n")
    assert list(paths.deaths(tmp_path)) == ["ARCHITECTURE.md: no test shows what becomes of: in bed"]
    page.write_text("Nobody dies.\n")
    assert list(paths.deaths(tmp_path)) == ["ARCHITECTURE.md: there is no table of what becomes of who is killed"]


def test_lines_with_more_than_a_sentence_are_found_but_not_in_code_and_tables() -> None:
    long = "x" * (lines.LONGEST + 1)
    assert list(lines.faults(f"{long[1:]}\n| {long} |\n  ```\n{long}\n  ```\n{long}\n")) == [
        "line 6 has 161 characters: one sentence a line, and 160 at most"
    ]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A small project: a script, what it imports, starts and names, and what is dead."""
    for name, text in {
        "pyproject.toml": '[project]\nscripts = {"x" = "daemon.cli:main"}\n',
        "config/__init__.py": "",
        "daemon/cli/__init__.py": '"""Commands."""\nfrom daemon import used\n',
        "daemon/cli/parser.py": '"""Options.\n\nMore."""\nimport daemon.cli.parser\nMODULE, CHILD = "named", "daemon.started"\n',
        "daemon/cli/named.py": '"""Says ``a|b``\nfirst. One of these:\n\n- more"""\n',
        "daemon/used.py": '"""Used."""\nfrom daemon.cli import parser\n',
        "daemon/started.py": "x = 1\n",
        "daemon/dead.py": '"""Nobody\'s."""\nNAME = "daemon.dead"\n',
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_modules_that_nothing_uses_or_that_do_not_say_what_they_are_for_are_found(house: Path) -> None:
    dead, dumb = "daemon/dead.py is imported by nothing of the product: use it or remove it", "daemon/started.py has no docstring"
    assert list(modules.faults(house)) == [dead, f"{dumb}: what is it for?"]
    (house / "daemon/started.py").write_text('"""Started."""\nimport daemon.dead\n', encoding="utf-8")
    assert list(modules.faults(house)) == []


def test_the_list_of_modules_has_the_first_words_of_each(house: Path) -> None:
    page = modules.page(house)
    assert "## `daemon/cli/`\n\nCommands.\n\n| module | what it is for |\n|---|---|\n| `named.py` | Says `a\\|b` first. |\n" in page
    assert "| `parser.py` | Options. |\n" in page
    assert "config" not in page, "a folder without modules is not listed"


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(
        "# The `a` of A & B\n# Two\n# Two\n[1](b.md) [2](b.md#there) [3](#the-a-of-a--b) [4](#two-1) [5](https://x/y)\n"
        "[6](c.md) [7](b.md#here) [8](../../x) ![9](img.png)\n`[10](no.md)`\n```\n[11](no.md)\n```\n[r]: d.md\n",
        encoding="utf-8",
    )
    (tmp_path / "b.md").write_text("## There\n```\n# here\n```\n", encoding="utf-8")
    assert list(links.faults(tmp_path / "a.md", root=tmp_path)) == [
        "c.md is not there",
        "b.md#here: there is no such heading",
        "../../x leads out of the project",
        "img.png is not there",
        "d.md is not there",
    ]


def test_documents_of_hidden_folders_are_not_ours(tmp_path: Path) -> None:
    for name in ("a.md", ".venv/b.md", "docs/c.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    assert [path.name for path in documents(tmp_path)] == ["a.md", "c.md"]


def test_a_generated_page_that_is_old_is_found(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("[gone](gone.md)", encoding="utf-8")
    assert list(faults(tmp_path)) == [
        "README.md: gone.md is not there",
        *(f"{name}: is not what the code says; run python -m tests.docs --write" for name in made(tmp_path)),
    ]


def test_the_page_has_every_key_with_default_and_meaning() -> None:
    page = reference.page(BUILT_IN)
    assert "| `listen` | text | `127.0.0.1:8484` | host:port; port 0 takes a free one. |" in page
    assert "### `telemetry.NAME` of kind `prometheus`" in page
    assert "| `kind` | `istio` | *required* | What kind it is. |" in page
    assert "### `tolerances.latency`" in page
    assert "|  |\n" not in page, "a key has no meaning"


def test_the_page_of_the_api_has_every_operation_with_what_it_needs() -> None:
    page = api.page()
    assert (
        "| `POST /v1/releases/{id}/rollback` | `rollbackRelease` | token (command) | "
        "Take the traffic back now. | 202: It is carried out. " in page
    )
    assert "| `GET /healthz` | `getHealth` | nothing |" in page
    assert "| `limit` | query | Most entries in one answer. From 1 to 1000. 100 by default. |" in page
