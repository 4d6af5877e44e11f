"""One LIF neuron of the NIR paper, as eight platforms computed it: spikes equal, membranes to rounding.

The traces and files are github.com/neuromorphs/NIR, paper/01_lif, 1000 steps of 0.1 ms. What each platform
did is stated per trace: the preset, what its script changed, the delay before the neuron, and the unit of
its membrane. `lif_norse.nir` has weight 1 and r 1; rockpool, sinabs and spyx ran `lif_rockpool.nir`'s
weight of 0.04 = dt/τ as an impulse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrt.network import load
from nrt.packet import SPIKE
from tests.engines import ENGINES, engine

STEP = 100  # µs
SCALED = 25.0  # τ/dt: snnTorch's and SpiNNaker 2's membranes are not scaled by dt/τ


@dataclass(frozen=True)
class Trace:
    """A recording and the reading that reproduces it.

    delay: steps from the recorded input to the neuron; unit: its membrane in units of NIR's
    """

    name: str
    like: str
    file: str = "lif_norse.nir"
    choices: Mapping[str, Any] = field(default_factory=dict[str, Any])
    delay: int = 0
    unit: float | None = 1.0

    def __str__(self) -> str:
        return self.name


TRACES = [
    # event-driven: it goes on inside the step of the spike, so its membrane differs a little from there on
    Trace("exact", "nir", choices={"integration": "exact", "reset": "soft"}, unit=None),
    Trace("norse", "norse"),
    Trace("snntorch", "snntorch", unit=SCALED),
    Trace("nengo", "nengo", unit=10.0),  # threshold scaled to 1
    # the weight, 102.02, is stored as 102
    Trace("spinnaker2", "nir", unit=SCALED * 102 / 102.02),
    Trace("sinabs", "sinabs", "lif_rockpool.nir", {"tau": "seconds"}),
    Trace("rockpool", "rockpool", "lif_rockpool.nir"),
    Trace("spyx", "spyx", "lif_rockpool.nir", {"tau": "seconds"}),
    Trace("lava_cpu_float", "lava", delay=1),
]


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("trace", TRACES, ids=str)
def test_a_platforms_trace_is_reproduced_spike_for_spike(trace: Trace, name: str, data: Path) -> None:
    golden = np.loadtxt(data / "nir" / "lif_traces" / f"{trace.name}.csv", delimiter=",")
    network = load(data / "nir" / trace.file, like=trace.like, dt=STEP, **trace.choices)
    (output,) = network.outputs
    inputs = np.zeros(np.count_nonzero(golden[:, 0]), SPIKE)
    inputs["t"] = (np.flatnonzero(golden[:, 0]) + trace.delay) * STEP
    inputs["v"] = 1

    records = engine(name, network, [output, f"{output}.v"]).run(inputs, 0, len(golden))

    assert (records[output]["t"] // STEP).tolist() == np.flatnonzero(golden[:, 2]).tolist()
    assert len(records[output]) == 4
    if trace.unit is not None:
        membrane = records[f"{output}.v"]["v"].astype(np.float64) * trace.unit
        np.testing.assert_allclose(membrane, golden[:, 1], rtol=2e-5, atol=2e-6 * abs(trace.unit))


@pytest.mark.parametrize("name", ENGINES)
def test_the_exact_trace_has_our_membrane_until_its_first_spike(name: str, data: Path) -> None:
    golden = np.loadtxt(data / "nir" / "lif_traces" / "exact.csv", delimiter=",")
    first = int(np.flatnonzero(golden[:, 2])[0])
    network = load(data / "nir" / "lif_norse.nir", dt=STEP, integration="exact", reset="soft")
    inputs = np.zeros(np.count_nonzero(golden[:first, 0]), SPIKE)
    inputs["t"] = np.flatnonzero(golden[:first, 0]) * STEP
    inputs["v"] = 1
    membrane = engine(name, network, ["1.v"]).run(inputs, 0, first)["1.v"]["v"]
    np.testing.assert_allclose(membrane, golden[:first, 1], rtol=2e-5, atol=1e-7)
