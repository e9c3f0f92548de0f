"""A browser for all tests of a module, and its tab without anything of the test before."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.hand.browser import Page, browser


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    async with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest_asyncio.fixture(loop_scope="module")
async def page(tab: Page) -> Page:
    """The tab without anything of the test before."""
    await tab.open("about:blank")
    tab.troubles.clear()
    return tab
