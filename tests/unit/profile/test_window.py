"""Decision windows count every spike once, in the window that it fired in, however the stream is cut."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nrt.network import Network, Population, neuron
from nrt.packet import MEMBRANE, SPIKE, Packet, Records
from nrt.profile.window import GAP, Windows


def net(*outputs: str, size: int = 3) -> Network:
    made = tuple(Population(name, (size,), neuron(threshold=1.0)) for name in outputs)
    return Network((Population("input", (1,)), *made), (), ("input",), outputs)


def spikes(*rows: tuple[int, int, int]) -> Records:
    out = np.zeros(len(rows), SPIKE)
    for k, (t, n, v) in enumerate(rows):
        out[k] = (t, n, v)
    return out


def packet(start: int, end: int, data: Records, origin: str = "o") -> Packet:
    return Packet(data, start, end, 0, origin=origin)


def test_a_window_ends_when_the_stream_has_reached_its_end() -> None:
    windows = Windows(net("o"), 10)
    assert not list(windows.take(packet(100, 109, spikes((100, 0, 1), (108, 2, 1), (108, 2, 1)))))
    (verdict,) = windows.take(packet(109, 112, spikes((109, 2, 1), (110, 1, 5))))
    assert (verdict.start, verdict.end) == (100, 110)
    assert verdict.counts == {"o": (1.0, 0.0, 3.0)}
    assert (verdict.winner, verdict.label(["x", "y", "z"]), verdict.label(["x"])) == (2, "z", "")
    (verdict,) = windows.take(packet(112, 120, spikes()))
    assert verdict.counts == {"o": (0.0, 5.0, 0.0)}


def test_a_tie_and_silence_have_no_winner() -> None:
    windows = Windows(net("o"), 10)
    tied, silent = windows.take(packet(0, 20, spikes((1, 0, 1), (2, 1, 1))))
    assert tied.winner is None
    assert silent.winner is None
    assert tied.label(["x", "y", "z"]) == ""


def test_several_outputs_wait_for_each_other_and_have_no_winner() -> None:
    windows = Windows(net("o", "q"), 10)
    assert not list(windows.take(packet(0, 30, spikes((5, 0, 1)))))
    assert not list(windows.take(packet(0, 30, spikes(), "tap")))
    first, second = windows.take(packet(0, 20, spikes((15, 1, 1)), "q"))
    assert first.counts == {"o": (1.0, 0.0, 0.0), "q": (0.0, 0.0, 0.0)}
    assert second.counts == {"o": (0.0, 0.0, 0.0), "q": (0.0, 1.0, 0.0)}
    assert first.winner is None


def test_a_readouts_membranes_are_averaged() -> None:
    windows = Windows(net("o", size=2), 10)
    data = np.zeros(4, MEMBRANE)
    data["t"], data["n"], data["v"] = [1, 1, 6, 6], [0, 1, 0, 1], [1.0, 4.0, 2.0, -2.0]
    (verdict,) = windows.take(packet(0, 10, data))
    assert verdict.counts == {"o": (1.5, 1.0)}


def test_a_long_gap_is_not_decided_upon_a_thousand_times() -> None:
    windows = Windows(net("o"), 10)
    assert len(list(windows.take(packet(0, 20, spikes((1, 0, 1)))))) == 2
    assert not list(windows.take(packet(20, 20 + 10 * GAP * 5, spikes())))
    assert windows.skipped == GAP * 5
    (verdict,) = windows.take(packet(20 + 10 * GAP * 5, 30 + 10 * GAP * 5, spikes()))
    assert verdict.end == 30 + 10 * GAP * 5


@given(
    st.lists(st.integers(0, 999), max_size=60),
    st.lists(st.integers(1, 999), max_size=12),
    st.integers(1, 300),
)
def test_every_spike_is_counted_in_its_window_wherever_the_stream_is_cut(
    times: list[int], cuts: list[int], span: int
) -> None:
    times.sort()
    data = spikes(*((t, t % 3, 1) for t in times))
    windows = Windows(net("o"), span)
    edges = sorted({0, *cuts, 1_000})
    verdicts = [
        verdict
        for start, end in pairwise(edges)
        for verdict in windows.take(packet(start, end, data[(data["t"] >= start) & (data["t"] < end)]))
    ]
    assert [each.start for each in verdicts] == list(range(0, 1_000 - span + 1, span))
    for each in verdicts:
        inside = [t for t in times if each.start <= t < each.end]
        assert each.counts["o"] == tuple(float(sum(t % 3 == n for t in inside)) for n in range(3))
