"""The page in a real browser: urgent first, text stays text, nothing is asked of anybody else, and it fits where it is read."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from yarl import URL

from analyzers.counts import Arm, Pod
from analyzers.ruling import LegNow, Ruling
from config.settings import Http
from daemon.interventions import Freeze
from daemon.measurements import ArmState, PodsState, Reading, Watch
from daemon.model import ArmSpec, Outcome, Stage, TimedStep
from daemon.releaseview import ReleaseView
from tests.hand.api import NOW, Api, Engine, release, serving, verdict, view
from tests.hand.browser import Page, keep_picture
from tests.http.pages import NAMES, SPILLS, address, busy, engine_of, failed, told
from tests.http.test_questions import waiting

pytestmark = [pytest.mark.live, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>"\'&\u202e${7*7}'


@asynccontextmanager
async def prefixed(api: Api) -> AsyncIterator[str]:
    """A proxy that has the API under a path of its own, and nothing else."""

    async def passed_on(request: web.Request) -> web.StreamResponse:
        async with api.client.get(URL(f"/{request.match_info['rest']}", encoded=True), allow_redirects=False) as answer:
            kept = {name: answer.headers[name] for name in ("Content-Type", "Location") if name in answer.headers}
            response = web.StreamResponse(status=answer.status, headers=kept)
            await response.prepare(request)
            async for part in answer.content.iter_any():
                await response.write(part)
        return response

    app = web.Application()
    app.router.add_get("/tools/verdictd/{rest:.*}", passed_on)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_what_is_urgent_stands_first_and_moves_when_it_changes(page: Page) -> None:
    views = [
        view("a-1", service="steady"),
        msgspec.structs.replace(view("b-1", service="near"), evidence=60.0),
        failed("c-1", "failed"),
        view("d-1", service="reverting", stage=Stage.REVERTING),
        msgspec.structs.replace(view("e-1", service="silent"), evidence=1.0, hindrances=("no samples",)),
    ]
    views[0] = msgspec.structs.replace(views[0], evidence=1.0)
    async with serving(engine_of(*views)) as api:
        await page.open(address(api, "/ui/"))
        await page.until(f"{NAMES} === 'failed,reverting,near,silent,steady'")
        assert await page.ask("document.title") == "(2) verdictd: releases"
        told(api, msgspec.structs.replace(views[0], stage=Stage.REVERTING, submitted_at=5.0))
        await page.until(f"{NAMES} === 'failed,reverting,steady,near,silent'")
        told(api, msgspec.structs.replace(views[2], stage=Stage.ENDED))
        told(api, msgspec.structs.replace(view("c-2", service="failed"), submitted_at=9.0, evidence=1.0))
        await page.until(f"{NAMES} === 'reverting,steady,near,silent,failed'")
        assert await page.ask("document.querySelectorAll('#ended tbody tr').length") == 1, "a newer release has taken its place"
        assert page.troubles == []


async def test_filters_are_in_the_address_and_are_read_from_it(page: Page) -> None:
    views = [view("a-1", service="web"), view("b-1", service="cart", stage=Stage.REVERTING)]
    async with serving(engine_of(*views)) as api:
        await page.open(address(api, "/ui/?state=reverting"))
        await page.until(f"{NAMES} === 'cart'")
        await page.ask("filters.elements.state.value = ''; filters.elements.service.value = 'we'")
        await page.ask("filters.dispatchEvent(new Event('input', {bubbles: true}))")
        await page.until(f"{NAMES} === 'web'")
        assert await page.ask("location.search") == "?service=we"
        assert page.troubles == []


async def test_a_release_that_waits_for_a_person_says_so_until_when_and_how_to_answer_until_somebody_has(page: Page) -> None:
    until = time.time() + 3_600.0
    said = "a person's word until then (verdictd promote web-1 --reason TEXT, or rollback): found good after 300 s"
    waits = msgspec.structs.replace(
        view("web-1", service="web"), evidence=1.0, on_promote="wait", waits_until=until, waiting_for=said, window_seconds=60.0
    )
    async with serving(engine_of(waits, msgspec.structs.replace(view("cart-1", service="cart"), evidence=1.0))) as api:
        await page.open(address(api, "/ui/?state=person"))
        await page.until(f"{NAMES} === 'web'")
        await page.open(address(api, "/ui/release/web-1"))
        await page.until("document.body.dataset.state === 'person'")
        lead = await page.ask("document.getElementById('lead').textContent")
        assert lead.startswith(
            "☞ Waits for a person: a person's word until then (verdictd promote web-1 --reason TEXT, or rollback)"
        )
        assert "the time for a person's word, at " in await page.ask("document.querySelector('main').textContent")
        promoted = msgspec.structs.replace(verdict("web-1", Outcome.PROMOTE), by="person", reason="promoted by ann: seen")
        api.engine.ends["web-1"] = promoted
        told(api, msgspec.structs.replace(waits, stage=Stage.ENDED, waits_until=None, waiting_for="", verdict=promoted))
        await page.until("document.body.dataset.state === 'promote'")
        assert "promoted by ann: seen" in await page.ask("document.getElementById('lead').textContent")
        assert page.troubles == []


@pytest.mark.parametrize("path", ["/ui/", "/ui/release/web-1"])
async def test_names_from_outside_stay_text(page: Page, path: str) -> None:
    hostile = replace_release(view("web-1"), HOSTILE)
    engine = engine_of(msgspec.structs.replace(hostile, hindrances=(HOSTILE,), waiting_for=HOSTILE, owner=HOSTILE))
    engine.freezes.append(Freeze(namespace="web", by=HOSTILE, reason=HOSTILE, since=NOW))
    async with serving(engine) as api:
        served = Arm(requests=5, pods={HOSTILE: Pod(requests=5)})
        state = PodsState(baseline=ArmState(pods=1, ready=1), canary=ArmState(pods=1, ready=1, troubles=(HOSTILE,)))
        watch = Watch(release_id="web-1", release=hostile.release)
        api.metrics.ticked(watch, Reading(seconds=1.0, canary=served, pods=state), None)
        await page.open(address(api, path))
        if "release" in path:
            await page.until(f"document.querySelector('#pods td + td')?.textContent === {json.dumps(HOSTILE)}")
        await page.until(f"document.querySelector('main').textContent.includes({json.dumps(HOSTILE)})")
        await page.until(f"document.getElementById('notices').textContent.includes({json.dumps(HOSTILE)})")
        assert await page.ask("window.hacked") is None
        assert await page.ask("document.querySelectorAll('main img, #notices img, main script').length") == 0
        if "release" in path:
            assert "'--service=<img src=x" in await page.ask("document.getElementById('command').textContent")
        assert page.troubles == []


def replace_release(one: ReleaseView, name: str) -> ReleaseView:
    arms = {"baseline": ArmSpec(version=name), "canary": ArmSpec(version=name)}
    return msgspec.structs.replace(one, release=msgspec.structs.replace(release(name), artifact=name, **arms))


async def test_what_waits_for_its_canary_stands_below_the_releases_and_stays_text(page: Page) -> None:
    awaiting = await waiting()
    awaiting.says("cart-1", route="VirtualService till/cart", why=HOSTILE)
    async with serving(Engine(awaiting=awaiting)) as api:
        await page.open(address(api, "/ui/"))
        await page.until("document.querySelectorAll('#waiting li').length === 2")
        said = await page.ask("document.querySelector('#waiting li + li').textContent")
        assert said.startswith("shop: a canary of web that is reg/web:2 to take traffic, since ")
        assert said.endswith("v2 gets nothing yet) event /ci web-1")
        assert HOSTILE in await page.ask("document.querySelector('#waiting').textContent")
        assert await page.ask("window.hacked") is None
        assert page.troubles == []
    async with serving() as api:
        await page.open(address(api, "/ui/"))
        await page.until("document.getElementById('open-none').hidden === false")
        assert await page.ask("document.getElementById('waiting').hidden")


async def test_an_ended_release_says_what_was_decided_done_and_why(page: Page) -> None:
    marks = [("submitted", 1000.0), ("watching", 1001.0), ("decided", 1010.0), ("confirmed", 1010.4), ("canary_silent", 1011.5)]
    steps = tuple(TimedStep(step=step, at=at) for step, at in marks)
    ended = msgspec.structs.replace(view("shop-1", stage=Stage.ENDED), verdict=verdict("shop-1"), steps=steps)
    async with serving(engine_of(ended)) as api:
        await page.open(address(api, "/ui/release/shop-1"))
        await page.until("document.getElementById('links').childElementCount === 2")
        assert await page.ask("document.getElementById('lead').textContent") == "↩ Rolled back: errors: 5 % against 0.1 %."
        assert await page.ask("document.getElementById('traffic').textContent") == (
            "The traffic was taken back to the baseline, and has left: the canary got nothing more 1.5 s after the decision."
        )
        assert await page.ask("document.querySelectorAll('#steps tr').length") == 5
        assert await page.ask("document.getElementById('command').textContent") == (
            "verdictd revert --service=shop --namespace=web --baseline=subset=v1 --canary=subset=v2"
        )
        assert page.troubles == []


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_a_verdict_comes_without_a_reload(page: Page, outcome: Outcome) -> None:
    async with serving(engine_of(view("shop-1"))) as api:
        await page.open(address(api, "/ui/release/shop-1"))
        await page.until("document.body.dataset.state === 'near'")
        await page.ask("window.same = true")
        api.engine.end("shop-1", outcome)
        told(api, msgspec.structs.replace(view("shop-1", stage=Stage.ENDED), verdict=verdict("shop-1", outcome)))
        await page.until(f"document.body.dataset.state === '{outcome.value}'")
        assert await page.ask("window.same") is True
        assert page.troubles == []


async def test_a_release_that_is_not_there_says_so(page: Page) -> None:
    async with serving() as api:
        await page.open(address(api, "/ui/release/shop-9"))
        await page.until("document.getElementById('lead').textContent === \"no release 'shop-9'.\"")


async def test_the_page_says_since_when_it_is_stale_and_goes_on_by_itself(page: Page) -> None:
    async with serving(engine_of(view("shop-1"))) as api:
        await page.open(address(api, "/ui/"))
        await page.until(f"{NAMES} === 'shop'")
        assert await page.ask("document.querySelector('.stale').hidden") is True
        port = api.server.address.port
    await page.until("document.querySelector('.stale').textContent.startsWith('Stale since')")
    async with serving(engine_of(view("web-1", service="web")), Http(listen=f"127.0.0.1:{port}")):
        await page.until(f"{NAMES} === 'web'")
        assert await page.ask("document.querySelector('.stale').hidden") is True
    page.troubles.clear()  # that the daemon is away is an error to the browser, and is meant to be


async def test_it_works_under_the_path_that_a_proxy_puts_before_it(page: Page) -> None:
    async with serving(engine_of(view("shop-1"))) as api, prefixed(api) as url:
        await page.open(f"{url}/tools/verdictd/ui")
        await page.until(f"{NAMES} === 'shop'")
        await page.ask("document.querySelector('td.service a').click()")
        await page.until("document.getElementById('lead')?.textContent.includes('Near') ?? false")
        assert await page.ask("location.pathname") == "/tools/verdictd/ui/release/shop-1"
        assert page.troubles == []


@pytest.mark.parametrize("path", ["/ui/", "/ui/release/web-1"])
async def test_nothing_spills_out_of_a_telephone(page: Page, path: str) -> None:
    long = "a-very-long-name-of-a-service-that-somebody-has-made-up-without-a-thought-of-the-screen"
    one = replace_release(view("web-1"), long)
    engine = engine_of(msgspec.structs.replace(one, hindrances=("x" * 300,)), failed("shop-1", "shop"))
    async with serving(engine) as api:
        await page.open(address(api, path), width=390, height=844)
        await page.until(f"document.querySelector('main').textContent.includes('{long}')")
        assert await page.ask(SPILLS) == 0
        assert page.troubles == []


async def test_a_thousand_rows_are_painted_a_frame_at_a_time(page: Page) -> None:
    views = [
        msgspec.structs.replace(view(f"shop-{number:04}", service=f"s{number:04}"), submitted_at=float(number), evidence=1.0)
        for number in range(1500)
    ]
    async with serving(engine_of(*views)) as api:
        await page.open(address(api, "/ui/"))
        await page.until("document.querySelectorAll('#open tbody tr').length === 1000")
        assert await page.ask("document.querySelectorAll('#open-pages a').length") == 2
        await page.ask("performance.clearMeasures('paint'); window.first = document.querySelector('#open tbody tr'); true")
        for number, one in enumerate(views, start=2000):
            told(api, msgspec.structs.replace(one, evidence=1.2), number)
        await page.until("document.querySelector('#open tbody tr:nth-child(1000) td.evidence').textContent === '1.2 of 100'")
        assert await page.ask("document.querySelector('#open tbody tr') === window.first"), "rows are changed, not made anew"
        paints = await page.ask("performance.getEntriesByName('paint').map((one) => one.duration)")
        assert len(paints) < 1500, "changes that come together are painted together"
        assert page.troubles == []


async def test_ten_thousand_are_read_a_page_at_a_time(page: Page) -> None:
    views = [
        msgspec.structs.replace(view(f"shop-{number:05}", service=f"s{number:05}"), submitted_at=float(number), evidence=1.0)
        for number in range(10_000)
    ]
    async with serving(engine_of(*views)) as api:
        await page.open(address(api, "/ui/?service=s&page=10"))
        await page.until("document.getElementById('counts').textContent.startsWith('10\u202f000 now')")
        rows = "[...document.querySelectorAll('#open tbody tr td.service a')].map((one) => one.textContent)"
        await page.until(f"{rows}.at(-1) === 's00000' && {rows}[0] === 's00999' && {rows}.length === 1000")
        assert await page.ask("[...document.querySelectorAll('#open-pages a')].map((one) => one.textContent).join()") == (
            "1,2,3,4,5,6,7,8,9,10"
        )
        assert await page.ask("document.querySelector('#open-pages [aria-current]').textContent") == "10"
        await page.ask("document.querySelector('#open-pages a').click()")
        await page.until(f"{rows}[0] === 's09999' && {rows}.length === 1000")
        assert await page.ask("location.search") == "?service=s&page=1"
        assert page.troubles == []


async def test_who_owns_the_routes_and_what_was_missing_have_columns(page: Page) -> None:
    owned = msgspec.structs.replace(view("a-1", service="owned"), owner="Flagger (shop/owned)", gaps=3, ticks=40)
    async with serving(engine_of(owned, view("b-1", service="free", stage=Stage.REVERTING))) as api:
        await page.open(address(api, "/ui/"))
        await page.until(f"{NAMES} === 'free,owned'")
        heads = await page.ask("[...document.querySelectorAll('#open th')].map((one) => one.textContent).join()")
        assert heads == "State,Service,Canary ← baseline,Owner,Age, left,Weight, share,Evidence,Gaps,What it says"
        for name, told_of in (("owner", ["", "Flagger (shop/owned)"]), ("gaps", ["", "3 of 40"])):
            assert await page.ask(f"[...document.querySelectorAll('#open td.{name}')].map((one) => one.textContent)") == told_of
        await page.open(address(api, "/ui/release/a-1"))
        await page.until("document.getElementById('facts').textContent.includes('Flagger (shop/owned)')")
        assert page.troubles == []


@pytest.mark.parametrize("stage", [Stage.PUBLISHING, Stage.GUARDING])
async def test_what_was_just_taken_back_is_said_to_be_and_stays_in_sight_while_it_is_guarded(page: Page, stage: Stage) -> None:
    views = [
        msgspec.structs.replace(view("a-1", service="near"), evidence=60.0),
        msgspec.structs.replace(view("b-1", service="steady"), evidence=1.0),
    ]
    async with serving(engine_of(*views)) as api:
        await page.open(address(api, "/ui/?state="))
        await page.until(f"{NAMES} === 'near,steady'")
        said = verdict("b-1")
        told(api, msgspec.structs.replace(views[1], stage=stage, verdict=said))
        await page.until(f"{NAMES} === 'steady,near'")
        assert await page.ask("document.querySelector('#open td.state').textContent") == "↩ rolled back"
        await page.open(address(api, "/ui/?state=rollback"))
        await page.until(f"{NAMES} === 'steady'")
        told(api, msgspec.structs.replace(views[1], stage=Stage.ENDED, verdict=said))
        await page.until("document.querySelector('#ended td.service a')?.textContent === 'steady'")
        assert page.troubles == []


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_a_filter_of_the_outcome_shows_the_verdicts_of_it_alone(page: Page, outcome: Outcome) -> None:
    ended = [
        msgspec.structs.replace(
            view(f"{one.value}-1", service=one.value, stage=Stage.ENDED), verdict=verdict(f"{one.value}-1", one)
        )
        for one in Outcome
    ]
    async with serving(engine_of(view("shop-1"), *ended)) as api:
        await page.open(address(api, f"/ui/?state={outcome.value}"))
        await page.until("document.querySelectorAll('#ended tbody tr').length === 1")
        assert await page.ask("document.querySelector('#ended td.service a').textContent") == outcome.value
        assert await page.ask("document.querySelectorAll('#open tbody tr').length") == 0
        assert page.troubles == []


async def test_links_of_the_house_are_filled_in_and_no_name_leads_elsewhere(page: Page, tmp_path: Path) -> None:
    links = {"Grafana": "https://grafana.example.org/d/verdictd-release?var-release={release}", "Runbook": "https://wiki/{service}"}
    one = msgspec.structs.replace(view("shop-1"), release=release("../a?b#c&d"))
    async with serving(engine_of(one), Http(listen="127.0.0.1:0", links=links), recordings=tmp_path) as api:
        await page.open(address(api, "/ui/release/shop-1"))
        await page.until("document.querySelectorAll('#links a').length === 5")
        assert await page.ask("[...document.querySelectorAll('#links a')].at(-1).pathname") == "/v1/releases/shop-1/recording"
        found = await page.ask("[...document.querySelectorAll('#links a')].slice(0, 2).map((one) => [one.textContent, one.href])")
        assert found == [
            ["Grafana", "https://grafana.example.org/d/verdictd-release?var-release=shop-1"],
            ["Runbook", "https://wiki/..%2Fa%3Fb%23c%26d"],
        ]
        assert page.troubles == []


async def test_what_a_browser_may_do_with_it_is_said_with_each_file(page: Page) -> None:
    async with serving() as api:
        for path in ("/ui", "/ui/", "/ui/release/shop-1", "/ui/files/many.js"):
            async with api.client.get(path, allow_redirects=False) as response:
                assert response.status == (308 if path == "/ui" else 200)
                assert response.headers["Content-Security-Policy"].startswith("default-src 'self'; ")
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                body = await response.text()
                assert "style=" not in body or path.endswith(".js")
                assert "http://" not in body.replace("http://www.w3.org", "")
        async with api.client.get("/ui/files/many.js") as first:
            tag = first.headers["ETag"]
        async with api.client.get("/ui/files/many.js", headers={"If-None-Match": tag}) as again:
            assert again.status == 304
        for path in ("/ui/files/page.py", "/ui/files/..%2Fserver.py", "/ui/release/UPPER"):
            assert (await api.call("GET", path))[0] in {400, 404}


async def test_a_busy_hour_is_read_at_a_glance(page: Page) -> None:
    """What the picture in the documents shows."""
    now = time.time()
    async with serving(engine_of(*busy(now)), now=time.time) as api:
        api.engine.freezes.append(Freeze(namespace="billing", by="ana", reason="database migration", since=now, until=now + 5400.0))
        for one in api.engine.releases.values():
            watch = Watch(release_id=one.id, release=one.release)
            legs = {"errors": LegNow(one.evidence, 0.01), "typical": LegNow(1.1, 1.02)}
            ruling = Ruling(
                outcome="continue", tick=1, t=1.0, evidence=one.evidence, boundary=100.0, legs=legs, leg=None, reason=""
            )
            counted = Reading(seconds=5.0, baseline=Arm(requests=880), canary=Arm(requests=112), weight=one.release.weight)
            api.metrics.ticked(watch, counted, ruling)
        await page.open(address(api, "/ui/"))
        await page.until("document.querySelectorAll('#open tbody tr').length === 7")
        await page.until("document.querySelectorAll('#ended tbody tr').length === 3")
        await page.until("document.getElementById('notices').textContent.includes('billing')")
        assert await page.ask("document.querySelector('#open tbody tr td.state').textContent") == "✕ revert failed"
        assert await page.ask(SPILLS) == 0
        await keep_picture(page, "page-many")
        assert page.troubles == []
