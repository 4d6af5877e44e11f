"""The CPU engine equals the reference engine, on any network, any events, cut into calls anyhow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import HealthCheck, given, settings
from networks import DT, random_events, random_network, seeds

from nrt.network import Network
from nrt.packet import MEMBRANE, Records
from nrt_sim.cpu.engine import CpuEngine
from nrt_sim.engine import Engine
from nrt_sim.reference import ReferenceEngine

STEPS = 8
quiet = settings(deadline=None, suppress_health_check=list(HealthCheck))


def _watched(network: Network) -> tuple[str, ...]:
    names = [p.name for p in network.populations]
    return (*names, *(f"{p.name}.v" for p in network.populations if p.neuron is not None))


def _in_parts(engine: Engine, events: Records, start: int, seed: int) -> Mapping[str, Records]:
    """The records of STEPS steps, computed in calls of random lengths."""
    random = np.random.default_rng(seed)
    parts: list[Mapping[str, Records]] = []
    done = 0
    while done < STEPS:
        steps = int(random.integers(0, STEPS - done + 1))
        low, high = np.searchsorted(events["t"], [start + done * DT, start + (done + steps) * DT])
        parts.append(engine.run(events[low:high], start + done * DT, steps))
        done += steps
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@given(seeds)
@settings(quiet, max_examples=250)
def test_with_numbers_that_float32_holds_every_record_and_counter_is_the_same(seed: int) -> None:
    network = random_network(seed, exact=True)
    events = random_events(network, seed, STEPS, 1000)
    reference, cpu = ReferenceEngine(network, _watched(network)), CpuEngine(network, _watched(network), "float64")
    expected = reference.run(events, 1000, STEPS)
    seen = _in_parts(cpu, events, 1000, seed)
    for name, records in expected.items():
        assert records.dtype == seen[name].dtype
        for field in ("t", "n", "v"):
            np.testing.assert_array_equal(seen[name][field], records[field], f"{name} {field}")
    assert cpu.counters() == reference.counters()
