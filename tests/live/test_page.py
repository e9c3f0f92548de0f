"""A canary goes bad on a real proxy while somebody looks: the verdict is on the page without a reload, and stays there."""

from pathlib import Path

import pytest

from daemon.demo.backend import Behaviour
from tests.hand.browser import browser, keep_picture
from tests.live.field import field_of

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

STATE = "document.body.dataset.state"
BAD = Behaviour(error_rate=0.06)
"""Bad enough to be found in seconds, and not so bad that nobody sees the evidence grow."""


async def test_a_rollback_comes_onto_the_page_and_stays_under_its_address(tmp_path: Path) -> None:
    async with field_of(tmp_path, canary=BAD) as field, field.daemon(), browser(tmp_path) as page:
        await field.ready()
        await page.open(f"{field.url}/ui/")
        await page.until("!document.getElementById('open-none').hidden")
        release_id = await field.submit()
        await page.until(f"document.querySelector('td.service a')?.href.endsWith('/{release_id}')")
        await page.ask("document.querySelector('td.service a').click()")
        await page.until(f"{STATE} !== undefined")
        await page.ask("window.same = true")
        await page.until(f"{STATE} === 'rollback'")
        assert await page.ask("window.same") is True
        await page.until("document.getElementById('traffic').textContent.includes('has left')")
        assert "failed" in await page.ask("document.getElementById('lead').textContent")
        await page.until("document.querySelectorAll('#links a').length === 4")
        drawn = "document.querySelector('.name.total .said').textContent.trim()"
        told = "document.querySelector('#facts dd').textContent"
        await page.until(f"{told}.startsWith(`${{{drawn}}}, a rollback needs`)")
        assert await page.ask("document.querySelectorAll('#legs rect.sure').length") >= 1
        assert await page.ask("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
        assert page.troubles == []
        await keep_picture(page, "page-one")
