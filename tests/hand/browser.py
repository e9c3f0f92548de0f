"""A real Chromium without a window, asked over its own protocol: pages are opened, read, measured and photographed."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import tempfile
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


class Unanswered(AssertionError):
    """The browser could not answer: a page that goes elsewhere meanwhile, say."""


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
        if "error" in said:
            raise Unanswered(f"{method}: {said['error']}")
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
        if "exceptionDetails" in said:
            raise Unanswered(said["exceptionDetails"]["exception"]["description"])
        return said["result"].get("value")

    async def until(self, script: str) -> Any:
        """The value of an expression once it is true; one that fails is not true yet."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    with contextlib.suppress(Unanswered):
                        if found := await self.ask(script):
                            return found
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            seen = await self.ask("document.body.innerText")
            raise AssertionError(f"never true: {script}\n{self.troubles}\n{seen}") from error

    async def press(self, key: str, *, shift: bool = False) -> None:
        """A key, down and up."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37}[key]
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        text = {"text": "\r"} if key == "Enter" else {}
        await self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **about, **text)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    async def picture(self, file: Path, *, width: int = 1280, height: int = 800) -> None:
        """A picture of what a window of this size shows."""
        await self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        await self.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        said = await self.send("Page.captureScreenshot", format="png")
        await asyncio.to_thread(file.write_bytes, base64.b64decode(said["data"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    """A browser of its own, with one tab; it ends with the body."""
    profile = folder / "chromium"
    told = profile / "DevToolsActivePort"

    async def ready() -> bool:
        return await asyncio.to_thread(lambda: told.is_file() and told.read_text().count("\n") == 1)

    command = [str(require("chromium")), f"--user-data-dir={profile}", *_FLAGS]
    with tempfile.TemporaryDirectory(prefix="browser-") as short:  # it puts a socket there, whose path may not be long
        async with (
            running("chromium", command, folder=folder, ready=ready, env={"TMPDIR": short}),
            aiohttp.ClientSession() as client,
        ):
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


async def keep_picture(page: Page, name: str) -> None:
    """A picture for the documents, to its end; only where ``VERDICTD_PICTURES`` names a folder for it."""
    if folder := os.environ.get("VERDICTD_PICTURES"):
        width, height = await page.ask("[window.innerWidth, document.documentElement.scrollHeight]")
        await page.picture(Path(folder) / f"{name}.png", width=width, height=height)
