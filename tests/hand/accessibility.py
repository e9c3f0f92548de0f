"""What axe finds on a page: where those are left out who do not see it, or not its colours, or use no mouse."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Final

from tests.hand.browser import Page

_SCRIPT: Final = Path(__file__).parent / "axe" / "axe.min.js"
_SHA256: Final = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
_SERIOUS: Final = ["serious", "critical"]
_LOOK: Final = """
axe.run(document, {resultTypes: ["violations"]}).then(({violations}) => violations
  .filter(({impact}) => %s.includes(impact))
  .flatMap(({id, impact, nodes}) => nodes.map(({target, failureSummary}) => `${impact} ${id}: ${target}: ${failureSummary}`)))
"""


async def serious_findings(page: Page) -> list[str]:
    """A line for each element that a serious or critical finding is about."""
    code = await asyncio.to_thread(_SCRIPT.read_bytes)
    assert hashlib.sha256(code).hexdigest() == _SHA256, "axe-core is not the one that is pinned"
    await page.ask(f"{code.decode()}; true")
    found: list[str] = await page.ask(_LOOK % json.dumps(_SERIOUS))
    return found
