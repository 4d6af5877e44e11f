"""The GPU simulator's ways of computing the same: sparse or dense, step by step or layer by layer, alone or beside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrt.errors import ConfigError, Unsupported
from nrt.network import Dense, Encoding, Network, Population, Projection, neuron
from nrt.network.neuron import Neuron
from nrt.network.semantics import Semantics
from nrt.packet import EVENT, SPIKE
from nrt_sim.cpu.engine import CpuEngine
from nrt_sim.gpu.layout import Layout
from nrt_sim.gpu.ops import Chunk, Fetched, Program
from nrt_sim.gpu.plan import lay_out
from nrt_sim.gpu.simulation import Projections, Simulation
from nrt_sim.gpu.torch_engine import TorchEngine
from nrt_sim.gpu.torch_ops import TorchOps, Ways, torch_ops
from nrt_sim.reference import ReferenceEngine
from tests.equal import START, STEPS, assert_same, everything, in_parts
from tests.unit.sim.networks import DT, random_events, random_network, seeds

quiet = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(seed=seeds, span=st.integers(1, STEPS), projections=st.sampled_from(["sparse", "dense"]))
@settings(quiet, max_examples=120)
def test_sparse_or_dense_and_however_many_steps_at_once_gives_the_same(
    seed: int, span: int, projections: Projections
) -> None:
    network = random_network(seed, exact=True)
    events = random_events(network, seed, STEPS, START)
    reference = ReferenceEngine(network, everything(network))
    engine = TorchEngine(network, everything(network), "float64", span, projections)
    assert_same(reference.run(events, START, STEPS), in_parts(engine, events, seed))
    assert engine.counters() == reference.counters()


@given(seed=seeds, projections=st.sampled_from(["sparse", "dense", "measured"]))
@settings(quiet, max_examples=40)
def test_recordings_side_by_side_do_not_touch_each_other(seed: int, projections: Projections) -> None:
    network = random_network(seed, exact=True)
    drawn = [random_events(network, seed + k, STEPS, START + 50 * k) for k in range(3)]
    starts = [START + 50 * k for k, records in enumerate(drawn) if records.dtype == drawn[0].dtype]
    inputs = [records for records in drawn if records.dtype == drawn[0].dtype]
    layout = lay_out(network, everything(network), np.dtype("float64"))
    together = Simulation(layout, torch_ops(), len(inputs), 1, projections)
    made = together.run(inputs, starts, STEPS)
    for k, (records, start) in enumerate(zip(inputs, starts, strict=True)):
        alone = ReferenceEngine(network, everything(network))
        assert_same(alone.run(records, start, STEPS), made[k])
        assert together.counters(k) == alone.counters()


def test_a_recording_starts_anew_while_the_others_go_on() -> None:
    network = random_network(11, exact=True)
    events = random_events(network, 11, STEPS, START)
    layout = lay_out(network, everything(network), np.dtype("float64"))
    together = Simulation(layout, torch_ops(), 2)
    together.run([events, events], [START, START], STEPS)
    together.reset([1])
    after = together.run([events[:0], events], [START + STEPS * DT, START], STEPS)
    alone = ReferenceEngine(network, everything(network))
    assert_same(alone.run(events, START, STEPS), after[1])
    assert together.counters(1) == alone.counters()
    assert_same(alone.run(events[:0], START + STEPS * DT, STEPS), after[0])


def test_more_steps_than_a_chunk_holds_give_the_same() -> None:
    network = random_network(3, exact=True)
    steps = 300
    events = random_events(network, 3, steps, START)
    reference = ReferenceEngine(network, everything(network))
    engine = TorchEngine(network, everything(network), "float64")
    assert_same(reference.run(events, START, steps), engine.run(events, START, steps))
    assert engine.counters() == reference.counters()


class Written(TorchOps):
    """Writes down what it is asked for."""

    asked: list[str]

    def load(self, chunk: Chunk) -> None:
        self.asked.append(f"load {chunk.steps}")
        super().load(chunk)

    def run(self, program: Program, steps: int) -> None:
        self.asked.append(f"run {steps}")
        super().run(program, steps)

    def fetch(self) -> Fetched:
        self.asked.append("fetch")
        return super().fetch()


def test_a_chunk_is_loaded_and_under_way_before_the_one_before_it_is_fetched() -> None:
    """So a GPU has work while what it gave is taken back, and while the next events are on their way."""
    network = random_network(3, exact=True)
    layout = lay_out(network, everything(network), np.dtype("float64"))
    asked: list[str] = []

    def make(layout: Layout, batch: int, span: int, room: int) -> TorchOps:
        ops = Written(layout, batch, span, room, torch.device("cpu"), Ways(layout, torch.device("cpu")))
        ops.asked = asked
        return ops

    simulation = Simulation(layout, make)
    asked.clear()
    events = random_events(network, 3, 150, START)
    simulation.run([events], [START], 150)
    assert asked == ["load 64", "run 64", "load 64", "run 64", "fetch", "load 22", "run 22", "fetch", "fetch"]
    asked.clear()
    simulation.run([events[:0]], [START + 150 * DT], 1)
    assert asked == ["load 1", "run 1", "fetch"]


NEURONS = [
    neuron(decay=0.93, gain=0.71, drive=0.013, threshold=0.9, reset="hard", v_reset=0.1),
    neuron(decay=0.93, gain=1.3, drive=-0.01, threshold=0.9, reset="soft", fire=">"),
    neuron(decay=0.81, synapse_decay=0.77, synapse_gain=0.63, threshold=0.4, reset="soft", v_min=-0.3),
    neuron(decay=0.93, drive=0.02, threshold=0.33, reset="soft", spikes="count", max_spikes=5),
    neuron(decay=0.93, drive=0.02, threshold=0.33, reset="soft", spikes="round", max_spikes=5),
    neuron(decay=0.93, drive=0.02, threshold=0.33, reset="soft", spikes="signed"),
    neuron(decay=0.93, drive=0.02, threshold=1.1, reset="soft", spikes="graded"),
    neuron(decay=0.93, drive=0.02, threshold=0.7, reset="soft", timing="delayed"),
    neuron(decay=0.93, drive=0.02, threshold=0.7, reset="hard", v_reset=0.3, timing="fire-first"),
    neuron(decay=0.93, drive=0.02, spikes="none", reset="none"),
]


@pytest.mark.parametrize("cell", NEURONS, ids=lambda cell: f"{cell.spikes} {cell.reset} {cell.timing}")
def test_membranes_agree_with_the_cpu_engine_in_every_bit(cell: Neuron) -> None:
    """Numbers that float32 rounds at every operation; inputs that it does not."""
    size, steps = 64, 200
    network = Network(
        (Population("in", (size,)), Population("out", (size,), cell)),
        (Projection("in", "out", (Dense(np.eye(size) * 0.3125),)),),
        ("in",),
        ("out",),
        Semantics(dt=DT),
    )
    random = np.random.default_rng(5)
    records = np.zeros(20 * steps, SPIKE)
    records["t"] = np.sort(random.integers(0, steps * DT, len(records)))
    records["n"] = random.integers(0, size, len(records))
    records["v"] = random.integers(-1, 4, len(records))
    watched = ("out", "out.v")
    expected = CpuEngine(network, watched, dense="never").run(records, 0, steps)
    seen = TorchEngine(network, watched).run(records, 0, steps)
    assert_same(expected, seen)
    assert len(expected["out"]) > 0


def test_a_way_is_chosen_by_how_many_spikes_there_were() -> None:
    network = Network(
        (Population("in", (1, 64, 64)), Population("out", (256,), neuron())),
        (Projection("in", "out", (Dense(np.full((256, 4096), 2.0**-8)),)),),
        ("in",),
        ("out",),
        Semantics(dt=DT),
        Encoding(polarity="merge"),
    )
    engine = TorchEngine(network, ("out",))
    records = np.zeros(4096, EVENT)
    records["x"], records["y"] = np.arange(4096) % 64, np.arange(4096) // 64
    engine.run(records[:1], 0, 1)
    assert engine.simulation.ways == {"in → out": "sparse"}
    engine.run(records, 0, 1)
    assert engine.simulation.ways == {"in → out": "dense"}


def test_a_population_that_is_not_there_cannot_be_watched() -> None:
    with pytest.raises(ConfigError, match="no population 'nobody' to watch; there is "):
        TorchEngine(random_network(1, exact=True), ("nobody",))


def test_two_inputs_are_refused() -> None:
    network = Network(
        (Population("a", (1,)), Population("b", (1,)), Population("c", (1,), neuron())),
        (Projection("a", "c", ()), Projection("b", "c", ())),
        ("a", "b"),
        ("c",),
    )
    with pytest.raises(Unsupported, match="exactly one input"):
        TorchEngine(network, ("c",))


def test_events_outside_of_the_steps_are_refused() -> None:
    engine = TorchEngine(random_network(1, exact=True), ())
    with pytest.raises(ConfigError, match="events lie outside of the 2 steps from 0"):
        engine.run(np.array([(2 * DT, 0, 0, 0)], EVENT), 0, 2)


def test_a_fork_has_a_state_of_its_own() -> None:
    network = random_network(11, exact=True)
    events = random_events(network, 11, STEPS, START)
    engine = TorchEngine(network, everything(network), "float64")
    first = engine.run(events, START, STEPS)
    assert_same(first, engine.fork().run(events, START, STEPS))
    assert engine.counters().steps == STEPS
