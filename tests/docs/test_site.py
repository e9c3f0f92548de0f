"""The site of the documents: what is copied for it, and what of it would ask other hosts for something."""

import re
from pathlib import Path

import pytest
import yaml

from config.policy import Policy
from config.walking import faults
from tests.config.test_policy_examples import examples
from tests.docs import evidence, site
from tests.docs.__main__ import ROOT


def test_the_documents_and_what_they_link_to_are_copied_as_they_lie() -> None:
    found = [file.relative_to(ROOT).as_posix() for file in site.sources(ROOT)]
    assert {"README.md", "docs/concepts.md", "docs/concepts.svg", "deploy/README.md", "LICENSE"} <= set(found)
    assert not [name for name in found if name.startswith("tests/") and name.endswith(".md")]
    assert len(found) == len(set(found))


def test_what_a_browser_would_fetch_from_elsewhere_by_itself_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<link rel="preconnect" href="https://fonts.example"><link rel=canonical href="https://here.example">'
        '<script src="//cdn.example/x.js"></script><script src="own.js"></script><img src="http://img.example/p.png">'
        '<a href="https://linked.example">a link</a><p style="background: url(https://style.example/p.png)">',
        encoding="utf-8",
    )
    (tmp_path / "a.css").write_text("@import 'https://css.example'; a { background: url(own.png) }", encoding="utf-8")
    assert [address.split("//")[1].split("/")[0] for _, address in site.strangers(tmp_path)] == [
        "fonts.example",
        "cdn.example",
        "img.example",
        "style.example",
        "css.example",
    ]


@pytest.mark.timeout(300)
def test_a_page_that_leads_nowhere_or_that_no_navigation_has_fails_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "ROOT", tmp_path)
    (tmp_path / site.CONFIG).write_text((ROOT / site.CONFIG).read_text(encoding="utf-8").split("nav:")[0] + "nav: [README.md]\n")
    (tmp_path / "README.md").write_text("# One\n[nowhere](gone.md) [here](#two)\n", encoding="utf-8")
    (tmp_path / "left.md").write_text("# Left out\n", encoding="utf-8")
    said = "\n".join(site.built(tmp_path / "out"))
    assert "'gone.md'" in said
    assert "'#two'" in said
    assert "left.md" in said


@pytest.mark.parametrize("name", ["flagger", "argo-rollouts"])
def test_the_policies_for_those_who_come_from_elsewhere_can_be_used(name: str) -> None:
    (text,) = examples(ROOT / "docs" / "coming-from" / f"{name}.md")
    assert faults(yaml.safe_load(text), Policy) == ()


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.svg")), ids=lambda file: file.name)
def test_every_drawing_has_a_name_and_dark_colours(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert re.search(r"role=.img.[^>]*>\s*<title", text)
    assert "prefers-color-scheme: dark" in text


def test_the_picture_of_evidence_shows_what_its_page_says() -> None:
    """Drawn anew; the last digit of a number may differ from machine to machine, the words may not."""
    words = [line for line in evidence.picture().splitlines() if "rollback" in line or "verdict" in line]
    assert [line.split(">")[1].split("<")[0] for line in words] == [
        "fails 5 %: rollback",
        "fails 1 %: rollback",
        "as good as its baseline: no verdict yet",
    ]
    kept = (ROOT / evidence.PAGE).read_text(encoding="utf-8")
    assert all(word in kept for word in ("fails 5 %: rollback", "fails 1 %: rollback", "as good as its baseline: no verdict yet"))
    five, one, same = (evidence.evidence(failed) for _, failed, _ in evidence.CANARIES)
    assert len(five) < len(one) < len(same)
    assert max(same) < evidence.BOUNDARY < min(five[-1], one[-1])
