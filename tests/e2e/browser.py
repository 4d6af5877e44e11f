"""A real Chromium without a screen, for the tests of pages."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser

CHROMIUM = shutil.which("chromium")

needs_chromium = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here: apt-get install chromium"),
]
"""Marks of a module whose tests share one browser."""


@contextlib.asynccontextmanager
async def launched() -> AsyncGenerator[Browser]:
    """The browser; skips where playwright is not installed."""
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    async with playwright.async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        await chromium.close()
