"""Crowd: viewers for measuring, in a process of their own.

`python -m nrt.daemon.web.crowd URL SECONDS COUNT STALLED BROWSER`: COUNT viewers take every frame and say at once that
they have drawn it; with STALLED, 1 or 0, one more opens the connection and never reads. BROWSER is the path of a
Chromium that opens the page itself, or empty. Prints JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

import aiohttp

from nrt.daemon.web.frames import HEADER

if TYPE_CHECKING:
    from playwright.async_api import Page

_SETTLE: Final = 1.5
"""Seconds after which everybody sees something."""


async def read(url: str, seconds: float) -> list[float]:
    """One viewer; for each frame the ms since its newest packet came, after it has settled."""
    ages: list[float] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}api/live") as connection:
        await connection.send_json({"view": "camera"})
        begins = time.monotonic() + _SETTLE
        while (at := time.monotonic()) < begins + seconds:
            message = await connection.receive(timeout=10)
            if message.type is aiohttp.WSMsgType.BINARY:
                *_, number, _, _, _, _, _, came = HEADER.unpack_from(message.data)
                if at >= begins:
                    ages.append(time.time() * 1e3 - came)
                await connection.send_json({"drawn": number})
            elif message.type is not aiohttp.WSMsgType.TEXT:
                break
    return ages


def stall(url: str) -> socket.socket:
    """A viewer that asks for frames and reads none."""
    host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
    connection = socket.create_connection((host, int(port)))
    lines = (
        "GET /api/live HTTP/1.1", f"Host: {host}:{port}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "", "",
    )  # fmt: skip
    asked = b'{"view":"camera"}'
    mask = b"\0\0\0\0"  # with which a client's text is what it was
    connection.sendall("\r\n".join(lines).encode() + bytes([0x81, 0x80 | len(asked)]) + mask + asked)
    return connection


async def browse(page: Page, url: str, seconds: float) -> list[float]:
    """The page in a browser; for each frame drawn the ms since its newest packet came, after it has settled."""
    await page.goto(url)
    await asyncio.sleep(_SETTLE)
    await page.evaluate("seen.ages.length = 0")
    await asyncio.sleep(seconds)
    ages: list[float] = await page.evaluate("seen.ages")
    return ages


async def settled() -> None:
    """Says so when everybody sees something."""
    await asyncio.sleep(_SETTLE)
    print("looking", flush=True)


async def main(
    url: str, seconds: float, count: int, stalled: bool, chromium: str
) -> dict[str, list[list[float]]]:
    """The ages of every viewer's frames."""
    async with contextlib.AsyncExitStack() as stack:
        if stalled:
            stack.enter_context(contextlib.closing(stall(url)))
        looks = [read(url, seconds) for _ in range(count)]
        if chromium:
            from playwright.async_api import async_playwright

            driver = await stack.enter_async_context(async_playwright())
            browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            stack.push_async_callback(browser.close)
            page = await browser.new_page(viewport={"width": 1440, "height": 1000})
            looks.append(browse(page, url, seconds))
        *found, _ = await asyncio.gather(*looks, settled())
    return {"ages": [each for each in found if each is not None]}


if __name__ == "__main__":
    where, length, viewers, silence, browser = sys.argv[1:]
    outcome = asyncio.run(main(where, float(length), int(viewers), silence == "1", browser))
    print(json.dumps(outcome))
