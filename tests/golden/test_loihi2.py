"""`loihi2+sim:` against recordings of others: one LIF neuron on Loihi's silicon and in lava's bit-accurate model.

The traces are github.com/neuromorphs/NIR, paper/01_lif, 1000 steps of 0.1 ms: columns input, v, spike. Its notebook
lif_sim_lava.ipynb prints the registers: w 10, du 4095 (with the offset bit 4096, no memory), dv 163, vth 25.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nrt.network import Dense, Network, Population, Projection, load
from nrt.network.neuron import neuron
from nrt.network.semantics import Semantics
from nrt.packet import SPIKE, Records
from nrt_sim.chips.loihi2.engine import LoihiEngine
from nrt_sim.chips.loihi2.fit import fit

STEP = 100  # µs
IN_REFRACTION = 128  # what the silicon's v shows in the step of a spike; lava's model shows the reset, 0


def trace(data: Path, name: str) -> NDArray[np.float64]:
    return np.loadtxt(data / "nir" / "lif_traces" / f"{name}.csv", delimiter=",")


def spikes_in(golden: NDArray[np.float64]) -> Records:
    steps = np.flatnonzero(golden[:, 0])
    records = np.zeros(len(steps), SPIKE)
    records["t"], records["v"] = steps * STEP, 1
    return records


def registers() -> Network:
    """The neuron with the registers of the recordings; Dense hands over one step later."""
    lif = neuron(decay=1 - 163 / 4096, threshold=25.0, fire=">")
    synapse = Projection("in", "lif", (Dense(np.array([[10.0]])),), delay=1)
    populations = (Population("in", (1,)), Population("lif", (1,), lif))
    return Network(populations, (synapse,), ("in",), ("lif",), Semantics(dt=STEP))


@pytest.mark.parametrize("name", ["lava_loihi_fixed", "lava_cpu_fixed"])
def test_every_membrane_value_and_every_spike_is_the_recordings(name: str, data: Path) -> None:
    golden = trace(data, name)
    engine = LoihiEngine(fit(registers()), ["lif"])
    inputs = spikes_in(golden)
    membranes, fired = [], []

    for k in range(len(golden)):
        records = engine.run(inputs[inputs["t"] == k * STEP], k * STEP, 1)
        fired.append(len(records["lif"]))
        membranes.append(int(engine.state("lif")[1][0]))

    expected = golden[:, 1].copy()
    if name == "lava_loihi_fixed":
        assert expected[golden[:, 2] > 0].tolist() == [IN_REFRACTION] * 4
        expected[golden[:, 2] > 0] = 0
    np.testing.assert_array_equal(fired, golden[:, 2])
    np.testing.assert_array_equal(membranes, expected)
    assert sum(fired) == 4


def test_the_float_network_fires_when_the_silicon_did_one_step_late(data: Path) -> None:
    golden = trace(data, "lava_loihi_fixed")
    network = load(data / "nir" / "lif_norse.nir", like="lava", dt=STEP)
    (output,) = network.outputs

    records = LoihiEngine(fit(network), [output]).run(spikes_in(golden), 0, len(golden))

    assert (records[output]["t"] // STEP).tolist() == np.flatnonzero(golden[:, 2]).tolist()
    assert fit(network).level[output] == 1
