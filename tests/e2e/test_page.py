"""The pages of a run and of a comparison, looked at in a real Chromium without a screen and without a network."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

import nrt
from nrt.compare import Comparison, Options, compare
from nrt.compare.ladder_result import Change, Ladder, Part, Step
from nrt.network import Network
from nrt.profile import Energy
from nrt.report import Report
from nrt.testing import Script, small, spaced
from tests.e2e.browser import launched, needs_chromium

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

PATIENCE = 60_000
"""ms that a loaded machine may take for anything."""

pytestmark = needs_chromium

HOSTILE = '<img src="http://example.org/x.png" onerror="alert(1)"></style><script>alert(2)</script>&amp;'
MEASURED = Energy(0.5, "measured", HOSTILE, "CPU package", seconds=1.0, idle_watts=0.2, interval=(0.4, 0.6))
PUBLISHED = Energy(2e-4, "published", "a paper", "chip")


def network() -> Network:
    """The conformance network under a name that would run as a script."""
    return dataclasses.replace(small(), name=HOSTILE)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as chromium:
        yield chromium


@contextlib.asynccontextmanager
async def opened(browser: Browser, path: Path, **context: Any) -> AsyncGenerator[Page]:
    """The page without a network; fails if it asks for anything, or says anything on its console."""
    made = await browser.new_context(offline=True, **context)
    page = await made.new_page()
    page.set_default_timeout(PATIENCE)
    requests: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    try:
        await page.goto(path.as_uri())
        yield page
    finally:
        await made.close()
    assert requests == [path.as_uri()]
    assert wrong == []


async def count(page: Page, selector: str) -> int:
    return await page.locator(selector).count()


async def ran() -> Report:
    async with nrt.open("cpu:") as session:
        await session.deploy(network())
        return await session.run(Script(spaced(60)), decide="10ms", label=1, deadline="50ms", excerpt=500)


async def compared() -> Comparison:
    sources = [Script(spaced(60, seed=k)) for k in (1, 2)]
    found = await compare(network(), sources, ["reference:", "loihi2+sim:", "tinyodin+nothing:"], Options())
    return dataclasses.replace(found, ladder=LADDER)


def change(value: float, *, sure: bool = True) -> Change:
    return Change(value, value - 0.01, value + 0.01, 0.01, sure)


LADDER = Ladder(
    "net", "chip:", "accuracy", 50,
    (
        Step("float", "as it is", "cpu:", 0.04),
        Step("weights", HOSTILE, "cpu:", 0.14, change(0.10), 0.5, change(0.08), (Part("lif2", change(0.1)),), 0.0),
        Step("event order", "one by one", "chip:", 0.24, change(0.10), 0.5),
        Step("device", "the board", "chip:", float("nan"), error="not plugged in"),
    ),
    change(0.20),
    -0.02,
)  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def run_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = await ran()
    path = tmp_path_factory.mktemp("page") / "run.html"
    path.write_text(dataclasses.replace(report, energy=(*report.energy, MEASURED, PUBLISHED)).to_html())
    return path


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def comparison_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "comparison.html"
    path.write_text((await compared()).to_html())
    return path


async def test_the_page_of_a_run_shows_everything_and_loads_nothing(browser: Browser, run_page: Path) -> None:
    async with opened(browser, run_page) as page:
        titles = await page.locator("h2").all_inner_texts()
        assert titles == ["Latency", "Decisions", "Spikes", "Energy", "Report", "What it depended on"]
        assert await count(page, "svg[aria-label='latency histogram'] rect.bar") > 0
        assert await count(page, "svg[aria-label='mean way of a packet'] rect") >= 4
        assert await count(page, "svg[aria-label='winner of each window'] rect") == 6
        assert await count(page, "svg[aria-label='rate per population'] rect.bar") >= 2
        drawn = await page.locator("svg[aria-label='spikes of output'] path.tick").get_attribute("d")
        assert drawn is not None
        assert drawn.count("M") >= 10
        assert {"measured", "modelled", "published"} <= set(await page.locator(".label").all_inner_texts())


async def test_the_page_of_a_comparison_shows_everything_and_loads_nothing(
    browser: Browser, comparison_page: Path
) -> None:
    async with opened(browser, comparison_page) as page:
        titles = await page.locator("h2").all_inner_texts()
        assert titles == [
            "Devices", "loihi2+sim: against reference:", "Where the difference comes from", "Spikes",
            "Rate per layer", "Latency", "Energy", "NeuroBench metrics", "Recordings", "What it depended on",
        ]  # fmt: skip
        assert "tinyodin+nothing: did not run" in await page.locator(".alert").inner_text()
        assert await count(page, "svg[aria-label='ladder: waterfall'] rect.worse") == 2
        assert await count(page, "svg[aria-label='ladder: waterfall'] rect.between") == 1
        assert await count(page, "svg[aria-label='latency histogram'] rect.bar") > 0
        assert await count(page, "svg[aria-label^='difference of'] path.tick") >= 3
        ladder = await page.locator("svg[aria-label='ladder: waterfall']").inner_html()
        assert "not run: not plugged in" in ladder


@pytest.mark.parametrize("which", ["run_page", "comparison_page"])
async def test_what_comes_from_files_is_text_and_never_runs(
    browser: Browser, run_page: Path, comparison_page: Path, which: str
) -> None:
    async with opened(browser, _chosen(which, run_page, comparison_page)) as page:
        assert await count(page, "img, script, iframe, link, object") == 0
        assert await count(page, "style") == 1
        assert HOSTILE in await page.locator("h1").inner_text()


@pytest.mark.parametrize("which", ["run_page", "comparison_page"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_can_be_read_in_light_and_dark(
    browser: Browser, run_page: Path, comparison_page: Path, which: str, scheme: str
) -> None:
    async with opened(browser, _chosen(which, run_page, comparison_page), color_scheme=scheme) as page:
        paper = await _colour(page, "body", "background-color")
        assert (sum(paper) > 600) == (scheme == "light")
        for selector in ("body", "p", "th", ".tiles span", "svg text"):
            name = "fill" if selector.startswith("svg") else "color"
            ink = await _colour(page, selector, name)
            assert _contrast(ink, paper) >= 4.5, selector  # WCAG 2.1, success criterion 1.4.3


@pytest.mark.parametrize("which", ["run_page", "comparison_page"])
async def test_a_phone_scrolls_tables_and_drawings_and_not_the_page(
    browser: Browser, run_page: Path, comparison_page: Path, which: str
) -> None:
    phone = {"width": 360, "height": 740}
    async with opened(browser, _chosen(which, run_page, comparison_page), viewport=phone) as page:
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        scrolls = "[...document.querySelectorAll('.wide .scroll')].some(e => e.scrollWidth > e.clientWidth)"
        assert await page.evaluate(scrolls)


@pytest.mark.parametrize("which", ["run_page", "comparison_page"])
async def test_paper_is_white_and_shows_what_is_folded_on_the_screen(
    browser: Browser, run_page: Path, comparison_page: Path, which: str
) -> None:
    async with opened(browser, _chosen(which, run_page, comparison_page), color_scheme="dark") as page:
        folded = page.locator("details table").last
        seen = "e => e.checkVisibility({contentVisibilityAuto: true})"
        assert not await folded.evaluate(seen)
        assert (await page.pdf(format="A4")).startswith(b"%PDF-")
        await page.emulate_media(media="print")
        assert sum(await _colour(page, "body", "background-color")) == 3 * 255
        assert await folded.evaluate(seen)


def _chosen(which: str, run_page: Path, comparison_page: Path) -> Path:
    return run_page if which == "run_page" else comparison_page


async def _colour(page: Page, selector: str, name: str) -> tuple[int, int, int]:
    script = f"e => getComputedStyle(e).getPropertyValue('{name}')"
    text: str = await page.locator(selector).first.evaluate(script)
    red, green, blue = (int(part) for part in text.removeprefix("rgb(").removesuffix(")").split(","))
    return red, green, blue


def _contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Of relative luminances, as WCAG 2.1 defines it."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: tuple[int, int, int]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
