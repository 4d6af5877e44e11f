"""The dashboard of a real `nrt serve`, in a real Chromium without a screen."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.brokers import free_port
from tests.e2e.browser import launched, needs_chromium
from tests.e2e.conftest import ROOT, environment

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

PATIENCE = 30_000
"""ms that a loaded machine may take for anything."""

pytestmark = needs_chromium

CONFIG = """
[node]
name = "box"
data = "data"

[web]
port = {port}
{more}

[[pipeline]]
name = "digits"
source = "synth:digits?sensor=davis346&width=32&height=32&seconds=0"
network = "{network}"
decide = "200ms"

[[pipeline]]
name = "idle"
source = "synth:bar?sensor=davis346&width=32&height=32&seconds=0"
network = "{network}"
start = false
"""


class Box:
    """`nrt serve` in a process of its own, which can be killed and started again on the same port."""

    def __init__(self, folder: Path, more: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self._config = folder / "edge.toml"
        network = ROOT / "sim" / "nrt_sim" / "models" / "digits.nir"
        self._config.write_text(CONFIG.format(port=port, network=network, more=more), encoding="utf-8")
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{port}/"

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "nrt", "serve", "--config", str(self._config)],
                stderr=log,
                env=environment(),
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    made = Box(tmp_path_factory.mktemp("box"))
    made.start()
    yield made
    made.kill()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as chromium:
        yield chromium


class Watched:
    """A page, and what it did that it must not: errors on its console, requests to elsewhere."""

    def __init__(self, page: Page, home: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.strays: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._requested(request.url, home))

    def _requested(self, url: str, home: str) -> None:
        if not url.startswith((home, home.replace("http", "ws"), "blob:")):
            self.strays.append(url)


async def reach(page: Page, url: str) -> None:
    """Opens a page of a daemon that may still be starting."""
    for _ in range(120):
        with contextlib.suppress(Exception):
            await page.goto(url)
            return
        await asyncio.sleep(0.25)
    raise AssertionError(f"nobody answers at {url}")


@contextlib.asynccontextmanager
async def opened(
    browser: Browser, box: Box, *, width: int = 1280, colour: str = "light"
) -> AsyncGenerator[Watched]:
    context: BrowserContext = await browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if colour == "dark" else "light",
    )
    watched = Watched(await context.new_page(), box.url)
    try:
        await reach(watched.page, box.url)
        watched.errors.clear()  # of attempts while the daemon was starting
        await state_is(watched.page, "running")
        yield watched
    finally:
        await context.close()


async def state_is(page: Page, state: str) -> None:
    await page.wait_for_selector(f"#state[data-state={state}]")


async def events_move(page: Page) -> None:
    """The picture's pixels change, and not once only."""
    read = "() => { const c = document.getElementById('picture'); return c.toDataURL(); }"
    seen: set[str] = set()
    async with asyncio.timeout(PATIENCE / 1e3):
        while len(seen) < 4:
            seen.add(await page.evaluate(read))
            await asyncio.sleep(0.1)


async def until(page: Page, expression: str) -> None:
    """Waits for a truth. Not by the browser's own polling, which the page's security policy forbids."""
    async with asyncio.timeout(PATIENCE / 1e3):
        while not await page.evaluate(expression):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def number_of(page: Page, tile: str) -> float:
    """The figure in a tile, as it is written."""
    text = await page.inner_text(f".tile:has(h3:text-is('{tile}')) b")
    found = re.match(r"[\d.,]+", text)
    return float(found[0].replace(",", "")) if found else 0.0


async def test_events_move_and_every_part_of_the_page_is_drawn(browser: Browser, box: Box) -> None:
    async with opened(browser, box) as watched:
        page = watched.page
        await events_move(page)
        await page.wait_for_selector(".vote.winner, #decision b")
        await page.wait_for_selector("#map li.output")
        await until(page, "document.getElementById('latency-note').textContent.includes('p99')")
        async with asyncio.timeout(PATIENCE / 1e3):
            while not await number_of(page, "Events") > 0:  # noqa: ASYNC110 - a rate needs figures of two moments
                await asyncio.sleep(0.05)
        drawn = """id => { const c = document.getElementById(id);
            const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
            return new Set(new Uint32Array(data.buffer)).size }"""
        for canvas in ("picture", "raster", "histogram"):
            await until(page, f"({drawn})('{canvas}') > 1")
        assert await page.inner_text("#placement-note") == "digits on cpu:"
        assert watched.errors == []
        assert watched.strays == []


async def test_a_pipeline_is_stopped_and_started_from_the_page(browser: Browser, box: Box) -> None:
    async with opened(browser, box) as watched:
        page = watched.page
        await page.click("[data-verb=stop]")
        await state_is(page, "stopped")
        await page.wait_for_selector("#reply:text('stop digits: done')")
        assert await page.get_attribute("[data-verb=stop]", "aria-disabled") == "true"
        await page.click("[data-verb=start]")
        await state_is(page, "running")
        await events_move(page)
        assert watched.errors == []


async def test_an_option_is_set_and_what_cannot_be_set_is_said(browser: Browser, box: Box) -> None:
    async with opened(browser, box) as watched:
        page = watched.page
        await page.click("summary")
        await page.fill("#set [name=name]", "nonsense")
        await page.click("#set button")
        await page.wait_for_selector("#reply.bad:text('cannot be set')")
        await page.fill("#set [name=name]", "decide")
        await page.fill("#set [name=value]", "100ms")
        await page.click("#set button")
        await page.wait_for_selector("#reply:text('set digits: done')")


async def test_a_network_is_uploaded_and_deployed(browser: Browser, box: Box) -> None:
    async with opened(browser, box) as watched:
        page = watched.page
        await page.click("summary")
        await page.set_input_files("#deploy [name=file]", ROOT / "sim" / "nrt_sim" / "models" / "digits.nir")
        await page.click("#deploy button")
        await page.wait_for_selector("#reply:text('deploy digits: done')")
        await until(page, "/[0-9a-f]{64}.nir/.test(document.getElementById('path').textContent)")
        await events_move(page)


async def test_the_page_says_that_the_connection_is_lost_and_regains_it(browser: Browser, box: Box) -> None:
    async with opened(browser, box) as watched:
        page = watched.page
        box.kill()
        await page.wait_for_selector("#link[data-link=lost]")
        assert "connection lost" in await page.inner_text("#link")
        assert await page.get_attribute("[data-verb=stop]", "aria-disabled") == "true"
        box.start()
        await page.wait_for_selector("#link[data-link=live]")
        await state_is(page, "running")
        await events_move(page)
        assert [error for error in watched.errors if "ERR_CONNECTION" not in error] == []


async def test_the_keyboard_alone_is_enough(browser: Browser, box: Box) -> None:
    async with opened(browser, box) as watched:
        page = watched.page
        focus = "document.activeElement.id || document.activeElement.dataset.verb || document.activeElement.textContent"
        await page.keyboard.press("Tab")
        assert "Skip" in await page.evaluate(focus)
        await page.keyboard.press("2")
        await page.wait_for_selector("#about-name:text-is('idle')")
        await page.keyboard.press("1")
        await page.wait_for_selector("#about-name:text-is('digits')")
        await page.keyboard.press("c")
        assert await page.evaluate(focus) == "start"
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await state_is(page, "stopped")
        assert await page.evaluate(focus) == "stop", "the focus stays where it was"
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Space")
        await state_is(page, "running")
        await page.keyboard.press("f")
        assert await page.get_attribute("#freeze", "aria-pressed") == "true"
        await page.keyboard.press("/")
        await page.keyboard.type("no such line")
        await page.wait_for_selector("#lines .none")
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("?")
        await page.wait_for_selector("#help[open]")
        await page.keyboard.press("Escape")
        await page.wait_for_selector("#help:not([open])", state="attached")


async def test_a_phone_shows_all_of_it_without_sideways_scrolling(browser: Browser, box: Box) -> None:
    for colour in ("light", "dark"):
        async with opened(browser, box, width=360, colour=colour) as watched:
            page = watched.page
            await events_move(page)
            width = await page.evaluate("document.documentElement.scrollWidth")
            assert width <= 360
            small = await page.evaluate(
                "[...document.querySelectorAll('button')].filter(b => b.offsetWidth && b.offsetHeight < 28).length"
            )
            assert small == 0, "buttons that a finger misses"


async def test_everything_that_can_be_used_has_a_name_and_every_picture_says_what_it_shows(
    browser: Browser, box: Box
) -> None:
    async with opened(browser, box) as watched:
        nameless = await watched.page.evaluate(
            """() => [...document.querySelectorAll('button, input, select, canvas, section, nav, ol')]
                .filter(e => !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') ||
                               e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"""
        )
        assert nameless == []


async def test_a_node_with_a_token_shows_its_login_and_then_the_page(
    browser: Browser, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("correct-horse-battery\n", encoding="ascii")
    token.chmod(0o600)
    box = Box(tmp_path / "locked", more=f'token_file = "{token}"')
    box.start()
    context = await browser.new_context()
    try:
        page = await context.new_page()
        page.set_default_timeout(PATIENCE)
        await reach(page, box.url)
        await page.fill("[name=token]", "wrong-horse-battery")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("[name=token]")
        await page.fill("[name=token]", "correct-horse-battery")
        await page.keyboard.press("Enter")
        await state_is(page, "running")
        await events_move(page)
        assert await page.evaluate("document.cookie") == "", "scripts cannot read the session"
        assert "correct-horse" not in box.log()
    finally:
        await context.close()
        box.kill()
