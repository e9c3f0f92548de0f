"""The page for whoever does not see it, or not its colours, or has no mouse: by axe, by keys, in light and dark, on a telephone."""

import dataclasses
import time

import msgspec
import pytest

from analyzers.ruling import Finding
from daemon.model import TimedStep
from daemon.releaseview import ReleaseView
from tests.hand.accessibility import serious_findings
from tests.hand.api import Api, serving, view
from tests.hand.browser import Page, keep_picture
from tests.http.pages import NAMES, SPILLS, address, busy, engine_of, failed, told, watched

pytestmark = [pytest.mark.live, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

LOOKS = pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 390)], ids=["light", "dark-telephone"])
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


def going() -> ReleaseView:
    """One that is near its boundary, with something to say in each place."""
    return msgspec.structs.replace(
        view("shop-1"),
        evidence=97.0,
        owner="Flux (Kustomization flux-system/shop)",
        hindrances=("no sample since 70 s: Prometheus does not answer",),
        window_seconds=1800.0,
        gaps=2,
        ticks=40,
    )


def stuck() -> ReleaseView:
    """One whose revert has failed, with findings and steps."""
    steps = tuple(
        TimedStep(step=step, at=at, detail=detail)
        for step, at, detail in (
            ("submitted", 800.0, "api"),
            ("watching", 801.0, ""),
            ("decided", 1000.0, "errors"),
            ("failed", 1002.0, ""),
        )
    )
    said = failed("shop-1", "shop")
    assert said.verdict is not None
    errors = Finding(
        leg="errors",
        effect=0.041,
        unit="points",
        low=0.019,
        high=0.08,
        level=0.95,
        e_value=340.0,
        tolerance=0.005,
        standing="convicts",
        sentence="4.1 % of the canary's 612 requests failed",
    )
    typical = dataclasses.replace(
        errors, leg="typical", unit="ratio", effect=1.02, low=None, high=1.2, tolerance=1.1, standing="open"
    )
    denied = dataclasses.replace(
        errors, leg="denied", effect=None, low=None, high=None, standing="idle", sentence="none was denied"
    )
    reason = f"errors: 5 % against 0.1 %; not taken back: {REFUSED}"
    told = msgspec.structs.replace(said.verdict, findings=(errors, typical, denied), leg="errors", reason=reason)
    return msgspec.structs.replace(said, verdict=told, steps=steps)


REFUSED = (
    "the API server refuses to patch virtualservices in namespace payments: " + "the reason in full " * 12 + "to its last word"
)


async def shown(page: Page, api: Api, *, dark: bool, width: int, path: str = "/ui/release/shop-1") -> None:
    await page.open(address(api, path), dark=dark, width=width, height=844)
    await page.until("document.querySelectorAll('svg, tbody tr').length >= 5")


@LOOKS
async def test_axe_has_no_serious_finding_on_the_page_of_all_releases(page: Page, dark: bool, width: int) -> None:
    async with serving(engine_of(*busy(time.time())), now=time.time) as api:
        await shown(page, api, dark=dark, width=width, path="/ui/")
        assert await serious_findings(page) == []
        assert await page.ask(SPILLS) == 0
        await keep_picture(page, f"many-{'dark' if dark else 'light'}-{width}")
        assert page.troubles == []


@LOOKS
@pytest.mark.parametrize("state", ["watched", "failed"])
async def test_axe_has_no_serious_finding_on_the_page_of_one(page: Page, state: str, dark: bool, width: int) -> None:
    one = going() if state == "watched" else stuck()
    async with serving(engine_of(one)) as api:
        watched(api, one)
        await shown(page, api, dark=dark, width=width)
        await page.until(
            "document.querySelectorAll('#charts svg').length === 8 && document.querySelectorAll('#pods tbody tr').length === 3"
        )
        assert await serious_findings(page) == []
        assert await page.ask(SPILLS) == 0
        await keep_picture(page, f"one-{state}-{'dark' if dark else 'light'}-{width}")
        assert page.troubles == []


async def test_while_it_is_watched_each_line_of_evidence_has_its_interval_already(page: Page) -> None:
    one = going()
    async with serving(engine_of(one)) as api:
        watched(api, one)
        await page.open(address(api, "/ui/release/shop-1"))
        await page.until("document.querySelectorAll('#legs rect.sure').length === 2")
        said = await page.ask("document.querySelector('#legs').textContent")
        assert "Evidence 97; 12 to 1 that it is more than tolerated." in said
        assert page.troubles == []


async def test_a_finding_of_axe_is_seen(page: Page) -> None:
    """That the look itself can fail."""
    async with serving(engine_of(going())) as api:
        await page.open(address(api, "/ui/"))
        await page.until(f"{NAMES} === 'shop'")
        await page.ask("document.querySelector('input').parentNode.replaceWith(document.createElement('input'))")
        assert any("label" in finding for finding in await serious_findings(page))


async def test_the_way_to_a_release_and_its_command_needs_no_mouse(page: Page) -> None:
    async with serving(engine_of(going(), view("cart-1", service="cart"))) as api:
        await page.open(address(api, "/ui/"))
        await page.until(f"{NAMES} === 'shop,cart'")
        seen = []
        for _ in range(5):
            await page.press("Tab")
            seen.append(await page.ask("document.activeElement.name || document.activeElement.textContent"))
        assert seen == ["namespace", "service", "state", "shop", "cart"]
        assert await page.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid", "where one is, is seen"
        await page.press("Tab", shift=True)
        await page.press("Enter")
        await page.until("document.body.dataset.state === 'near'")
        for _ in range(3):
            await page.press("Tab")
        assert await page.ask("document.activeElement.id") == "copy"
        await page.press("Enter")
        await page.until("['Copied', 'Selected'].includes(document.getElementById('copy').textContent)")


async def test_the_curves_are_read_at_any_moment_by_keys_also_while_they_are_drawn_anew(page: Page) -> None:
    one = going()
    async with serving(engine_of(one)) as api:
        watched(api, one)
        await page.open(address(api, "/ui/release/shop-1"))
        await page.until("document.querySelectorAll('#charts svg').length === 8")
        said = "document.querySelector('.name.total .said').textContent.trim()"
        assert await page.ask("document.querySelectorAll('#charts svg[tabindex]').length") == 1, "all of them point together"
        await page.ask("document.querySelector('#charts svg[tabindex]').focus()")
        for _ in range(3):
            await page.press("ArrowLeft")
        assert await page.ask(said) == "83"
        told(api, one)
        await page.ask("window.before = document.querySelector('#charts svg'); true")
        await page.until("document.querySelector('#charts svg') !== window.before")
        await page.press("ArrowLeft")
        assert await page.ask(said) == "79", "the curves were drawn anew, and the moment is the same"
        await page.press("Escape")
        assert await page.ask(said) == "97"
        assert page.troubles == []


async def test_dark_is_dark_and_light_is_light(page: Page) -> None:
    async with serving(engine_of(going())) as api:
        grounds = []
        for dark in (False, True):
            await page.open(address(api, "/ui/release/shop-1"), dark=dark)
            await page.until("document.body.dataset.state === 'near'")
            grounds.append(await page.ask(BACKGROUND))
        assert grounds == ["rgb(255, 255, 255)", "rgb(19, 21, 24)"]


async def test_the_reason_of_a_revert_that_failed_is_told_to_its_last_word(page: Page) -> None:
    async with serving(engine_of(stuck())) as api:
        await page.open(address(api, "/ui/"))
        await page.until(f"{NAMES} === 'shop'")
        what = "document.querySelector('#open td.says .what')"
        assert await page.ask(f"{what}.scrollHeight - {what}.clientHeight") == 0, "nothing of it is cut off"
        assert (await page.ask("document.querySelector('#open td.says').textContent")).endswith("to its last word")
        await page.open(address(api, "/ui/release/shop-1"))
        await page.until("document.getElementById('lead').textContent.endsWith('to its last word.')")
        assert "could NOT be taken back" in await page.ask("document.getElementById('traffic').textContent")
