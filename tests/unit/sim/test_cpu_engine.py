"""The CPU engine's own behaviour: state, forks, errors, long runs, and processors without wide vectors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from nrt.errors import ConfigError, Unsupported
from nrt.network import Dense, Network, Population, Projection, neuron
from nrt.network.neuron import Reset
from nrt.network.semantics import Semantics
from nrt.packet import EVENT, SPIKE, Records
from nrt_sim.cpu.engine import CpuEngine, warm
from nrt_sim.cpu.lazy import LONGEST_TABLE
from tests.unit.sim.networks import DT, random_events, random_network

ROOT = Path(__file__).parents[3]


def _spikes(*rows: tuple[int, int, int]) -> Records:
    return np.array(list(rows), SPIKE)


def _single(threshold: float = 1.0, decay: float = 1.0, reset: Reset = "hard") -> Network:
    """One input, weight 1/2, to one neuron."""
    cell = neuron(threshold=threshold, decay=decay, reset=reset)
    return Network(
        (Population("in", (1,)), Population("out", (1,), cell)),
        (Projection("in", "out", (Dense(np.array([[0.5]])),)),),
        ("in",),
        ("out",),
        Semantics(dt=DT),
    )


def _run(engine: CpuEngine, events: Records) -> Mapping[str, Records]:
    return engine.run(events, 0, 50)


def test_reset_brings_back_the_beginning() -> None:
    network = random_network(7, exact=True)
    events = random_events(network, 7, 8, 0)
    engine = CpuEngine(network, network.outputs)
    first = engine.run(events, 0, 8)
    counted = engine.counters()
    engine.reset()
    assert engine.counters().steps == 0
    second = engine.run(events, 0, 8)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert engine.counters() == counted


def test_forks_run_side_by_side_in_threads_and_do_not_disturb_each_other() -> None:
    network = random_network(3, exact=True)
    names = [p.name for p in network.populations]
    engine = CpuEngine(network, names)
    streams = [random_events(network, seed, 50, 0) for seed in range(8)]
    expected = [CpuEngine(network, names).run(events, 0, 50) for events in streams]
    forks = [engine.fork() for _ in streams]
    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(_run, forks, streams))
    for one, other in zip(expected, seen, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in names)
    assert engine.counters().steps == 0


def test_more_records_than_there_is_room_for_come_back_whole() -> None:
    network = _single(threshold=0.5)
    steps = 20_000
    spikes = np.zeros(steps, SPIKE)
    spikes["t"], spikes["v"] = np.arange(steps) * DT, 1
    seen = CpuEngine(network, ("out", "out.v")).run(spikes, 0, steps)
    np.testing.assert_array_equal(seen["out"]["t"], np.arange(1, steps + 1) * DT - 1)
    assert len(seen["out.v"]) == steps


@pytest.mark.parametrize("decay", [0.5, 0.99, 0.99999])
def test_a_membrane_left_alone_leaks_as_if_computed_in_every_step(decay: float) -> None:
    engine = CpuEngine(_single(decay=decay, threshold=10.0), ("out.v",), "float64")
    silence = LONGEST_TABLE + 10
    engine.run(_spikes((0, 0, 2)), 0, 1)
    engine.run(np.empty(0, SPIKE), DT, silence - 1)
    v = engine.run(_spikes((silence * DT, 0, 1)), silence * DT, 1)["out.v"]["v"][0]
    assert v == pytest.approx(decay**silence + 0.5, rel=1e-6)


def test_what_a_soft_reset_leaves_fires_again_without_input() -> None:
    engine = CpuEngine(_single(threshold=1.0), ("out",))
    assert len(engine.run(_spikes((0, 0, 7)), 0, 6)["out"]) == 1
    seen = CpuEngine(_single(reset="soft"), ("out",)).run(_spikes((0, 0, 7)), 0, 6)["out"]
    assert (seen["t"] // DT).tolist() == [0, 1, 2]


def test_records_need_not_be_contiguous() -> None:
    events = np.zeros(6, SPIKE)
    events["t"], events["v"] = np.arange(6) * DT, (1, 9, 1, 9, 1, 9)
    seen = CpuEngine(_single(threshold=100.0), ("out.v",)).run(events[::2], 0, 6)["out.v"]["v"]
    assert seen.tolist() == [0.5, 0.5, 1.0, 1.0, 1.5, 1.5]


def test_events_outside_of_the_steps_are_refused_and_change_nothing() -> None:
    engine = CpuEngine(_single(), ("out",))
    with pytest.raises(ConfigError, match="outside of the 1 steps"):
        engine.run(_spikes((DT, 0, 1)), 0, 1)
    with pytest.raises(ConfigError, match="outside of the 1 steps"):
        engine.run(_spikes((-1, 0, 1)), 0, 1)
    assert engine.counters().events == 0


def test_a_name_that_cannot_be_watched_is_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"no population 'there'.*in, out"):
        CpuEngine(_single(), ("there",))
    with pytest.raises(ConfigError, match=r"no population 'in\.v'"):
        CpuEngine(_single(), ("in.v",))


def test_a_network_with_two_inputs_is_unsupported() -> None:
    network = Network((Population("a", (1,)), Population("b", (1,))), (), ("a", "b"), ("b",))
    with pytest.raises(Unsupported, match="exactly one input"):
        CpuEngine(network, ("b",))


def test_forks_share_weights_and_memory_is_told_apart() -> None:
    shared, own = CpuEngine(_single(), ("out",)).memory
    assert shared > 0
    assert own > 0


def test_warming_takes_no_time_worth_mentioning_once_compiled() -> None:
    warm()
    assert warm() >= 0


def test_no_steps_and_no_events_give_no_records() -> None:
    assert len(CpuEngine(_single(), ("out",)).run(np.empty(0, EVENT), 5, 0)["out"]) == 0


def test_a_processor_without_wide_vectors_computes_the_same(tmp_path: Path) -> None:
    """Compiled for the plainest processor of this architecture, in a process and a cache of its own."""
    script = (
        "import numpy as np\n"
        "from tests.unit.sim.networks import random_events, random_network\n"
        "from nrt_sim.cpu.engine import CpuEngine\n"
        "from nrt_sim.reference import ReferenceEngine\n"
        "for seed in range(40):\n"
        "    network = random_network(seed, exact=True, short=True)\n"
        "    names = [p.name for p in network.populations]\n"
        "    events = random_events(network, seed, 8, 0)\n"
        "    a = ReferenceEngine(network, names).run(events, 0, 8)\n"
        "    for way in ('never', 'always'):\n"
        "        b = CpuEngine(network, names, dense=way).run(events, 0, 8)\n"
        "        assert all(np.array_equal(a[name], b[name]) for name in names), (seed, way)\n"
        "print('same')\n"
    )
    environment = os.environ | {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "sim"))),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "same", done.stderr
