"""Crowd: viewers for measuring, in a process of their own.

`python -m nrt.daemon.web.crowd URL SECONDS COUNT STALLED BROWSER`: COUNT viewers take every frame and say at once that
they have drawn it; with STALLED, 1 or 0, one more opens the connection and never reads. BROWSER is the path of a
Chromium that opens the page itself, or empty. Prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from typing import Final

import aiohttp

from nrt.daemon.web.frames import HEADER

_SETTLE: Final = 1.5
"""Seconds after which a page is at its usual work."""


async def read(url: str, seconds: float) -> list[float]:
    """One viewer; for each frame the ms since its newest packet came."""
    ages: list[float] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}api/live") as connection:
        await connection.send_json({"view": "camera"})
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            message = await connection.receive(timeout=10)
            if message.type is aiohttp.WSMsgType.BINARY:
                *_, number, _, _, _, _, _, came = HEADER.unpack_from(message.data)
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


async def browse(url: str, seconds: float, chromium: str) -> list[float]:
    """The page in a browser without a screen; for each frame drawn the ms since its newest packet came."""
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1440, "height": 1000})
        await page.goto(url)
        await asyncio.sleep(_SETTLE)
        await page.evaluate("seen.ages.length = 0")
        await asyncio.sleep(seconds)
        ages: list[float] = await page.evaluate("seen.ages")
        await browser.close()
    return ages


async def main(
    url: str, seconds: float, count: int, stalled: bool, chromium: str
) -> dict[str, list[list[float]]]:
    """The ages of every viewer's frames."""
    silent = stall(url) if stalled else None
    pages = [browse(url, seconds, chromium)] if chromium else []
    found = await asyncio.gather(*pages, *(read(url, seconds) for _ in range(count)))
    if silent is not None:
        silent.close()
    return {"ages": list(found)}


if __name__ == "__main__":
    where, length, viewers, silence, browser = sys.argv[1:]
    outcome = asyncio.run(main(where, float(length), int(viewers), silence == "1", browser))
    print(json.dumps(outcome))
