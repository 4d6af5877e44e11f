"""The kernels' text, run on the CPU as a whole engine, equals the reference in whatever order threads take turns."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.network import Conv, Dense, Encoding, Network, Pool, Population, Projection, neuron
from nrt.network.operators import Scale
from nrt.packet import EVENT, SPIKE, Records
from nrt_sim.cpu.engine import CpuEngine
from nrt_sim.gpu.cuda_ops import CudaOps, made_with
from nrt_sim.gpu.cuda_pass import Play
from nrt_sim.gpu.cuda_tables import Addition
from nrt_sim.gpu.kernels import Kernel
from nrt_sim.gpu.ops import Chunk, Way
from nrt_sim.gpu.plan import lay_out
from nrt_sim.gpu.simulation import Projections, Simulation, program
from nrt_sim.reference import ReferenceEngine
from tests.equal import START, STEPS, assert_same, everything
from tests.unit.gpu.kernel_shim import built, needs_compiler
from tests.unit.sim.networks import DT, random_events, random_network, seeds

pytestmark = [needs_compiler, pytest.mark.timeout(600)]
quiet = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
orders = st.integers(0, 6)


def simulate(
    network: Network,
    batch: int = 1,
    span: int = 1,
    projections: Projections = "sparse",
    addition: Addition = "sorted",
    order: int = 0,
) -> Simulation:
    make = made_with(built().in_order(order), torch.device("cpu"), addition)
    return Simulation(
        lay_out(network, everything(network), np.dtype("float32")), make, batch, span, projections
    )


@given(
    seed=seeds,
    order=orders,
    span=st.integers(1, 3),
    projections=st.sampled_from(["sparse", "dense"]),
    addition=st.sampled_from(["sorted", "atomic"]),
)
@settings(quiet, max_examples=20)
def test_kernels_equal_the_reference_on_random_networks(
    seed: int, order: int, span: int, projections: Projections, addition: Addition
) -> None:
    network = random_network(seed, exact=True, short=True)
    events = random_events(network, seed, STEPS, START)
    reference = ReferenceEngine(network, everything(network))
    kernels = simulate(network, 1, span, projections, addition, order)
    assert_same(reference.run(events, START, STEPS), kernels.run([events], [START], STEPS)[0])
    assert kernels.counters() == reference.counters()


@given(seed=seeds, order=orders, span=st.sampled_from([1, 2]), addition=st.sampled_from(["sorted", "atomic"]))
@settings(quiet, max_examples=7)
def test_recordings_side_by_side_do_not_touch_each_other(
    seed: int, order: int, span: int, addition: Addition
) -> None:
    network = random_network(seed, exact=True, short=True)
    inputs = [random_events(network, seed, STEPS, START) for _ in range(3)]
    inputs[1] = inputs[1][len(inputs[1]) // 2 :]
    together = simulate(network, 3, span, "sparse", addition, order)
    made = together.run(inputs, [START] * 3, STEPS)
    for k, events in enumerate(inputs):
        alone = ReferenceEngine(network, everything(network))
        assert_same(alone.run(events, START, STEPS), made[k])
        assert together.counters(k) == alone.counters()


@pytest.mark.parametrize("seed", range(4))
def test_a_recording_starts_anew_while_the_others_go_on(seed: int) -> None:
    network = random_network(seed, exact=True, short=True)
    events = random_events(network, seed, STEPS, START)
    together = simulate(network, 2)
    together.run([events, events], [START, START], STEPS)
    together.reset([1])
    after = together.run([events[:0], events], [START + STEPS * DT, START], STEPS)
    alone = ReferenceEngine(network, everything(network))
    assert_same(alone.run(events, START, STEPS), after[1])
    assert together.counters(1) == alone.counters()
    assert_same(alone.run(events[:0], START + STEPS * DT, STEPS), after[0])


@given(seed=seeds, order=st.integers(1, 6), span=st.sampled_from([1, 2]))
@settings(quiet, max_examples=7)
def test_sorted_additions_give_the_same_bits_in_whatever_order_threads_run(
    seed: int, order: int, span: int
) -> None:
    network = random_network(seed, exact=False)
    events = random_events(network, seed, STEPS, START)
    forward = simulate(network, span=span).run([events], [START], STEPS)[0]
    assert_same(forward, simulate(network, span=span, order=order).run([events], [START], STEPS)[0])


NEURONS = [
    {"decay": 0.93, "drive": 0.05, "v_min": -0.3},
    {"decay": 0.93, "drive": 0.05, "reset": "soft", "timing": "delayed", "fire": ">"},
    {"decay": 0.9, "drive": 0.01, "timing": "fire-first", "v_reset": 0.2},
    {"decay": 0.8, "gain": 0.7, "synapse_decay": 0.6, "spikes": "count", "reset": "soft", "max_spikes": 3},
    {
        "decay": 0.8,
        "synapse_decay": 0.9,
        "synapse_gain": 0.3,
        "spikes": "round",
        "reset": "soft",
        "max_spikes": 4,
    },
    {"decay": 0.7, "drive": 0.01, "spikes": "signed", "threshold": 0.7, "reset": "hard"},
    {"decay": 0.99, "drive": 0.3, "spikes": "graded", "threshold": 1.5, "reset": "soft"},
    {"decay": 0.9, "synapse_decay": 0.8, "spikes": "none"},
]


@pytest.mark.parametrize("parameters", NEURONS)
@pytest.mark.parametrize("span", [1, 5])
def test_membranes_agree_bit_for_bit_with_the_cpu_engine(parameters: dict[str, object], span: int) -> None:
    model = neuron(**parameters)  # type: ignore[arg-type]  # every row fits
    events = np.zeros(400, EVENT)
    random = np.random.default_rng(5)
    events["t"] = np.sort(random.integers(0, 20 * 1000, len(events)))
    events["x"], events["y"] = random.integers(0, 9, len(events)), random.integers(0, 7, len(events))
    network = Network(
        (Population("input", (1, 7, 9)), Population("cells", (1, 7, 9), model)),
        (Projection("input", "cells", (Scale(np.asarray(0.3)),)),),
        ("input",),
        ("cells",),
        encoding=Encoding(polarity="merge", values="binary"),
    )
    expected = CpuEngine(network, ("cells", "cells.v")).run(events, 0, 20)
    make = made_with(built(), torch.device("cpu"), "sorted")
    layout = lay_out(network, ("cells", "cells.v"), np.dtype("float32"))
    seen = Simulation(layout, make, 1, span, "sparse").run([events], [0], 20)[0]
    for name, records in expected.items():
        assert records.tobytes() == seen[name].tobytes(), name
    assert len(np.unique(expected["cells.v"]["v"])) > 50


def _layers(*operators: tuple[Dense | Conv | Pool | Scale, ...], sensor: int = 24) -> Network:
    """A network of layers, each with a plain neuron that fires now and then."""
    populations = [Population("p0", (2, sensor, sensor))]
    projections: list[Projection] = []
    for k, chain in enumerate(operators, 1):
        shape = populations[-1].shape
        for operator in chain:
            shape = operator.shape(shape)
        populations.append(Population(f"p{k}", shape, neuron(decay=0.5, threshold=1.0)))
        projections.append(Projection(f"p{k - 1}", f"p{k}", chain))
    return Network(tuple(populations), tuple(projections), ("p0",), (populations[-1].name,))


def _dyadic(*shape: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    values = np.random.default_rng(seed).normal(0.1, 0.4, shape)
    return np.round(values * 16) / 16


def _burst(steps: int, sensor: int) -> Records:
    random = np.random.default_rng(3)
    events = np.zeros(150 * steps, EVENT)
    events["t"] = np.sort(random.integers(0, steps * 1000, len(events)))
    events["x"], events["y"] = random.integers(0, sensor, (2, len(events)))
    events["p"] = random.integers(0, 2, len(events))
    return events


@pytest.mark.parametrize(("addition", "order"), [("sorted", 1), ("sorted", 5), ("atomic", 0), ("atomic", 5)])
def test_layers_of_many_tiles_warps_and_segments_equal_the_reference(order: int, addition: Addition) -> None:
    """Rows of a target wider than a block's shared memory, matrices wider than a warp, more neurons than a tile."""
    network = _layers(
        (Conv(_dyadic(352, 2, 3, 3), (1, 1), (1, 1)),),
        (Pool((2, 2), (2, 2)), Conv(_dyadic(4, 352, 1, 1, seed=1))),
        (Dense(_dyadic(70, 4 * 6 * 6, seed=2)),),
        sensor=12,
    )
    assert network["p1"].shape[0] * network["p1"].shape[2] > 4096
    events = _burst(2, 12)
    reference = ReferenceEngine(network, everything(network))
    kernels = simulate(network, addition=addition, order=order)
    assert_same(reference.run(events, 0, 2), kernels.run([events], [0], 2)[0])
    assert kernels.counters() == reference.counters()
    assert sum(reference.counters().spikes.values()) > 1000


@pytest.mark.parametrize("order", [0, 1, 4])
def test_blocks_that_share_the_spikes_of_a_matrix_equal_the_reference(order: int) -> None:
    network = _layers((Dense(_dyadic(37, 2 * 40 * 40)),), sensor=40)
    events = _burst(3, 40)
    reference = ReferenceEngine(network, everything(network))
    kernels = simulate(network, 2, order=order)
    made = kernels.run([events, events[:0]], [0, 0], 3)
    assert_same(reference.run(events, 0, 3), made[0])
    assert kernels.counters() == reference.counters()


@pytest.mark.parametrize("addition", ["sorted", "atomic"])
@pytest.mark.parametrize(
    "operator", [Pool((2, 2), (2, 2)), Conv(np.full((1, 1, 2, 2), 0.25)), Dense(np.full((3, 1600), 0.25))]
)
def test_however_many_spikes_there_are_all_of_them_arrive(
    operator: Pool | Conv | Dense, addition: Addition
) -> None:
    """A warp looks for its part of a list in 33 parts: lists of 33 and of 33 x 33 spikes, and those around them."""
    counts = [1, 32, 33, 34, 66, 99, 1089, 1090, 1600]
    network = Network(
        (
            Population("input", (1, 40, 40)),
            Population("sums", operator.shape((1, 40, 40)), neuron(decay=0.0, spikes="none")),
        ),
        (Projection("input", "sums", (operator,)),),
        ("input",),
        ("sums",),
    )
    spikes = np.zeros(sum(counts), SPIKE)
    spikes["t"] = np.repeat(np.arange(len(counts)) * 1000, counts)
    spikes["n"] = np.concatenate([np.arange(count) for count in counts])
    spikes["v"] = 1
    expected = ReferenceEngine(network, everything(network)).run(spikes, 0, len(counts))
    for seen in simulate(network, 2, addition=addition).run([spikes, spikes], [0, 0], len(counts)):
        assert_same(expected, seen)


def test_a_chunk_may_be_loaded_before_the_one_before_it_is_fetched() -> None:
    network = _layers((Conv(_dyadic(4, 2, 3, 3)),), (Dense(_dyadic(9, 4 * 10 * 10)),), sensor=12)
    events = _burst(4, 12)
    layout = lay_out(network, ("p1", "p2"), np.dtype("float32"))
    expected = ReferenceEngine(network, ("p1", "p2")).run(events, 0, 4)
    ops = made_with(built(), torch.device("cpu"), "sorted")(layout, 1, 1, 2)
    assert isinstance(ops, CudaOps)
    plan = program(layout, dict.fromkeys(range(len(layout.routes)), "sparse"))
    for first in (0, 2):
        bounds = np.searchsorted(events["t"], np.arange(first, first + 3) * 1000).astype(np.int32)
        mine = events[bounds[0] : bounds[-1]]
        ops.load(Chunk(mine.view(np.uint64).reshape(-1, 2), (bounds - bounds[0])[None], False))
        ops.run(plan, 2)
    for first in (0, 2):
        fetched = ops.fetch()
        for k, name in enumerate(("p1", "p2")):
            rows = fetched.spikes[k]
            assert rows is not None
            records = expected[name]
            mine = records[(records["t"] // 1000 >= first) & (records["t"] // 1000 < first + 2)]
            n = layout.layers[k + 1].neuron_at[rows[:, 2]]
            step = rows[:, 0] + first
            order = np.lexsort((n, step))
            np.testing.assert_array_equal(step[order], mine["t"] // 1000)
            np.testing.assert_array_equal(n[order], mine["n"])
    ops.close()


@pytest.mark.parametrize("seed", [3, 4, 5])
@pytest.mark.parametrize("addition", ["sorted", "atomic"])
def test_the_way_of_each_projection_may_change_from_chunk_to_chunk(seed: int, addition: Addition) -> None:
    network = random_network(seed, exact=True, short=True)
    events = random_events(network, seed, STEPS, START)
    reference = ReferenceEngine(network, everything(network))
    layout = lay_out(network, everything(network), np.dtype("float32"))
    ops = made_with(built(), torch.device("cpu"), addition)(layout, 1, 1, 1)
    random = np.random.default_rng(seed)
    for step in range(STEPS):
        begin = START + step * DT
        mine = events[slice(*np.searchsorted(events["t"], [begin, begin + DT]))]
        ways: dict[int, Way] = {
            r.index: "sparse" if r.table is not None and random.random() < 0.5 else "dense"
            for r in layout.routes
        }
        words = np.ascontiguousarray(mine).view(np.uint64).reshape(-1, 2)
        ops.load(Chunk(words, np.array([[0, len(mine)]], np.int32), mine.dtype == SPIKE))
        ops.run(program(layout, ways), 1)
        fetched = ops.fetch()
        expected = reference.run(mine, begin, 1)
        for k, watch in enumerate(layout.watches):
            layer = layout.layers[watch.layer]
            rows, membranes = fetched.spikes[k], fetched.membranes[k]
            if rows is not None:
                order = np.argsort(layer.neuron_at[rows[:, 2]])
                np.testing.assert_array_equal(layer.neuron_at[rows[order, 2]], expected[watch.name]["n"])
                np.testing.assert_array_equal(rows[order, 3], expected[watch.name]["v"])
            else:
                assert membranes is not None
                np.testing.assert_array_equal(membranes[0, 0], expected[watch.name]["v"][layer.neuron_at])
    ops.close()


class Tape:
    """A launcher that records launches instead, as a stream does while a CUDA graph is captured."""

    def __init__(self) -> None:
        self._shim = built()
        self._taping: list[Play] | None = None
        self.replayed = 0

    def launch(
        self, kernel: Kernel, option: tuple[int, ...], arguments: NDArray[np.void], grid: tuple[int, int]
    ) -> None:
        launch = partial(self._shim.launch, kernel, option, arguments.copy(), grid)
        if self._taping is None:
            launch()
        else:
            self._taping.append(launch)

    def capture(self, play: Play) -> Play:
        tape: list[Play] = []
        self._taping = tape
        play()
        self._taping = None

        def replay() -> None:
            self.replayed += 1
            for launch in tape:
                launch()

        return replay


@pytest.mark.parametrize("seed", [2, 8])
def test_a_pass_that_is_recorded_once_computes_any_step(seed: int) -> None:
    network = random_network(seed, exact=True, short=True)
    layout = lay_out(network, everything(network), np.dtype("float32"))
    if any(route.table is None for route in layout.routes):
        pytest.skip("torch computes a part of this network, and cannot be put on tape")
    events = random_events(network, seed, 67, START)
    tape = Tape()
    make = made_with(tape, torch.device("cpu"), "sorted", tape.capture)
    taped, launched = Simulation(layout, make, 1, 1, "sparse"), simulate(network)
    for begin, end in ((0, 30), (30, 67)):
        times = START + DT * np.array([begin, end])
        some = events[slice(*np.searchsorted(events["t"], times))]
        expected = launched.run([some], [int(times[0])], end - begin)[0]
        assert_same(expected, taped.run([some], [int(times[0])], end - begin)[0])
    assert taped.counters() == launched.counters()
    assert tape.replayed > 4


def test_events_beyond_the_room_of_a_slab_are_all_taken() -> None:
    network = _layers((Dense(_dyadic(3, 2 * 8 * 8)),), sensor=8)
    events = np.zeros(70_000, EVENT)
    events["t"] = np.arange(len(events)) * 2000 // len(events)
    events["x"] = np.arange(len(events)) % 8
    reference = ReferenceEngine(network, ("p1",))
    kernels = simulate(network)
    for _ in range(2):  # the other slab too
        reference.run(events, 0, 2)
        kernels.run([events], [0], 2)
    assert kernels.counters() == reference.counters()
    assert kernels.counters().events == 140_000
