"""The README's pictures, taken anew from a running demo: `make pictures`."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from base64 import b64decode
from pathlib import Path

from tests.servers import free_port
from tests.web.browser import Browser

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
# A chart without reads is drawn once it says so.
DRAWN = "document.readyState === 'complete' && !document.querySelector('[data-chart]:not(:has(svg, .none, .bad))')"


async def take(browser: Browser, url: str, name: str, height: int, until: str = DRAWN) -> None:
    """One picture of one page, 1100 wide."""
    size = {"width": 1100, "height": height, "deviceScaleFactor": 1, "mobile": False}
    await browser.send("Emulation.setDeviceMetricsOverride", **size)
    await browser.open(url, until=until)
    picture = await browser.send("Page.captureScreenshot", format="png")
    (PICTURES / f"{name}.png").write_bytes(b64decode(picture["data"]))
    print(name, url)


async def log_in(browser: Browser, base: str, login: str, password: str) -> None:
    """Through the login page, as people do."""
    await browser.open(f"{base}/login")
    if await browser.evaluate("!document.querySelector('[name=password]')"):
        await browser.evaluate("[...document.querySelectorAll('form')].find(f => f.action.includes('logout')).submit()")
        await asyncio.sleep(1)
        await browser.open(f"{base}/login")
    await browser.evaluate(
        f"document.querySelector('[name=login]').value = '{login}';"
        f"document.querySelector('[name=password]').value = '{password}';"
        "document.querySelector('[name=password]').form.submit()"
    )
    await asyncio.sleep(1.5)


async def main() -> None:
    """Start a demo, log in as each kind of user, take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [sys.executable, "-m", "headend", "demo", "--dir", folder, "--port", str(port), "--speed", "3600"]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = ""
        for line in demo.stdout or ():
            said += line
            if "Ctrl-C" in line:
                break
        logins = dict(re.findall(r"│ (operator|clerk|customer-[\w-]+)\s+│ (\S+)", said))
        base = f"http://127.0.0.1:{port}"
        await asyncio.sleep(60)  # live hours, so that there is a running month to look at
        try:
            async with Browser(Path(folder) / "browser") as browser:
                await log_in(browser, base, "operator", logins["operator"])
                await take(browser, f"{base}/operator", "operator", 760)
                await take(browser, f"{base}/operator/meters/E-20001", "meter", 900)
                await browser.open(f"{base}/operator/exceptions?rule=leak")
                asked = await browser.evaluate("document.querySelector('th a[href*=\"/operator/exceptions/\"]')?.href")
                if asked:
                    await take(browser, asked, "exception", 930)
                await log_in(browser, base, "clerk", logins["clerk"])
                await browser.open(f"{base}/clerk")
                cycle = await browser.evaluate("document.querySelector('a[href*=\"/clerk/cycles/\"]').href")
                await take(browser, cycle, "clerk", 900)
                solar = next(login for login in logins if login == "customer-a-0014")
                await log_in(browser, base, solar, logins[solar])
                await take(browser, f"{base}/customer", "customer", 1000)
                issued = await browser.evaluate(
                    'document.querySelector(\'a[href$=".html"], a[href*="statements/"]\').href'
                )
                await take(browser, issued, "statement", 1250)
        finally:
            demo.terminate()
            demo.wait()


if __name__ == "__main__":
    asyncio.run(main())
