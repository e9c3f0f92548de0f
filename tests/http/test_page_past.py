"""The page's list of what has ended, in a real browser: right after a restart too, and beside several replicas."""

import msgspec
import pytest

from daemon.errors import Unavailable
from daemon.model import Action, Outcome, Stage, Verdict
from tests.hand.api import Engine, serving, verdict, view
from tests.hand.browser import Page
from tests.http.pages import NAMES, address, told

pytestmark = [pytest.mark.live, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

ENDED = "[...document.querySelectorAll('#ended tbody tr td.service a')].map((one) => one.textContent).join()"
NOTE = "document.getElementById('ended-note')"


def past(service: str, *, at: float, action: Action = Action.REVERT, namespace: str = "web") -> Verdict:
    return msgspec.structs.replace(verdict(f"{service}-1"), service=service, namespace=namespace, decided_at=at, action=action)


async def test_verdicts_from_before_a_restart_are_in_the_list_once_each_the_newest_first(page: Page) -> None:
    known = msgspec.structs.replace(view("cart-1", service="cart", stage=Stage.ENDED), verdict=past("cart", at=30.0))
    engine = Engine(releases={"cart-1": known})
    engine.past.verdicts = [past("mail", at=10.0), past("cart", at=30.0), past("till", at=40.0, action=Action.FAILED)]
    async with serving(engine) as api:
        await page.open(address(api, "/ui/"))
        await page.until(f"{ENDED} === 'till,cart,mail'")
        versions = "[...document.querySelectorAll('#ended td.versions')].map((one) => one.textContent).join()"
        assert await page.ask(versions) == "–,v2 ← v1,–", "what memory has says more"
        cells = "[...document.querySelector('#ended tbody tr:last-child').cells].map((one) => one.textContent)"
        shown = await page.ask(cells)
        assert (shown[0], shown[2], shown[5], shown[8]) == ("↩ rolled back", "–", "revert", "errors: 5 % against 0.1 %")
        assert await page.ask(NAMES) == "", "what failed before the restart is no news of now"
        assert await page.ask("document.querySelector('#ended td.service a').href") == address(api, "/ui/release/till-1")
        assert page.troubles == []


async def test_what_comes_by_events_takes_the_place_of_what_was_looked_up(page: Page) -> None:
    engine = Engine()
    engine.past.verdicts = [past("mail", at=10.0)]
    async with serving(engine) as api:
        await page.open(address(api, "/ui/"))
        await page.until(f"{ENDED} === 'mail'")
        told(api, msgspec.structs.replace(view("mail-1", service="mail", stage=Stage.ENDED), verdict=past("mail", at=10.0), gaps=2))
        await page.until("document.querySelector('#ended td.gaps').textContent === '2 of 3'")
        assert await page.ask(ENDED) == "mail"
        assert "v2 ← v1" in await page.ask("document.querySelector('#ended tbody').textContent")
        told(api, msgspec.structs.replace(view("till-1", service="till", stage=Stage.ENDED), verdict=past("till", at=20.0)))
        await page.until(f"{ENDED} === 'till,mail'")
        assert page.troubles == []


async def test_a_filter_is_asked_for_where_the_verdicts_are_kept(page: Page) -> None:
    engine = Engine()
    async with serving(engine) as api:
        await page.open(address(api, "/ui/?namespace=web&state=rollback"))
        await page.until("document.getElementById('ended-none').hidden === false")
        engine.past.verdicts = [past("mail", at=10.0), past("till", at=20.0, namespace="billing")]
        await page.ask("filters.elements.state.dispatchEvent(new Event('change', {bubbles: true}))")
        await page.until(f"{ENDED} === 'mail'")
        assert {(one.namespace, one.outcome) for one in engine.past.asked} == {("web", Outcome.ROLLBACK)}
        assert page.troubles == []


async def test_where_they_cannot_be_read_that_is_said_beside_what_memory_has(page: Page) -> None:
    known = msgspec.structs.replace(view("cart-1", service="cart", stage=Stage.ENDED), verdict=past("cart", at=30.0))
    engine = Engine(releases={"cart-1": known})
    engine.past.failing = Unavailable("the broker is away")
    async with serving(engine) as api:
        await page.open(address(api, "/ui/"))
        await page.until(f"{NOTE}.textContent.includes('cannot be read now (the broker is away)')")
        assert await page.ask(ENDED) == "cart"
        engine.past.failing = None
        engine.past.verdicts = [past("mail", at=10.0)]
        engine.past.unreadable = 2
        await page.ask("filters.elements.state.dispatchEvent(new Event('change', {bubbles: true}))")
        await page.until(f"{ENDED} === 'cart,mail'")
        assert await page.ask(f"{NOTE}.textContent") == "2 more cannot be read here: a newer version has told them."
