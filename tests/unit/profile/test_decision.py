from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import nrt
from nrt.network import Encoding, Network, Population, neuron
from nrt.packet import MEMBRANE, SPIKE, Packet, Records, join
from nrt.profile import Decider, Decisions
from nrt.report import Report
from nrt.testing import Script, events

MS = 1_000_000
NET = Network(
    (Population("input", (1,)), Population("out", (3,), neuron(threshold=1.0))), (), ("input",), ("out",)
)
START = 7_000


def spikes(*rows: tuple[int, int], v: int = 1) -> Records:
    """SPIKE records of (ms after the start, neuron) rows."""
    out = np.zeros(len(rows), SPIKE)
    for row, (t, n) in zip(out, rows, strict=True):
        row["t"], row["n"], row["v"] = START + 1_000 * t, n, v
    return out


def decided(
    rows: Sequence[tuple[int, int]],
    *,
    until: int,
    step: int = 10,
    window: int | None = 20_000,
    label: int | None = None,
    deadline: int | None = None,
    late: int = 3,
) -> Decisions:
    """Packets of `step` ms; each is on the host `late` ms after it was due, `step` ms after the one before."""
    decider = Decider(NET, window, label, deadline)
    decider.begin(START, 100 * MS)
    for begin in range(0, until, step):
        data = spikes(*(row for row in rows if begin <= row[0] < begin + step))
        due = (100 + begin) * MS
        start, end = START + 1_000 * begin, START + 1_000 * (begin + step)
        decider.took(Packet(data, start, end, due + late * MS, origin="out"), due)
    return decider.decisions()


def test_the_winner_of_each_window_is_told_and_a_tie_or_silence_decides_nothing() -> None:
    rows = [(1, 2), (12, 2), (19, 0), (20, 1), (39, 0), (60, 0)]
    found = decided(rows, until=80)
    assert found.answers == (2, -1, -1, 0)
    assert (found.count, found.undecided, found.right) == (4, 2, None)


@pytest.mark.parametrize("step", [1, 5, 10, 16, 80])
def test_windows_do_not_depend_on_how_output_is_cut_into_packets(step: int) -> None:
    rows = [(1, 2), (12, 2), (19, 0), (20, 1), (38, 1), (39, 0), (60, 0)]
    assert decided(rows, until=80, step=step).answers == (2, 1, -1, 0)


def test_a_window_that_the_stream_does_not_end_is_not_decided() -> None:
    assert decided([(1, 2), (25, 1)], until=30).answers == (2,)


def test_a_decision_is_late_by_the_packet_that_reaches_the_windows_end() -> None:
    found = decided([(1, 2), (25, 1)], until=40, late=7, deadline=5_000)
    assert found.late is not None
    assert (found.late.packets, found.late.maximum) == (2, 7)
    assert found.deadline is not None
    assert (found.deadline.missed, found.deadline.packets, found.deadline.worst_ms) == (2, 2, 7)


def test_the_first_right_decision_and_the_one_from_which_on_all_are_right() -> None:
    rows = [(5, 0), (25, 1), (45, 2), (65, 1), (85, 1)]
    found = decided(rows, until=100, label=1)
    assert (found.answers, found.right) == ((0, 1, 2, 1, 1), 3)
    assert found.first_right is not None
    assert found.stable is not None
    # window 1 ends at 40 ms, with the packet that was due 30 ms after the first one
    assert (found.first_right.stream_ms, found.first_right.host_ms, found.first_right.late_ms) == (40, 33, 3)
    assert (found.stable.stream_ms, found.stable.host_ms) == (80, 73)


def test_a_run_that_ends_wrong_was_never_right_for_good() -> None:
    found = decided([(5, 1), (25, 0)], until=40, label=1)
    assert found.first_right is not None
    assert found.stable is None
    assert ("right for good", "never: label 1 does not win at the end") in found.rows()


def test_without_windows_the_sum_since_the_start_is_judged_after_every_packet() -> None:
    rows = [(5, 0), (12, 1), (14, 1), (25, 0), (31, 1)]  # winner after each 10 ms: 0, 1, tie, 1
    found = decided(rows, until=40, window=None, label=1)
    assert found.first_right is not None
    assert found.stable is not None
    assert (found.first_right.stream_ms, found.stable.stream_ms) == (20, 40)
    assert (found.count, found.answers, found.late) == (0, (), None)


def test_the_first_spike_is_told_on_both_clocks() -> None:
    found = decided([(12, 0), (13, 1)], until=40, window=None)
    assert found.first_spike is not None
    assert (found.first_spike.stream_ms, found.first_spike.host_ms, found.first_spike.late_ms) == (12, 13, 3)


def test_nothing_fired_and_nothing_asked_is_no_decision() -> None:
    assert decided([], until=40, window=None) == Decisions()


def test_graded_spikes_count_by_their_payload() -> None:
    decider = Decider(NET, 10_000, None, None)
    decider.begin(START, 0)
    data = join([spikes((1, 0), v=5), spikes((2, 1), (3, 1))])
    decider.took(Packet(data, START, START + 10_000, 0, origin="out"), 0)
    assert decider.decisions().answers == (0,)


def test_a_readout_is_decided_by_its_membranes_and_fires_no_first_spike() -> None:
    data = np.zeros(6, MEMBRANE)
    data["t"], data["n"] = START + 999, [0, 1, 2] * 2
    data["v"] = [-1.0, -3.0, -0.5, -1.0, -1.0, -0.25]
    decider = Decider(NET, 10_000, None, None)
    decider.begin(START, 0)
    decider.took(Packet(data, START, START + 10_000, 0, origin="out"), 0)
    assert decider.decisions().answers == (2,)
    assert decider.decisions().first_spike is None


def test_a_silence_of_any_length_is_decided_at_once() -> None:
    decider = Decider(NET, 1, None, 1_000)
    decider.begin(0, 0)
    day = 86_400_000_000
    data = spikes((0, 2))
    data["t"] = day - 1
    decider.took(Packet(data, 0, day, 5 * MS, origin="out"), 0)
    found = decider.decisions()
    assert (found.count, found.undecided) == (day, day - 1)
    assert len(found.answers) == 10_000
    assert found.deadline is not None
    assert found.deadline.missed == day


OUT = Network(
    (Population("input", (1, 1, 4)),), (), ("input",), ("input",), encoding=Encoding(polarity="merge")
)


async def run(
    network: Network = OUT,
    *,
    decide: str | None = None,
    label: int | None = None,
    deadline: str | None = None,
) -> Report:
    """The input neurons 2, 2 and 1 fire, one in each 10 ms; the reference hands them on."""
    packets = [
        Packet(events((k * 10_000 + 500, n, 0, 1)), k * 10_000, (k + 1) * 10_000, (k + 1) * 10 * MS)
        for k, n in enumerate((2, 2, 1))
    ]
    async with asyncio.timeout(60), nrt.open("reference:") as session:
        await session.deploy(OUT)
        return await session.run(Script(packets), decide=decide, label=label, deadline=deadline)


async def test_a_report_tells_what_was_decided() -> None:
    report = await run(decide="10ms", label=2)
    assert report.decisions is not None
    assert (report.decisions.answers, report.decisions.right) == ((2, 2, 1), 2)
    assert report.settings.decide_us == 10_000
    assert "3 every 10 ms, 2 right (label 2), 0 undecided" in str(report)
    assert Report.from_dict(json.loads(report.to_json())).decisions == report.decisions


async def test_only_the_first_spike_is_told_where_nothing_was_asked() -> None:
    report = await run()
    assert report.decisions is not None
    assert report.decisions.first_spike is not None
    assert report.decisions.first_spike.stream_ms == pytest.approx(
        0.999
    )  # a spike's t is the last µs of its step
    assert report.decisions.late is None


TWO = Network((Population("a", (1, 1, 4)), Population("b", (1, 1, 4))), (), ("a", "b"), ("a", "b"))


@pytest.mark.parametrize(
    ("network", "chosen", "sentence"),
    [
        (TWO, {"decide": "10ms"}, "ask for the winner of one output; the network has a, b"),
        (OUT, {"label": 4}, "label is 4; the output's neurons are 0 to 3"),
        (OUT, {"label": -1}, "label is -1"),
        (OUT, {"decide": "0ms"}, "decide is 0 µs; it must be at least 1"),
        (OUT, {"deadline": "0us"}, "deadline is 0 µs"),
        (OUT, {"decide": "soon"}, "'soon' is no duration"),
    ],
)
async def test_what_cannot_be_answered_is_refused_before_anything_runs(
    network: Network, chosen: dict[str, Any], sentence: str
) -> None:
    source = Script([])
    async with nrt.open("null:") as session:
        await session.deploy(network)
        with pytest.raises(nrt.ConfigError, match=sentence):
            await session.run(source, **chosen)
    assert source.opened == 0
