"""A real Chromium without a window, asked over its own protocol: pages are opened, read, measured and photographed."""

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.servers.locate import require
from tests.servers.run import running

PATIENCE_SECONDS: Final = 40.0
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "about:blank",
)


class Page:
    """One tab. ``troubles`` has what its console said that is no good: errors, refusals of its policy, exceptions."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.session: str | None = None
        self.troubles: list[str] = []

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the protocol and its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})
        await self._socket.send_json(message)
        async with asyncio.timeout(PATIENCE_SECONDS):
            said = await answer
        assert "error" not in said, (method, said)
        result: dict[str, Any] = said["result"]
        return result

    async def listen(self) -> None:
        """Takes what the browser says, until it ends."""
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
                continue
            match said["method"], said["params"]:
                case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                    self.troubles.append(str(details))
                case "Runtime.consoleAPICalled", {"type": "error" | "warning", "args": args}:
                    self.troubles.append(str(args))
                case "Log.entryAdded", {"entry": {"level": "error" | "warning", **entry}}:
                    self.troubles.append(f"{entry.get('text')} {entry.get('url')}")
                case _:
                    pass  # that all is well

    async def open(self, url: str, *, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """Opens an address in a window of this size, in CSS pixels."""
        await self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])
        await self.send("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url.partition('?')[0])})")

    async def ask(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        said = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def until(self, script: str) -> Any:
        """The value of an expression once it is true."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (found := await self.ask(script)):
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            seen = await self.ask("document.body.innerText")
            raise AssertionError(f"never true: {script}\n{self.troubles}\n{seen}") from error
        return found

    async def picture(self, file: Path, *, whole: bool = False) -> None:
        """A picture of what is seen, or of the page to its end."""
        said = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(said["data"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """A browser of its own, with one tab; it ends with the body."""
    profile = folder / "chromium"
    told = profile / "DevToolsActivePort"

    async def ready() -> bool:
        return await asyncio.to_thread(lambda: told.is_file() and told.read_text().count("\n") == 1)

    command = [str(require("chromium")), f"--user-data-dir={profile}", *_FLAGS]
    async with running("chromium", command, folder=folder, ready=ready), aiohttp.ClientSession() as client:
        port, path = (await asyncio.to_thread(told.read_text)).split("\n")
        async with client.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket:
            page = Page(socket)
            listening = asyncio.create_task(page.listen())
            try:
                target = await page.send("Target.createTarget", url="about:blank")
                attached = await page.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
                page.session = attached["sessionId"]
                for domain in ("Page", "Runtime", "Log"):
                    await page.send(f"{domain}.enable")
                yield page
            finally:
                listening.cancel()
                await asyncio.wait([listening])
