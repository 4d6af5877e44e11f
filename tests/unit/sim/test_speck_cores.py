"""The emulated Speck cores against a slow oracle, and what no other test of them shows."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nrt_sim.chips.speck import columns as c
from nrt_sim.chips.speck import figures
from nrt_sim.chips.speck.chip import Chip
from nrt_sim.chips.speck.configuration import SpeckConfiguration
from nrt_sim.chips.speck.kernels import I64
from tests.unit.sim.speck_case import relay, set_core
from tests.unit.sim.speck_oracle import Oracle

Inputs = list[tuple[int, int, int, int, int]]


def queue_of(inputs: Inputs, end: int) -> I64:
    """(time ps, core, x, y, feature) as rows, and a read at `end` that lets time go on."""
    rows: I64 = np.zeros((len(inputs) + 1, c.N_EVENT), np.int64)
    for row, (when, core, x, y, f) in zip(rows, inputs, strict=False):
        row[:] = when, c.SPIKE, core, x, y, f
    rows[-1] = end, c.KILL, 0, 127, 127, 0
    return rows


def monitored(out: I64) -> Inputs:
    return [
        tuple(row) for row in out[out[:, c.WHAT] == c.SPIKE][:, (c.WHEN, c.LAYER, c.X, c.Y, c.F)].tolist()
    ]


@st.composite
def configurations(draw: st.DrawFn) -> SpeckConfiguration:
    """Two to four cores in a forward graph with up to two destinations each; merging, shifting, pooling, leaking."""
    config = SpeckConfiguration()
    indices = draw(st.lists(st.integers(0, 8), min_size=2, max_size=4, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for index in indices:
        kernel, features = draw(st.sampled_from([1, 2, 3])), draw(st.integers(1, 3))
        inputs = (int(rng.integers(1, 4)), int(rng.integers(kernel, 7)), int(rng.integers(kernel, 7)))
        stride = (int(rng.choice([1, 2])), int(rng.choice([1, 2, 4])))
        padding = (int(rng.integers(0, 3)), int(rng.integers(0, 3)))
        leaking = draw(st.booleans())
        high = int(rng.integers(1, 200))
        set_core(
            config, index, rng.integers(-128, 128, (features, inputs[0], kernel, kernel)), inputs,
            high=high, low=int(rng.integers(-300, 0)), stride=stride, padding=padding, monitor_enable=True,
            return_to_zero=draw(st.booleans()), leak_enable=leaking,
            biases=rng.integers(-20, 20, features).tolist() if leaking else [],
            input_congestion_balancer_enable=draw(st.booleans()),
            output_decimator_enable=draw(st.booleans()), output_decimator_interval=int(rng.integers(0, 3)),
        )  # fmt: skip
    for place, index in enumerate(indices[:-1]):
        for destination in config.cnn_layers[index].destinations[: draw(st.integers(0, 2))]:
            destination.enable, destination.layer = True, draw(st.sampled_from(indices[place + 1 :]))
            destination.pooling, destination.feature_shift = (
                draw(st.sampled_from([1, 2, 4])),
                int(rng.integers(0, 2)),
            )
    return config


@st.composite
def streams(draw: st.DrawFn, config: SpeckConfiguration) -> Inputs:
    """Events to the cores in use, some at once, some outside their maps."""
    used = [k for k, core in enumerate(config.cnn_layers) if core.weights]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, gap = draw(st.integers(1, 60)), draw(st.sampled_from([0, 50_000, 3_000_000]))
    times = np.sort(rng.integers(0, n * gap + 1, n))
    return [
        (
            int(t),
            int(rng.choice(used)),
            int(rng.integers(0, 7)),
            int(rng.integers(0, 7)),
            int(rng.integers(0, 4)),
        )
        for t in times
    ]


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 4), st.sampled_from([0, 7_000_000]))
def test_every_spike_comes_where_and_when_the_oracle_says(
    data: st.DataObject, fifo: int, period: int
) -> None:
    config = data.draw(configurations())
    inputs = data.draw(streams(config))
    end = inputs[-1][0] + data.draw(st.sampled_from([0, 40_000_000]))
    chip = Chip(fifo=fifo)
    chip.configure(config)
    chip.slow_clock(period)
    out, taken, stuck = chip.run(queue_of(inputs, end))
    oracle = Oracle(config, fifo, period)
    oracle.run(inputs, end)
    assert (taken, stuck) == (len(inputs) + 1, False)
    seen = sorted((spike for spike in oracle.spikes if spike[0] <= chip.now), key=lambda spike: spike[0])
    assert monitored(out) == seen
    for k, core in oracle.cores.items():
        membranes = chip.membranes(k)
        assert all(membranes[f, y, x] == core.states.get((y, x, f), 0) for y, x, f in core.neurons())
        counted = tuple(chip.state[k, (c.SPIKES, c.DROPPED, c.OUTSIDE)].tolist())
        assert counted == (core.fired, core.dropped, core.outside)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.lists(st.integers(0, 60), max_size=4))
def test_cutting_the_input_into_pieces_changes_nothing(data: st.DataObject, cuts: list[int]) -> None:
    config = data.draw(configurations())
    inputs = data.draw(streams(config))
    queue = queue_of(inputs, inputs[-1][0] + 10**9)
    whole, pieces = Chip(), Chip()
    whole.configure(config)
    pieces.configure(config)
    for chip in (whole, pieces):
        chip.slow_clock(5_000_000)
    together = monitored(whole.run(queue)[0])
    edges = [0, *sorted(min(cut, len(queue)) for cut in cuts), len(queue)]
    apart = [
        spike
        for begin, end in itertools.pairwise(edges)
        for spike in monitored(pieces.run(queue[begin:end])[0])
    ]
    assert apart == together


def test_a_membrane_stops_at_the_largest_16_bit_number() -> None:
    config = SpeckConfiguration()
    relay(config, 2, threshold_high=1, threshold_low=-1)
    chip = Chip()
    chip.configure(config)
    inputs = [(n * 10**6, 2, 0, 0, 0) for n in range(400)]
    chip.run(queue_of(inputs, 10**9))
    assert chip.membranes(2).item() == 32767 - 1


def test_an_overloaded_core_makes_the_host_wait_and_loses_nothing() -> None:
    config = SpeckConfiguration()
    set_core(config, 5, np.full((1024, 1, 4, 4), 1), (1, 4, 4), high=32767)
    chip = Chip(fifo=4)
    chip.configure(config)
    inputs = [(0, 5, 0, 0, 0)] * 100
    chip.run(queue_of(inputs, 10**12))
    assert chip.state[5, c.EVENTS] == 100
    assert (
        chip.state[c.HOST, c.LATEST] == 95 * 1024 * figures.SYNOP_PS
    )  # the last waits for all but 4 in the queue


def test_a_congestion_balancer_drops_and_counts_instead() -> None:
    config = SpeckConfiguration()
    weights = np.full((1024, 1, 4, 4), 1)
    set_core(config, 5, weights, (1, 4, 4), high=32767, input_congestion_balancer_enable=True)
    chip = Chip(fifo=4)
    chip.configure(config)
    chip.run(queue_of([(0, 5, 0, 0, 0)] * 100, 10**12))
    assert chip.state[c.HOST, c.LATEST] == 0
    assert chip.state[5, c.EVENTS] + chip.state[5, c.DROPPED] == 100
    assert chip.state[5, c.DROPPED] >= 90


def test_the_parallel_cores_are_faster() -> None:
    late = []
    for core in (1, 2):
        config = SpeckConfiguration()
        set_core(config, core, np.full((512, 1, 1, 1), 1), (1, 1, 1), high=32767)
        chip = Chip(fifo=1)
        chip.configure(config)
        chip.run(queue_of([(0, core, 0, 0, 0)] * 50, 10**12))
        late.append(chip.state[c.HOST, c.LATEST])
    assert late[0] * figures.PARALLEL == late[1]


def test_cores_that_wait_for_each_other_are_told_as_a_deadlock() -> None:
    """Recurrence is possible and not recommended (sinabs, faqs/available_network_arch.md)."""
    config = SpeckConfiguration()
    for core, target in ((2, 3), (3, 2)):
        set_core(config, core, np.full((8, 8, 1, 1), 127), (8, 1, 1), high=1, low=-1)
        config.cnn_layers[core].destinations[0].enable = True
        config.cnn_layers[core].destinations[0].layer = target
    chip = Chip(fifo=2)
    chip.configure(config)
    _, taken, stuck = chip.run(queue_of([(0, 2, 0, 0, 0)] * 50, 10**9))
    assert stuck
    assert taken < 50


def test_time_without_events_costs_nothing_once_the_leak_has_come_to_rest() -> None:
    """An hour of ticks at 10 kHz on this core would be 6e11 updates."""
    config = SpeckConfiguration()
    weights = np.full((4, 1, 1, 1), 1)
    set_core(config, 0, weights, (1, 64, 64), high=100, low=-50, biases=[-1] * 4, leak_enable=True)
    set_core(config, 2, weights, (1, 8, 8), high=100, low=-1, biases=[-1] * 4, leak_enable=True)
    chip = Chip()
    chip.configure(config)
    chip.slow_clock(10**8)
    hour = 3600 * 10**12
    chip.run(queue_of([(hour + 1, 0, 5, 5, 0)], hour + 10**8))
    assert set(np.unique(chip.membranes(0)).tolist()) == {-50, -49}
    assert chip.state[(0, 2), c.TICKS].tolist() == [36_000_000] * 2
    assert chip.state[0, c.SYNOPS] == 36_000_000 * 64 * 64 * 4 + 4


def test_ticks_that_take_longer_than_their_period_keep_a_core_from_its_events() -> None:
    """64 Ki neurons at 5 ns take 328 µs; the slow clock ticks every 100 µs."""
    config = SpeckConfiguration()
    weights = np.full((16, 1, 1, 1), 1)
    set_core(config, 0, weights, (1, 64, 64), high=100, low=-1, biases=[-1] * 16, leak_enable=True)
    chip = Chip()
    chip.configure(config)
    chip.slow_clock(10**8)
    second = 10**12
    chip.run(queue_of([(second, 0, 5, 5, 0)], 3 * second))
    assert chip.state[0, c.EVENTS] == 0
    chip.run(queue_of([], 4 * second))
    assert chip.state[0, c.EVENTS] == 1
