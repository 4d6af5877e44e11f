"""Whether two engines compute the same: everything watched, calls cut anyhow, records compared one by one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nrt.network import Network
from nrt.packet import Records
from nrt_sim.engine import Engine
from tests.unit.sim.networks import DT

STEPS = 8
START = 1000


def everything(network: Network) -> tuple[str, ...]:
    """Every population's spikes and every membrane."""
    names = [p.name for p in network.populations]
    return (*names, *(f"{p.name}.v" for p in network.populations if p.neuron is not None))


def in_parts(engine: Engine, events: Records, seed: int) -> Mapping[str, Records]:
    """The records of STEPS steps, computed in calls of random lengths."""
    random = np.random.default_rng(seed)
    parts: list[Mapping[str, Records]] = []
    done = 0
    while done < STEPS:
        steps = int(random.integers(0, STEPS - done + 1))
        low, high = np.searchsorted(events["t"], [START + done * DT, START + (done + steps) * DT])
        parts.append(engine.run(events[low:high], START + done * DT, steps))
        done += steps
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def assert_same(expected: Mapping[str, Records], seen: Mapping[str, Records], tolerance: float = 0.0) -> None:
    """The same records in the same order; payloads and membranes within a relative `tolerance`."""
    assert expected.keys() == seen.keys()
    for name, records in expected.items():
        assert records.dtype == seen[name].dtype
        np.testing.assert_array_equal(seen[name]["t"], records["t"], f"{name} t")
        np.testing.assert_array_equal(seen[name]["n"], records["n"], f"{name} n")
        np.testing.assert_allclose(seen[name]["v"], records["v"], tolerance, tolerance / 1000, err_msg=name)
