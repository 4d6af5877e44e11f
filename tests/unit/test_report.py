from __future__ import annotations

import asyncio
import hashlib

import numpy as np
import pytest

import nrt
from nrt.network import Encoding, Network, Population
from nrt.packet import SPIKE, Packet
from nrt.report import Report
from nrt.testing import Script, events

NETWORK = Network(
    (Population("input", (1, 1, 4)),), (), ("input",), ("input",), encoding=Encoding(polarity="merge")
)
START = 40_000
ROWS = [(0, 1), (1_000, 2), (2_000, 1), (5_000, 3), (9_000, 0)]
"""(µs after the start, pixel); the reference hands input spikes on at the last µs of their step."""


async def run(span: int, excerpt: int = 0) -> Report:
    """The rows in packets of `span` µs."""
    packets = [
        Packet(
            events(*((START + t, n, 0, 1) for t, n in ROWS if begin <= t < begin + span)),
            START + begin,
            START + begin + span,
            1,
        )
        for begin in range(0, 10_000, span)
    ]
    async with asyncio.timeout(60), nrt.open("reference:") as session:
        await session.deploy(NETWORK, taps=["input"])
        return await session.run(Script(packets), excerpt=excerpt)


async def test_the_digest_of_an_output_is_over_its_records_however_they_are_cut_into_packets() -> None:
    wanted = np.array([(START + t + 999, n, 1) for t, n in ROWS], SPIKE)
    digest = hashlib.sha256(wanted.tobytes()).hexdigest()
    assert {(await run(span)).digests["input"] for span in (1_000, 2_000, 10_000)} == {digest}


@pytest.mark.parametrize("span", [1_000, 5_000, 10_000])
async def test_an_excerpt_is_the_first_spikes_and_says_up_to_when_they_are_all(span: int) -> None:
    (excerpt,) = (await run(span, excerpt=3)).excerpts
    assert (excerpt.population, excerpt.neurons) == ("input", 4)
    assert (excerpt.t, excerpt.n) == ((999, 1_999, 2_999), (1, 2, 1))
    assert 2_999 < excerpt.end <= 5_999


async def test_an_excerpt_with_room_for_all_ends_with_the_run() -> None:
    (excerpt,) = (await run(1_000, excerpt=100)).excerpts
    assert (len(excerpt.t), excerpt.end) == (5, 10_000)
    assert (await run(1_000)).excerpts == ()


async def test_a_report_names_what_it_watched_and_how_large_it_is() -> None:
    report = await run(1_000, excerpt=7)
    assert report.settings.taps == ("input",)
    assert report.settings.excerpt == 7
    assert report.sizes == {"input": 4}
    assert report.encoding["polarity"] == "merge"
    assert report.reading == {}
