"""A page in a file: it holds all that it needs, lets nothing else run, and what is text stays text."""

import base64
import hashlib
import json
import re

import pytest

from analyzers.ruling import Finding
from daemon import ui
from daemon.courses.shapes import Course
from daemon.offline.plotting.html import WatchDrawn, document, place_of_watch, table
from daemon.ui.bundle import bundled

HOSTILE = "</script><script>window.hacked=1</script><!--\"'&"


def drawn() -> str:
    finding = Finding(
        leg=HOSTILE,
        effect=None,
        unit="ratio",
        low=None,
        high=None,
        level=0.95,
        e_value=float("inf"),
        tolerance=None,
        standing="open",
        sentence=HOSTILE,
    )
    return document(
        HOSTILE, [table([(HOSTILE, HOSTILE)]), place_of_watch()], watches=[WatchDrawn(course=Course(), findings=(finding,))]
    )


def test_what_is_written_into_it_stays_text() -> None:
    text = drawn()
    assert text.count("<script") == 2, "the data and the page's own code"
    assert "<!--" not in text
    data = re.search(r'<script type="application/json" id="watches">(.*?)</script>', text)
    assert data is not None
    assert json.loads(data[1])[0]["findings"][0]["leg"] == HOSTILE


def test_a_browser_is_allowed_its_own_script_and_style_and_nothing_else() -> None:
    text = drawn()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; ")
    for tag, name in (("script", "script-src"), ("style", "style-src")):
        [inside] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}';" in policy[1]
    assert re.search(r"(?<![\w-])(src|href)=|url\(|https?://(?!www\.w3\.org/2000/svg)|@import", text) is None


def test_a_page_without_watches_has_no_script() -> None:
    assert "<script" not in document("nothing", [table([("a", "b")])])


def test_modules_become_one_script_each_of_them_once_and_before_it_is_needed() -> None:
    modules = {
        "a.js": b'import { two, three } from "./b.js";\nimport { deep } from "./c.js";\nconst one = two;\n',
        "b.js": b'import { deep } from "./c.js";\nexport const two = deep();\nexport async function three() {}\n',
        "c.js": b"export function deep() {}\nconst own = 1;\n",
    }
    script = bundled(modules, "a.js")
    assert [script.index(f"const module_{name} =") for name in "cba"] == sorted(
        script.index(f"const module_{name} =") for name in "cba"
    )
    assert script.count("const module_c =") == 1
    assert "return { two, three };" in script
    assert "const { two, three } = module_b;" in script
    assert "import" not in script
    assert "export" not in script


@pytest.mark.parametrize("first", ["report.js", "one.js", "many.js"])
def test_no_module_of_the_page_says_more_than_is_understood(first: str) -> None:
    script = bundled(ui.bodies(), first)
    assert re.search(r"^\s*(import [^(.]|export )", script, flags=re.MULTILINE) is None
    assert "</script" not in script
