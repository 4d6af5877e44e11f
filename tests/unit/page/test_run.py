"""What the page of a run must not leave out."""

from __future__ import annotations

import asyncio
import dataclasses

import nrt
from nrt.report import Excerpt, Report
from nrt.testing import Script, small, spaced


async def ran(label: int) -> Report:
    async with asyncio.timeout(60), nrt.open("reference:") as session:
        await session.deploy(small())
        return await session.run(Script(spaced(20)), decide="10ms", label=label)


async def test_the_first_class_is_a_label_like_the_others() -> None:
    for label in (0, 1):
        page = (await ran(label)).to_html()
        assert f'<th scope="row">label</th><td>{label}</td>' in page
        assert '<th scope="row">deadline_us</th>' not in page


async def test_a_raster_that_is_thinned_says_so() -> None:
    count = 50_000
    excerpt = Excerpt("output", 2, count, tuple(range(count)), (0, 1) * (count // 2))
    report = dataclasses.replace(await ran(0), excerpts=(excerpt,))
    assert "50,000 spikes of 2 neurons; one of 3 is drawn." in report.to_html()
