from __future__ import annotations

import itertools

import numpy as np
import pytest

import nrt
from nrt.clock import now
from nrt.network import Dense, Network, Population, Projection, Semantics, neuron
from nrt.network.operators import array
from nrt.packet import Packet, Records
from tests.fakes import Script, events

COUNTER = Network(
    (
        Population("input", (1, 1, 4)),
        Population("counter", (4,), neuron(threshold=1.0, reset="soft", spikes="count")),
    ),
    (Projection("input", "counter", (Dense(array(np.eye(4))),)),),
    ("input",),
    ("counter",),
    Semantics(dt=1_000),
    nrt.Encoding(polarity="merge"),
)
"""Every output counts the events of its pixel in a step."""


def packets(edges: list[int], times: list[int]) -> list[Packet]:
    """Packets with the given edges, holding an event at pixel t % 4 for each time t."""
    rows = [(t, t % 4, 0, 1) for t in times]
    return [
        Packet(events(*(row for row in rows if start <= row[0] < end)), start, end, now())
        for start, end in itertools.pairwise(edges)
    ]


async def spikes(device: str, parts: list[Packet]) -> tuple[list[tuple[int, int, int]], list[int]]:
    """(t, n, v) of all spikes, and the ends of the packets they came in."""
    async with nrt.open(device) as session:
        await session.deploy(COUNTER)
        found: list[Records] = []
        ends: list[int] = []
        async with session.stream(Script(parts)) as run:
            async for packet in run:
                found.append(packet.data)
                ends.append(packet.end)
    return [(int(t), int(n), int(v)) for part in found for t, n, v in part.tolist()], ends


TIMES = [100, 150, 1_099, 1_100, 2_500, 2_501, 2_502, 2_506, 3_999, 4_050]


@pytest.mark.parametrize("device", ["cpu:", "reference:"])
@pytest.mark.parametrize(
    "edges",
    [
        [100, 4_100],
        [100, 1_100, 2_100, 3_100, 4_100],
        [100, 101, 1_500, 2_503, 2_504, 4_100],
        list(range(100, 4_101, 50)),
    ],
)
async def test_steps_are_aligned_to_the_first_packet_however_the_stream_is_cut(
    device: str, edges: list[int]
) -> None:
    found, ends = await spikes(device, packets(edges, TIMES))
    expected: dict[tuple[int, int], int] = {}
    for t in TIMES:
        step = (t - 100) // 1_000
        key = (100 + (step + 1) * 1_000 - 1, t % 4)
        expected[key] = expected.get(key, 0) + 1
    assert found == [(t, n, v) for (t, n), v in sorted(expected.items())]
    assert ends == sorted(ends)
    assert ends[-1] == 4_100


@pytest.mark.parametrize("device", ["cpu:", "reference:"])
async def test_the_last_step_is_completed_at_the_end(device: str) -> None:
    found, ends = await spikes(device, packets([0, 300], [10, 14]))
    assert found == [(999, 2, 2)]
    assert ends[-1] == 1_000


async def test_events_in_the_fields_packed_layout_are_taken_too() -> None:
    part = packets([0, 1_000], [10, 14])[0]
    packed = Packet(part.as_txyp(), 0, 1_000, now())
    assert (await spikes("cpu:", [packed]))[0] == [(999, 2, 2)]


async def test_forks_run_side_by_side_with_states_of_their_own() -> None:
    async with nrt.open("cpu:") as session:
        await session.deploy(COUNTER)
        reports = await session.run_all(
            [Script(packets([0, 1_000], [k] * (k + 1))) for k in range(4)], jobs=2
        )
    assert [report.counts["counter"] for report in reports] == [
        (1.0, 0.0, 0.0, 0.0),
        (0.0, 2.0, 0.0, 0.0),
        (0.0, 0.0, 3.0, 0.0),
        (0.0, 0.0, 0.0, 4.0),
    ]


@pytest.mark.parametrize("device", ["cpu:", "reference:"])
async def test_taps_and_membranes_come_as_packets_of_their_own(device: str) -> None:
    async with nrt.open(device) as session:
        await session.deploy(COUNTER, taps=["input"], membranes=["counter"])
        seen: dict[str, list[tuple[int, float]]] = {}
        async with session.stream(Script(packets([0, 1_000], [1, 1, 2]))) as run:
            async for packet in run:
                seen.setdefault(packet.origin, []).extend(
                    (int(n), float(v)) for n, v in packet.data[["n", "v"]].tolist()
                )
    assert seen["input"] == [(1, 2.0), (2, 1.0)]
    assert seen["counter.v"] == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 0.0)]
    with pytest.raises(nrt.ConfigError, match="no population 'hidden'"):
        async with nrt.open(device) as session:
            await session.deploy(COUNTER, taps=["hidden"])


async def test_what_the_engine_dies_of_reaches_the_user() -> None:
    wrong = Packet(events((5_000, 0, 0, 1)), 0, 1_000, now())
    with pytest.raises(nrt.ConfigError, match="outside"):
        await spikes("cpu:", [wrong])
