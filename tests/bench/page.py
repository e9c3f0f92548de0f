"""How long after its decision a rollback is on the page, in a browser that looks on: a real proxy, real requests, a real daemon.

Two moments: that the traffic is being taken back, and the verdict, which is shown once nothing can decide otherwise any more.
"""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any, Final

import aiohttp

from daemon.demo.backend import Behaviour
from tests.bench.figures import Figure, spread
from tests.hand.browser import Page, browser
from tests.live.field import Field, field_of

RUNS: Final = 12
GOAL_SECONDS: Final = 1.0
_BAD: Final = Behaviour(error_rate=0.3)
_WATCHED: Final = {
    "one": "() => document.body.dataset.state",
    "many": "() => document.querySelector(`#open tr:has(a[href$='/${ID}']), #ended tr:has(a[href$='/${ID}'])`)?.className",
}
_NOTE: Final = """
window.seen = {};
(() => { const state = %s; const note = () => { window.seen[state()] ??= Date.now() / 1000; }; note();
  new MutationObserver(note).observe(document.body, {attributes: true, childList: true, subtree: true}); })()
"""


def figures() -> list[Figure]:
    """For each page, in seconds."""
    return asyncio.run(_measured())


async def _measured() -> list[Figure]:
    shown: dict[str, list[float]] = {f"{page}, {what}": [] for page in _WATCHED for what in ("reverting", "rollback")}
    with tempfile.TemporaryDirectory() as folder:
        async with field_of(Path(folder), canary=_BAD) as field, field.daemon(), browser(Path(folder)) as tab:
            await field.ready()
            for run in range(RUNS):
                for page in _WATCHED:
                    for what, seconds in (await _one(field, tab, page, key=f"{page}-{run}")).items():
                        shown[f"{page}, {what}"].append(seconds)
    goal = f"<= {GOAL_SECONDS:g}"
    return [
        Figure(what=f"decision to the page of {name} (s)", measured=spread(values, digits=3), goal=goal)
        for name, values in shown.items()
    ]


async def _one(field: Field, tab: Page, page: str, *, key: str) -> dict[str, float]:
    """Seconds from the decision of one release until the page had it, by what it had."""
    field.edge.route({"v1": 70, "v2": 30}, version_info=key)
    release_id = await field.submit(key=key)
    await tab.open(f"{field.url}/ui/" + (f"release/{release_id}" if page == "one" else ""))
    await tab.ask(_NOTE % _WATCHED[page].replace("${ID}", release_id))
    ended = await _ended(field, release_id)
    decided = next(step["at"] for step in ended["steps"] if step["step"] == "decided")
    seen = json.loads(await tab.until("window.seen.rollback && JSON.stringify(window.seen)"))
    verdict = min(seen[name] for name in ("guarding", "rollback") if name in seen)
    moments = {"rollback": verdict, **({"reverting": seen["reverting"]} if "reverting" in seen else {})}
    return {what: at - decided for what, at in moments.items()}


async def _ended(field: Field, release_id: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{field.url}/v1/releases/{release_id}") as answer:
                view: dict[str, Any] = await answer.json()
            if view["stage"] == "ended":
                return view
            await asyncio.sleep(0.2)
