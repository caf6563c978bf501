"""Headless Chromium, driven over its DevTools port: just enough to open a page as a logged-in user and look at it."""

from __future__ import annotations

import asyncio
import json
import shutil
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)


class Browser:
    """One Chromium with one tab; `complaints` collects what pages write to the console as errors.

    Parameters
    ----------
    base
        before every address that is opened.
    """

    def __init__(self, profile: Path, base: str = "") -> None:
        self._profile = profile
        self._base = base
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.complaints: list[str] = []

    async def __aenter__(self) -> Browser:
        self._process = await asyncio.create_subprocess_exec(
            str(CHROMIUM),
            *_FLAGS,
            f"--user-data-dir={self._profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        port = await asyncio.wait_for(self._port(), 30)
        self._drain = asyncio.create_task(self._process.stderr.read())
        self._client = aiohttp.ClientSession()
        async with self._client.get(f"http://127.0.0.1:{port}/json/list") as answer:
            tabs = await answer.json()
        address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        self._socket = await self._client.ws_connect(address, max_msg_size=0)
        self._reader = asyncio.create_task(self._read())
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.send(f"{domain}.enable")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()
        await self._reader
        await self._client.close()
        self._process.terminate()
        await self._process.wait()
        await self._drain

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command and its answer."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        return await asyncio.wait_for(self._answers[number], 30)

    async def cookie(self, url: str, name: str, value: str) -> None:
        """Give the browser a cookie for `url`."""
        await self.send("Network.setCookie", url=url, name=name, value=value)

    async def be_a_phone(self) -> None:
        """Show pages as a phone does, 390 pixels wide."""
        await self.send("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=True)

    async def open(self, url: str, *, until: str = "document.readyState === 'complete'") -> None:
        """Open a page and wait until an expression holds in it."""
        await self.send("Page.navigate", url=self._base + url)
        promise = (
            "new Promise((done, failed) => { const look = () => (" + until + ") ? done(true)"
            " : performance.now() > 20000 ? failed('timeout') : setTimeout(look, 50); look(); })"
        )
        answer = await self.send("Runtime.evaluate", expression=promise, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{until} did not come true: {self.complaints}")

    async def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page."""
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    async def _port(self) -> int:
        while line := (await self._process.stderr.readline()).decode():
            if "DevTools listening on" in line:
                return int(line.split("127.0.0.1:")[1].split("/")[0])
        raise AssertionError("Chromium ended before it listened")

    async def _read(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._answers.pop(told["id"]).set_result(told.get("result", {}))
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.complaints.append(told["params"]["entry"]["text"])
            elif told["method"] == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(told["params"]["exceptionDetails"])[:400])
