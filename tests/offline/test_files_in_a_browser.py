"""Pages that are written to a file, in a real browser: drawn from the file alone, and no name in them becomes more than text."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from daemon.model import Release
from daemon.offline.backtest.page import page as backtest_page
from daemon.offline.explain import account, trace
from daemon.offline.explain.page import page as explain_page
from tests.hand.accessibility import serious_findings
from tests.hand.browser import Page, browser, keep_picture
from tests.offline.backtest.test_results import told as backtest_told
from tests.offline.explain.told import told as explain_told
from tests.offline.replay.recorded import SLOW

pytestmark = [pytest.mark.live, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

HOSTILE = '</script><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    async with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


async def opened(tab: Page, file: Path, text: str, *, width: int = 1280) -> None:
    await asyncio.to_thread(file.write_text, text, encoding="utf-8")
    tab.troubles.clear()
    await tab.open(file.as_uri(), width=width)
    await tab.until("document.querySelectorAll('.charts svg').length >= 4")


async def test_an_explanation_is_drawn_from_its_file_alone(tab: Page, tmp_path: Path) -> None:
    one = explain_told(tmp_path, change=SLOW)
    traced = trace(one.recording)
    await opened(tab, tmp_path / "page.html", explain_page(account(one.record, traced), traced.course))
    titles = await tab.ask("[...document.querySelectorAll('.charts h2')].map((one) => one.firstChild.textContent)")
    assert titles == [
        "Evidence that the canary is worse at all",
        "Evidence that it is worse than tolerated",
        "Failed requests",
        "Median latency",
        "99th percentile of the latency",
        "Requests by latency, over the whole watch",
        "Requests a second",
        "The canary's part of the requests",
    ]
    assert await tab.ask("document.querySelectorAll('.legs rect.sure').length") >= 1
    assert await tab.ask("document.querySelectorAll('.charts path.tolerated, .charts path.band').length") >= 4
    assert await tab.ask("performance.getEntriesByType('resource').length") == 0, "nothing is asked for"
    assert await serious_findings(tab) == []
    assert tab.troubles == []
    await keep_picture(tab, "explain")


async def test_names_from_outside_stay_text_and_their_scripts_are_not_run(tab: Page, tmp_path: Path) -> None:
    one = explain_told(tmp_path, change=SLOW)
    verdict = msgspec.structs.replace(
        one.record.verdict,
        service=HOSTILE,
        reason=HOSTILE,
        findings=tuple(dataclasses.replace(finding, leg=HOSTILE, sentence=HOSTILE) for finding in one.record.verdict.findings),
    )
    release: Release = msgspec.structs.replace(one.record.release, service=HOSTILE)
    record = msgspec.structs.replace(one.record, verdict=verdict, release=release)
    await opened(tab, tmp_path / "page.html", explain_page(account(record, None), trace(one.recording).course))
    assert await tab.ask(f"document.querySelector('.legs').textContent.includes({json.dumps(HOSTILE)})")
    assert await tab.ask("window.hacked") is None
    assert await tab.ask("document.querySelectorAll('main img, main script').length") == 0
    await tab.ask("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hacked = 2'}))")
    assert await tab.ask("window.hacked") is None, "a script that is not the page's own is refused"
    assert any("Content Security Policy" in trouble for trouble in tab.troubles)


async def test_a_backtest_draws_each_release_with_the_same_code(tab: Page, tmp_path: Path) -> None:
    await opened(tab, tmp_path / "page.html", backtest_page(backtest_told(tmp_path)), width=390)
    assert await tab.ask("document.querySelectorAll('section.watch').length") == 3
    assert await tab.ask("[...document.querySelectorAll('.charts')].every((one) => one.querySelectorAll('svg').length >= 4)")
    assert await tab.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert await serious_findings(tab) == []
    assert tab.troubles == []
    await keep_picture(tab, "backtest")
